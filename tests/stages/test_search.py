"""Training for a search, and the search, as whole jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.jobs import config_path

from ofa.errors import Interrupted
from ofa.settings.schema import Config
from ofa.stages.inputs import load_inputs
from ofa.stages.pipeline import run_stages
from ofa.store import Store
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job


def stages(config: Config, stop: Callable[[], bool] = lambda: False) -> dict[str, Path]:
    return run_stages(config, load_inputs(config), NullMonitor(), Store(config_path(config) / "store"), stop)


def stop_after(asked: int) -> Callable[[], bool]:
    times = iter(range(asked))
    return lambda: next(times, None) is None


def test_training_per_layer_resumes_with_the_same_draws(config: Config, tmp_path: Path) -> None:
    config = replace(config, ofa=replace(config.ofa, sampling="layers", sandwich_random=1), stages=["distill"])
    whole = stages(config)["distill"]
    again = replace(config, output_dir=str(tmp_path / "again"))
    with pytest.raises(Interrupted, match="distill stopped after step . of 6"):
        stages(again, stop_after(12))
    resumed = stages(again)["distill"]
    weights = "supernet/model.safetensors"
    assert (whole / weights).read_bytes() == (resumed / weights).read_bytes()
    other = replace(config, ofa=replace(config.ofa, sampling="all"))
    assert (stages(other)["distill"] / weights).read_bytes() != (whole / weights).read_bytes()

"""Rules that settings keep together; those of a single job are in jobs/test_preflight.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ofa.jobs.preflight import problems
from ofa.settings.schema import Config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("sweep.name=a/b", "sweep.name: 'a/b' cannot name a folder"),
        ("sweep.parallel_jobs=0", "sweep.parallel_jobs: 0 is not allowed; allowed: from 1"),
        ("sweep.parallel_jobs=2", "stages: latency would be measured while 2 jobs run at once"),
        ("objective.width=0.25", "objective.width: 0.25 is not among ofa.widths"),
        ("objective.width=0.5 objective.max_latency_ms=3", "objective: width and max_latency_ms are both set"),
        ("objective.max_latency_ms=0", "objective.max_latency_ms: 0 is not allowed; allowed: above 0"),
    ],
)
def test_rules_of_sweeps(overrides: str, words: str, compose: Callable[..., Config], tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}", f"cache_dir={tmp_path}"]
    (found,) = problems(compose("experiment=quickstart", *places, *overrides.split()))
    assert found.startswith(words)

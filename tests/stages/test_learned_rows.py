"""What the distillation stages learn from: labels, and rows without any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import WORDS, config_path, made, stages_of

from ofa.jobs.job import run_job
from ofa.results.report import text
from ofa.settings.schema import Config, LoopConfig
from ofa.stages.inputs import load_inputs

pytestmark = pytest.mark.job


def history(config: Config) -> list[dict[str, float]]:
    """The log of the distillation that was made last."""
    folders = (config_path(config) / "store").glob("distill-*[0-9a-f]/distill.json")
    return json.loads(max(folders, key=lambda path: path.stat().st_mtime_ns).read_text())["history"]


def test_rows_without_labels_join_the_distillation_alone(config: Config, tmp_path: Path) -> None:
    train = (tmp_path / "data" / "train.tsv").read_text().splitlines()
    new = [" ".join(np.random.default_rng(row).permutation(WORDS)) for row in range(64)]
    (tmp_path / "more.tsv").write_text("\n".join(["sentence", *new, train[1].split("\t")[0]]) + "\n")
    loop = LoopConfig(epochs=1, batch_size=16, log_steps=1)
    config = replace(config, trainer=replace(config.trainer, distill=loop))
    run_job(config, "")
    before, steps = set(made(config)), len(history(config))
    assert "distill/hard_loss" not in history(config)[0]
    taught = replace(config, task=replace(config.task, unlabelled=[str(tmp_path / "more.tsv")]))
    taught = replace(taught, ofa=replace(taught.ofa, hard_weight=0.5))
    results = run_job(taught, "")
    assert stages_of(set(made(taught)) - before) == ["distill", "evaluate"]
    assert (steps, len(history(taught))) == (96 // 16, 160 // 16)
    labelled = [entry["distill/hard_loss"] for entry in history(taught)]
    assert 0 in labelled and max(labelled) > 0  # batches hold rows of one length: here, some without any label
    assert results.rows["unlabelled"] == {"used": 64, "left_out": 0, "repeated": 1, "in_dev": 0}
    assert "Distilled from 64 rows without labels, too; left out: 1 repeated or training rows, 0 of dev" in text(
        results
    )
    inputs = load_inputs(taught)
    distilled = inputs.with_unlabelled(inputs.encoded("train"))
    assert len(inputs.encoded("train")) == 96 and len(distilled) == 160
    assert (distilled.labels[:96] == inputs.rows["train"].labels).all()


def test_a_temperature_makes_the_distillation_again(config: Config) -> None:
    run_job(config, "")
    before = set(made(config))
    softer = replace(config, ofa=replace(config.ofa, temperature=4.0))
    cold, _ = history(config)[0]["distill/logit_loss"], run_job(softer, "")
    assert stages_of(set(made(config)) - before) == ["distill", "evaluate"]
    assert history(config)[0]["distill/logit_loss"] > 4 * cold  # 16 times what is near ln 2

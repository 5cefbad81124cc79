"""What a job scores: the weights that are kept, before and after distillation, on dev and on test rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.jobs import WORDS, config_path, made, stages_of

from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.settings.schema import STAGES, TaskConfig
from ofa.stages.context import StageContext
from ofa.stages.inputs import load_inputs

pytestmark = pytest.mark.job


@pytest.fixture
def staged(config, monkeypatch):
    """A job whose dev scores, given by a stub, peak at another step for each network; runs it with ``ofa.keep``."""
    from ofa.supernet import elastic

    peaks, calls, weights, real = {4: 2, 2: 5}, {4: 0, 2: 0}, {}, StageContext.score

    def score(context, supernet, rows=None):
        if not context.folder.parent.name.startswith("distill-"):
            return real(context, supernet, rows)
        heads = elastic.active(supernet).heads[0]
        calls[heads] += 1
        weight = supernet.bert.encoder.layers[0].linear1.weight.numpy()
        weights[heads, calls[heads]] = weight[:, : 16 * heads].copy()
        return {"accuracy": 0.9 - abs(calls[heads] - peaks[heads]) / (20 if heads == 4 else 10)}

    monkeypatch.setattr(StageContext, "score", score)

    def run(keep):
        settings = replace(config.trainer.distill, eval_steps=1)
        job = replace(config, trainer=replace(config.trainer, distill=settings), ofa=replace(config.ofa, keep=keep))
        results = run_job(job, "")
        folder = next((config_path(config) / "store").glob("distill-*"))
        return job, results, folder, weights

    return run


@pytest.mark.parametrize(
    ("keep", "steps"), [("best_each", {4: 2, 2: 5}), ("last", {4: 6, 2: 6}), ("best_shared", {4: 5, 2: 5})]
)
def test_the_weights_that_are_kept_and_scored(staged, monkeypatch, keep, steps):
    job, results, folder, weights = staged(keep)
    best = json.loads((folder / "distill.json").read_text())["best"]
    assert {"w1": best["w1"]["step"], "w0.5": best["w0.5"]["step"]} == {"w1": steps[4], "w0.5": steps[2]}
    assert best["w0.5"]["score"] == pytest.approx(0.9 - abs(steps[2] - 5) / 10)
    for name, heads in (("w1", 4), ("w0.5", 2)):
        kept, _ = models.load(folder / "widths" / name)
        assert (kept.bert.encoder.layers[0].linear1.weight.numpy() == weights[heads, steps[heads]]).all(), name
    assert [network.last for network in results.networks] == pytest.approx([0.7, 0.8])
    seen = []
    load = models.load
    monkeypatch.setattr(models, "load", lambda path, *a, **k: seen.append(path) or load(path, *a, **k))
    run_job(replace(job, force=["evaluate"]), "")
    assert {path.parent.parent for path in seen if path.parent.name == "widths"} == {folder}


def test_every_network_has_its_score_before_distillation_and_how_sure_its_loss_is(config):
    results = run_job(config, "")
    assert results.dev_rows == 24
    assert results.networks[0].undistilled == results.teacher.score, "width 1 is the teacher, permuted"
    for network in results.networks:
        low, high = network.lost
        assert low <= 100 * (results.teacher.score - network.score) <= high


@pytest.mark.parametrize("given", [{"test": "dev.tsv"}, {"test_share": 0.25}])
def test_test_rows_are_scored_and_decide_nothing(config, given):
    plain = run_job(config, "")
    assert plain.teacher.test is None
    before = set(made(config))
    results = run_job(replace(config, task=replace(config.task, **given)), "")
    assert set(results.teacher.test) == {"accuracy"}
    assert all(0 <= network.test["accuracy"] <= 1 for network in results.networks)
    if "test" in given:  # the dev rows once more: nothing is trained anew, and the scores are those of dev
        assert stages_of(set(made(config)) - before) == ["evaluate"]
        assert [network.test["accuracy"] for network in results.networks] == [n.score for n in results.networks]
    else:
        inputs = load_inputs(replace(config, task=replace(config.task, **given)))
        assert len(inputs.rows["train"]) == 72 and len(inputs.rows["test"]) == 24
        assert list(inputs.dev) == ["dev"]


def write_scores(folder):
    """A regression task: the share of good words, from 0 to 5."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    for name, rows in (("train", 96), ("dev", 24)):
        lines = ["sentence\tscore"]
        for _ in range(rows):
            words = rng.choice(WORDS, 5)
            lines.append(f"{' '.join(words)}\t{float(np.isin(words, ['good', 'fine', 'very']).sum())}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_regression_task_through_all_stages(config, tmp_path):
    task = TaskConfig(
        "tiny", data_dir=str(write_scores(tmp_path / "scores")), dev={"dev": "dev.tsv"}, text=["sentence"],
        label="score", score_range=[0.0, 5.0], metrics=["pearson", "spearman"],
    )  # fmt: skip
    trainer = replace(config.trainer, finetune=replace(config.trainer.finetune, max_steps=60, learning_rate=3e-3))
    results = run_job(replace(config, task=task, trainer=trainer, stages=list(STAGES)), "")
    assert results.teacher.score > 0.5, "learned: against a [B, B] table of differences it would learn the mean"
    assert results.teacher.score == results.teacher.metrics["pearson"]
    for network in results.networks:
        assert -1 <= network.metrics["spearman"] <= 1 and len(network.parity) >= 2
        drifts = [parity["score_drift"] for parity in network.parity if parity["precision"] == "fp32"]
        assert max(drifts) < 0.01
    assert results.networks[0].score > 0.4, "width 1 starts as the teacher"

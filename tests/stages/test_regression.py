"""A task with scores through the pipeline, whatever the files measure them in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import WORDS, config_path, tiny

from ofa.deploy.serving import TextClassifier
from ofa.jobs.job import run_job
from ofa.settings.schema import Config, ModelConfig, OfaConfig

pytestmark = pytest.mark.job


def job(folder: Path, low: float, high: float) -> tuple[Config, list[str], np.ndarray]:
    """A job on scores between these, with its dev texts and their scores: how many of the words are good."""
    rng, config = np.random.default_rng(0), tiny(folder)
    texts = [" ".join(rng.choice(WORDS[:4], 6)) for _ in range(400)]
    scores = low + (high - low) * np.array([text.split().count("good") for text in texts]) / 6
    for name, part in (("train", slice(300)), ("dev", slice(300, 400))):
        lines = [f"{text}\t{score!r}" for text, score in zip(texts[part], scores[part].tolist(), strict=True)]
        (folder / "data" / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    task = {"label_values": None, "labels": [], "score_range": [low, high], "metrics": ["pearson", "spearman"]}
    loop = replace(config.trainer.finetune, max_steps=150, learning_rate=3e-3, save_steps=1000)
    distill = replace(config.trainer.distill, max_steps=40)
    trainer = replace(config.trainer, finetune=loop, distill=distill)
    return (
        replace(config, task=replace(config.task, **task), trainer=trainer, stages=["evaluate", "quantize"]),
        texts[300:],
        scores[300:],
    )


def answers(config: Config, name: str, texts: list[str]) -> np.ndarray:
    (folder,) = (config_path(config) / "store").glob("quantize-*")
    return np.array(TextClassifier(folder / name).predict(texts)["score"])


@pytest.mark.parametrize(("low", "high"), [(0, 100), (-50, 50), (0, 1e-3), (4e5, 6e5)])
def test_answers_are_near_the_scores_in_their_own_unit(low: float, high: float, tmp_path: Path) -> None:
    config, texts, scores = job(tmp_path, low, high)
    results = run_job(config, "")
    assert results.learned and not results.alarms
    for network in results.networks:
        assert all(one["logit_difference"] < 1e-4 for one in network.parity if one["precision"] == "fp32")
        off = np.abs(answers(config, network.name, texts) - scores).mean()
        assert off < 0.5 * np.abs(scores.mean() - scores).mean(), network.name


def test_a_finished_teacher_answers_as_it_did(tmp_path: Path) -> None:
    config, texts, _ = job(tmp_path, 0, 100)
    first = run_job(config, "")
    (folder,) = (config_path(config) / "store").glob("quantize-*")
    still = replace(config.trainer.distill, max_steps=1, learning_rate=1e-9)
    again = replace(
        config,
        model=ModelConfig("again", path=str(folder / "w1")),
        ofa=OfaConfig([1.0]),
        trainer=replace(config.trainer, distill=still),
        output_dir=str(tmp_path / "again"),
    )
    assert run_job(again, "").teacher.score == pytest.approx(first.networks[0].score, abs=1e-6)
    np.testing.assert_allclose(answers(again, "w1", texts), answers(config, "w1", texts), atol=1e-2)

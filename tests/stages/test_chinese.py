"""CLUE's layouts are read as they are, and a Chinese task goes from its files to an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import config_path, tiny

import ofa
from ofa.data.sources import load_splits
from ofa.jobs.job import run_job
from ofa.settings.schema import STAGES, Config, LoopConfig
from ofa.stages.inputs import load_inputs

NEWS = {"102": "电影", "103": "比赛", "108": "学校"}  # TNEWS' class, and the word that tells it
FILLING = ["今天", "昨晚", "看到", "听说", "关于", "大家"]
PAIRS = [{"sentence1": "怎么还款", "sentence2": "如何还钱", "label": "1"}]
PAIRS += [{"sentence1": "怎么还款", "sentence2": "怎么借款", "label": "0"}]
INFERENCES = [{"sentence1": "他在家", "sentence2": "他不在家", "label": "contradiction"}]
INFERENCES += [{"sentence1": "他在家", "sentence2": "他在", "label": "entailment"}]
INFERENCES += [{"sentence1": "他在家", "sentence2": "他睡了", "label": "-"}]


def write(folder: Path, rows: list[dict[str, str]], name: str) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    lines = [json.dumps({**row, "id": number}, ensure_ascii=False) for number, row in enumerate(rows)]
    (folder / f"{name}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


def headlines(count: int, seed: int) -> list[dict[str, str]]:
    rng, rows = np.random.default_rng(seed), []
    for _ in range(count):
        label = rng.choice([*NEWS])
        words = [NEWS[label], *rng.choice(FILLING, rng.integers(0, 2))]
        rng.shuffle(words)
        rows.append({"label": str(label), "label_desc": "news", "sentence": "".join(words), "keywords": ""})
    return rows


@pytest.mark.parametrize(
    ("task", "rows", "labels"), [("afqmc", PAIRS, [1, 0]), ("cmnli", INFERENCES, [0, 1])], ids=["afqmc", "cmnli"]
)
def test_pairs_of_clue(task: str, rows: list, labels: list, compose: Callable[..., Config], tmp_path: Path) -> None:
    for name in ("train", "dev"):
        write(tmp_path / task, rows, name)
    config = compose(f"task={task}", f"task.data_dir={tmp_path}")
    found = load_splits(config.task, tmp_path)["dev"]
    assert found.labels.tolist() == labels and found.skipped == len(rows) - len(labels)
    assert found.text_b == [row["sentence2"] for row in rows[: len(labels)]]


@pytest.mark.job
def test_a_chinese_task_from_its_files_to_an_answer(compose: Callable[..., Config], tmp_path: Path, caplog) -> None:
    write(tmp_path / "tnews", headlines(160, 0), "train")
    write(tmp_path / "tnews", (dev := headlines(40, 1)), "dev")
    task = compose("task=tnews", f"task.data_dir={tmp_path}").task
    config = tiny(tmp_path)
    loop = LoopConfig(max_steps=60, batch_size=32, learning_rate=8e-3)
    trainer = replace(config.trainer, finetune=loop, distill=replace(loop, max_steps=10, learning_rate=1e-3))
    model, stages = (
        replace(config.model, dropout=0.0, num_hidden_layers=1),
        [name for name in STAGES if name != "latency"],
    )
    config = replace(config, task=task, model=model, trainer=trainer, stages=stages)
    results = run_job(config, "")
    (missing,) = (record.getMessage() for record in caplog.records if "none of the" in record.getMessage())
    assert (
        "news_story, news_culture, news_sports" not in missing and "news_story, news_culture, news_finance" in missing
    )
    assert results.teacher.score > 0.9

    inputs = load_inputs(config)
    characters = {sign for row in headlines(160, 0) for sign in row["sentence"]}
    vocabulary = inputs.tokenizer.vocab.read_text(encoding="utf-8").split("\n")
    assert characters <= {*vocabulary}
    rows = inputs.rows["dev"]
    assert inputs.encoded("dev").lengths.tolist() == [min(len(text) + 2, 16) for text in rows.text_a]

    classify = ofa.load(next((config_path(config) / "runs").iterdir()) / "w1")
    answers = classify([row["sentence"] for row in dev])
    right = [
        task.label_values[task.labels.index(answer["label"])] == row["label"]
        for answer, row in zip(answers, dev, strict=True)
    ]
    assert np.mean(right) == pytest.approx(results.network("w1").score)

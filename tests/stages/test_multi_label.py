"""A task with several labels per row through the whole pipeline, from its files to an answer."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from helpers.jobs import config_path, tiny
from sklearn.metrics import accuracy_score, f1_score

import ofa
from ofa import predict
from ofa.api import Classifier
from ofa.data.rows import read_rows
from ofa.deploy.server import app
from ofa.jobs.job import run_job
from ofa.results.record import Results
from ofa.settings.schema import STAGES, LoopConfig, TaskConfig
from ofa.stages.inputs import load_inputs

pytestmark = pytest.mark.job
TOPICS = {"praise": "good", "complaint": "bad", "music": "song"}  # a class, and the word that says so
METRICS = ["micro_f1", "macro_f1", "exact_match"]
TASK = TaskConfig(
    "topics",
    train="train.jsonl",
    dev={"dev": "dev.tsv"},
    text=["text"],
    label="topics",
    labels=list(TOPICS),
    multi_label=True,
    label_separator="|",
    metrics=METRICS,
)


def write(folder: Path) -> None:
    """Training rows as JSON lines with lists, dev rows in a table with separators; some with no topic at all."""
    rng, texts = np.random.default_rng(0), []
    for _ in range(240):
        words = rng.choice("good bad song film plot the".split(), rng.integers(2, 5))
        texts.append((" ".join(words), [name for name, sign in TOPICS.items() if sign in words]))
    folder.mkdir()
    rows = [json.dumps({"text": text, "topics": topics}) for text, topics in texts[:192]]
    (folder / "train.jsonl").write_text("\n".join(rows) + "\n")
    rows = [f"{text}\t{'|'.join(topics)}" for text, topics in texts[192:]]
    (folder / "dev.tsv").write_text("\n".join(["text\ttopics", *rows]) + "\n")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Results]:
    """The folder of a finished run, that of the rows, and the results."""
    folder = tmp_path_factory.mktemp("multi_label")
    write(folder / "rows")
    config = tiny(folder)
    loop = LoopConfig(max_steps=110, batch_size=32, learning_rate=6e-3)
    config = replace(
        config,
        task=replace(TASK, data_dir=str(folder / "rows")),
        model=replace(config.model, dropout=0.0),
        trainer=replace(config.trainer, finetune=loop, distill=replace(loop, max_steps=18, learning_rate=1e-3)),
        ofa=replace(config.ofa, tolerance=30.0),
        stages=[*STAGES],
    )
    results = run_job(config, "")
    return next((config_path(config) / "runs").iterdir()), folder / "rows", results


@pytest.fixture(scope="module")
def classify(job: tuple[Path, Path, Results]) -> Classifier:
    return ofa.load(job[0] / "w0.5")


def test_the_rows_are_sets_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "rows")
    rows = [json.loads(line) for line in (tmp_path / "rows" / "train.jsonl").read_text().splitlines()]
    found = read_rows(tmp_path / "rows" / "train.jsonl", TASK).labels
    assert found.dtype == np.float32
    assert found.tolist() == [[float(name in row["topics"]) for name in TOPICS] for row in rows]
    assert (found.sum(axis=1) == 0).any() and (found.sum(axis=1) > 1).any()


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (["praise", "jazz"], "rows.jsonl:1: label 'jazz' is unknown; allowed: any of 'praise', 'complaint', 'music'"),
        (["praise|music"], "rows.jsonl:1: topics has 'praise|music' in its list; allowed: text without '|' in it"),
        ([["praise"]], "rows.jsonl:1: topics is '[\"praise\"]'; allowed: text or a number"),
    ],
)
def test_what_is_no_set_of_classes_is_named(label: list, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "a song", "topics": label}) + "\n")
    with pytest.raises(ofa.UserError) as error:
        read_rows(tmp_path / "rows.jsonl", TASK)
    assert said in str(error.value)


def test_the_scores_are_those_of_what_the_exported_network_answers(job, classify: Classifier) -> None:
    run, rows, results = job
    lines = [line.split("\t") for line in (rows / "dev.tsv").read_text().splitlines()[1:]]
    answers = classify([text for text, _ in lines])
    true, said = (
        np.array([[name in given for name in TOPICS] for given in labels])
        for labels in ([topics.split("|") for _, topics in lines], [answer["labels"] for answer in answers])
    )
    assert results.network("w0.5").metrics == {
        "micro_f1": pytest.approx(f1_score(true, said, average="micro")),
        "macro_f1": pytest.approx(f1_score(true, said, average="macro", zero_division=0)),
        "exact_match": pytest.approx(accuracy_score(true, said)),
    }


def test_it_has_learned_and_every_figure_is_there(job) -> None:
    _, _, results = job
    assert results.teacher.score > 0.9 and results.learned
    for network in results.networks:
        assert network.score > 0.7
        assert {(one["engine"], one["precision"]) for one in network.parity} >= {("paddle", "fp32")}
        assert network.in_precision("onnxruntime", "int8").drop <= 0.5
        assert any(latency.kind == "measured" for latency in network.latencies)
    assert results.recommended.name


def test_an_answer_has_the_labels_and_the_probability_of_each_class(classify: Classifier) -> None:
    both, none = classify(["good song bad", "the a the"])
    for answer in (both, none):
        shares = answer["probabilities"]
        assert list(shares) == list(TOPICS)
        chosen = sorted((name for name in shares if shares[name] > 0.5), key=lambda name: -shares[name])
        assert answer["labels"] == chosen
    assert len(both["labels"]) > 1 and none["labels"] == []


def test_served_and_predicted_alike(job, classify: Classifier, capsys, monkeypatch) -> None:
    run = job[0]
    asked = ["good song bad", "the a the"]
    wanted = classify(asked)
    response = TestClient(app(classify._network)).post("/invocations", json={"inputs": asked})
    for served, answer in zip(response.json()["predictions"], wanted, strict=True):
        assert served["labels"] == answer["labels"]
        assert served["probabilities"] == [answer["probabilities"][name] for name in answer["labels"]]
    network = str(run / "w0.5")
    assert predict.main([network, *asked]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("\t")[0] == "|".join(wanted[0]["labels"]) and second == "\t"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(asked).encode())))
    assert predict.main([network]) == 0
    header, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert header == ["labels", *TOPICS] and rows[1][0] == ""
    assert [float(cell) for cell in rows[0][1:]] == pytest.approx([*wanted[0]["probabilities"].values()], abs=1e-6)


def test_transformers_and_the_card_are_told_the_kind(job) -> None:
    run = job[0]
    described = json.loads((run / "w1" / "config.json").read_text())
    assert described["problem_type"] == "multi_label_classification"
    assert "text to any of the classes praise, complaint, music." in (run / "w1" / "README.md").read_text()


def test_a_teacher_whose_labels_are_in_another_order_is_refused(job, tmp_path: Path) -> None:
    run, rows, _ = job
    config = tiny(tmp_path)
    swapped = replace(TASK, data_dir=str(rows), labels=["music", "praise", "complaint"])
    teacher = tmp_path / "teacher"
    source = run / "w1"
    teacher.mkdir()
    for name in ("model.safetensors", "vocab.txt", "tokenizer_config.json"):
        (teacher / name).write_bytes((source / name).read_bytes())
    described = json.loads((source / "config.json").read_text())
    described["id2label"] = {str(number): f"LABEL_{number}" for number in range(3)}
    (teacher / "config.json").write_text(json.dumps(described))
    config = replace(config, task=swapped, model=replace(config.model, path=str(teacher)), stages=["finetune"])
    assert load_inputs(config).label_order == (0, 1, 2)
    with pytest.raises(ofa.UserError, match=r"micro-F1.*what it calls music is praise, praise is complaint"):
        run_job(config, "")

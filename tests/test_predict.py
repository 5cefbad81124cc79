"""``python -m ofa.predict``: the answers of a run's networks; mistakes in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.results import results
from helpers.toys import TOY

from ofa import predict
from ofa.data.tokenizer import plain
from ofa.deploy.export import export
from ofa.model import network as models
from ofa.results import collect
from ofa.results.links import link_networks

YAML = """task: {name: toy, text: [sentence], labels: ["no", maybe, "yes"], dev: {dev: dev.tsv}}
model: {name: toy}
hardware: {name: cpu}
trainer: {max_seq_length: 16}
"""


@pytest.fixture
def run(toy_folder: Path, tmp_path: Path) -> Path:
    """A run with one exported network."""
    folder, store = tmp_path / "runs" / "a", tmp_path / "store" / "export-1" / "w1"
    network, _ = models.load(toy_folder)
    models.save(network, store, ("no", "maybe", "yes"), plain(toy_folder / "vocab.txt"))
    export(network, store)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(YAML)
    found = results("toy", 1, {1.0: 0.9}, export="export-1")
    collect.write(folder, found)
    link_networks(folder, store.parent, found)
    return folder


def test_texts_are_answered_by_the_recommended_network(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert predict.main([str(run), "w5 w6", "w7"]) == 0
    answers = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2 and {label for label, _ in answers} <= {"no", "maybe", "yes"}
    assert all(1 / 3 <= float(probability) <= 1 for _, probability in answers)
    assert predict.predict(run, ["w5 w6"], None, "w1") == predict.predict(run, ["w5 w6"], None, None)


def test_the_answer_is_that_of_the_network(run: Path) -> None:
    (answer,) = predict.predict(run, ["w5 w6"], None, None)
    network, folder = models.load(run / "w1")
    ids = np.array([[2, 5, 6, 3]])  # [CLS] w5 w6 [SEP]
    logits = models.forward_of(network)(ids, np.zeros_like(ids))[0]
    assert answer["label"] == folder.labels[logits.argmax()]
    assert answer["probability"] == pytest.approx(np.exp(logits).max() / np.exp(logits).sum(), abs=1e-5)
    assert TOY.num_labels == len(logits)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/nowhere", "x"], "nowhere: no results.json; give the folder of a finished run"),
        (["{run}", "x", "--network", "w0.3"], "--network: w0.3 is unknown; it has: w1"),
        (["{run}", "x", "--pair", "y"], "--pair: this task has no pairs of texts"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert predict.main([text.format(run=run, tmp=tmp_path) for text in arguments]) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_run_that_exported_nothing_or_recommends_none(run: Path, capsys: pytest.CaptureFixture) -> None:
    (run / "w1").unlink()
    assert predict.main([str(run), "x"]) == 1
    assert "run it again with stages=[evaluate,export]" in capsys.readouterr().err
    content = json.loads((run / "results.json").read_text())
    content["recommended"]["name"] = None
    (run / "results.json").write_text(json.dumps(content))
    assert predict.main([str(run), "x"]) == 1
    assert "--network: this run recommends no network; it has: w1" in capsys.readouterr().err

"""What answers for a run or a folder: which network, in which precision, by which settings; mistakes in a line."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers.results import network
from helpers.runs import exported_run

from ofa import predict
from ofa.chosen import chosen
from ofa.errors import UserError
from ofa.evaluation.parity import Parity
from ofa.results.record import Recommendation
from ofa.results.reduced import Reduced

pytestmark = pytest.mark.job
SETTINGS = {"max_seq_length": 8, "pair": False, "kind": "classes"}


@pytest.fixture
def run(served_folder: Path, tmp_path: Path) -> Path:
    return exported_run(served_folder, tmp_path)


@pytest.fixture
def int8_run(served_folder: Path, tmp_path: Path) -> Path:
    """A run that recommends its network in INT8 for ONNX Runtime."""
    parity = asdict(Parity("onnxruntime", "int8", 0.1, 0.0, 10))
    small = Reduced("onnxruntime", "int8", 0.9, {"accuracy": 0.9}, 0.0, 1000, (), parity)
    offered = network(1.0, 0.9, reduced=(small,), parity=(parity,), bytes=4000)
    advice = Recommendation("w1 in INT8.", 0.5, "w1", 1.0, 1.0, engine="onnxruntime", precision="int8")
    run = exported_run(served_folder, tmp_path, networks=(offered,), recommended=advice)
    shutil.copyfile(run / "w1" / "model.onnx", run / "w1" / "model.int8.onnx")
    return run


@pytest.mark.parametrize("name", [".", "recommended", "w1"])
def test_the_recommended_network_answers_in_its_precision_by_any_of_its_names(int8_run: Path, name: str) -> None:
    def precision(*given: object) -> str:
        return chosen(int8_run / name, *given)[1]["precision"]

    assert precision() == "int8" and precision(None, "fp32") == "fp32"
    assert precision(None, None, "paddle") == "fp32"  # which has no such graph
    assert chosen(int8_run, "w1")[1]["precision"] == "int8"
    assert predict.classifier(int8_run / name).settings["precision"] == "int8"


def test_a_folder_outside_its_run_answers_in_what_it_says(int8_run: Path, served_folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(int8_run / "recommended", tmp_path / "copied"))
    for said, expected in (({}, "fp32"), ({"precision": "int8"}, "int8")):
        (copied / "serving.json").write_text(json.dumps(SETTINGS | said))
        assert chosen(copied)[1]["precision"] == expected


def test_serving_json_is_what_counts_where_there_is_one(run: Path) -> None:
    folder = (run / "w1").resolve()
    with pytest.raises(UserError, match="neither serving.json in it nor config.yaml above it; give the folder of its"):
        chosen(folder)
    (folder / "serving.json").write_text(json.dumps(SETTINGS | {"pair": True}))
    assert chosen(folder) == (folder, SETTINGS | {"pair": True, "precision": "fp32"})
    assert chosen(run)[1]["max_seq_length"] == 8
    (folder / "serving.json").write_text('{"pair": true}')
    with pytest.raises(UserError, match=r"serving.json: no max_seq_length, kind$"):
        chosen(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "bogus"}, "kind is 'bogus'; allowed: classes, score, multi_label"),
        ({"kind": ["classes"]}, "kind is ['classes']; allowed: classes"),
        ({"max_seq_length": "64"}, "max_seq_length is '64'; allowed: a whole number, 8 to 32"),
        ({"max_seq_length": 33}, "max_seq_length is 33; allowed: a whole number, 8 to 32"),
        ({"max_seq_length": 0}, "max_seq_length is 0; allowed"),
        ({"max_seq_length": True}, "max_seq_length is True; allowed"),
        ({"pair": "no"}, "pair is 'no'; allowed: true or false"),
        ({"label_separator": 7}, "label_separator is 7; allowed: a text"),
        ({"precision": "int4"}, "precision is 'int4'; allowed: fp32, int8"),
    ],
)
def test_a_changed_serving_json_is_one_line(run: Path, changed: dict, said: str, capsys: pytest.CaptureFixture) -> None:
    (run / "w1" / "serving.json").write_text(json.dumps(SETTINGS | changed))
    assert predict.main([str(run), "x"]) == 1
    err = capsys.readouterr().err
    assert f"serving.json: {said}" in err and err.count("\n") == 1


def test_a_link_that_was_copied_without_its_folder_is_named(run: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(run, tmp_path / "elsewhere" / "deep" / "a", symlinks=True))
    with pytest.raises(UserError, match=r"recommended: a link to .*export-1/w1, which is not here; .*: cp -rL$"):
        chosen(alone / "recommended")
    with pytest.raises(UserError, match=r"w1: a link to what is not here; copy runs with cp -rL, or: the command"):
        chosen(alone)


def test_a_run_that_exported_nothing_lost_it_or_recommends_none(run: Path) -> None:
    (run / "w1").unlink()
    with pytest.raises(UserError, match="w1: not here; the command of the run, given again, makes it anew"):
        chosen(run)
    content = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps({**content, "export": None}))
    with pytest.raises(UserError, match=r"run it again with stages=\[evaluate,export\]"):
        chosen(run)
    content["recommended"]["name"] = None
    (run / "results.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="--network: this run recommends no network; it has: w1"):
        chosen(run)


def test_a_file_of_a_run_is_not_its_folder(run: Path) -> None:
    with pytest.raises(UserError, match=f"results.json: a file; give its folder, {run}$"):
        chosen(run / "results.json")


def test_the_home_folder_may_be_written_short(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(run.parent))
    assert chosen(Path("~/a"))[0] == run / "w1"

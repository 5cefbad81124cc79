"""``ofa predict``: the answers of a run's networks to texts, files and streams; mistakes in a line."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import exported_run
from helpers.toys import REPO

from ofa import predict
from ofa.model import network as models

pytestmark = pytest.mark.job


@pytest.fixture
def run(served_folder: Path, tmp_path: Path) -> Path:
    return exported_run(served_folder, tmp_path)


def test_texts_are_answered_by_the_recommended_network(run: Path, capsys: pytest.CaptureFixture) -> None:
    assert predict.main([str(run), "w5 w6", "w7"]) == 0
    answers = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2 and {label for label, _ in answers} <= {"no", "maybe", "yes"}
    assert all(1 / 3 <= float(probability) <= 1 for _, probability in answers)
    alone = shown(capsys, str(run), "w5 w6")
    assert alone == [answers[0]] == shown(capsys, str(run), "w5 w6", "--network", "w1")
    assert alone == shown(capsys, str(run), "--network", "w1", "w5 w6")  # as the tutorial writes it
    both = shown(capsys, "--precision", "fp32", str(run), "w5 w6", "--network", "w1", "w7")
    assert both == answers


def shown(capsys: pytest.CaptureFixture, *arguments: str) -> list[list[str]]:
    assert predict.main(list(arguments)) == 0
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def of_toy(folder: Path, *texts: list[int]) -> np.ndarray:
    """Probabilities ``[N, 3]`` that the network itself gives to rows of the same length."""
    network, _ = models.load(folder)
    ids = np.array([[2, *text, 3] for text in texts])  # [CLS] ... [SEP]
    logits = models.forward_of(network)(ids, np.zeros_like(ids))
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


TEXTS = ["w5 w6", "w7 w8", "w9 w10"] * 300
FILES = {
    "f.tsv": "id\tsentence\n" + "".join(f"1\t{text}\n" for text in TEXTS),
    "f.csv": "sentence,id\r\n" + "".join(f'"{text}",1\r\n' for text in TEXTS),
    "f.jsonl": "".join(json.dumps({"sentence": text, "id": [1]}) + "\n" for text in TEXTS),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("engine", predict.ENGINES)
def test_a_file_gets_the_network_s_label_and_probabilities_for_each_row(
    name: str, engine: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    if engine == "openvino":
        pytest.importorskip(engine, reason="openvino is not installed (make openvino)")
    (tmp_path / name).write_text(FILES[name], newline="")
    given = ("--file", str(tmp_path / name), "--text", "sentence", "--engine", engine)
    heading, *rows = shown(capsys, str(run / "w1"), *given)
    assert heading == ["label", "no", "maybe", "yes"] and len(rows) == 900
    expected = of_toy(run / "w1", [5, 6], [7, 8], [9, 10])
    assert [row[0] for row in rows[:3]] == [heading[1:][index] for index in expected.argmax(1)]
    assert np.array([row[1:] for row in rows], float) == pytest.approx(np.tile(expected, (300, 1)), abs=1e-5)


def test_a_file_without_a_header_line_has_its_columns_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "f.tsv").write_text("\n".join(FILES["f.tsv"].splitlines()[1:4]))
    (tmp_path / "g.tsv").write_text("\n".join(FILES["f.tsv"].splitlines()[:4]))
    given = (str(run), "--text", "sentence", "--file")
    bare = shown(capsys, *given, str(tmp_path / "f.tsv"), "--columns", "id", "sentence")
    assert len(bare) == 4 and bare == shown(capsys, *given, str(tmp_path / "g.tsv"))


def test_texts_come_on_standard_input_and_what_is_odd_is_counted(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    piped(monkeypatch, b"w5 w6\n\n" + b"w7 " * 20 + b"\n")
    assert predict.main([str(run)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("label\tno\tmaybe\tyes\n") and out.count("\n") == 4
    assert err == "1 of 3 rows are longer than 16 tokens and were cut\n1 of 3 rows have no text\n"


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_rows_are_answered_while_others_are_still_to_come(run: Path) -> None:
    """So memory does not grow with a file: of an endless one, no more than a chunk is taken."""
    taken = itertools.count()
    asked = predict.Asked(predict.classifier(run))
    endless = ([f"w{5 + next(taken) % 5}"] for _ in itertools.count())
    parts = asked.table(endless, 64)
    assert [len(next(parts)) for _ in range(3)] == [64] * 3 and next(taken) == 3 * 64 == asked.rows


def test_a_score_keeps_all_its_digits(run: Path, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    settings = {"max_seq_length": 8, "pair": False, "kind": "score"}
    (run / "w1" / "serving.json").write_text(json.dumps(settings))
    (tmp_path / "f.csv").write_text("a\nw5 w6\n")
    heading, row = shown(capsys, str(run), "--file", str(tmp_path / "f.csv"), "--text", "a")
    (logit,) = predict.classifier(run).logits(["w5 w6"], None)[:, 0]
    assert heading == ["score"] and np.float32(row[0]) == logit


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/nowhere", "x"], "nowhere: no results.json; give the folder of a finished run"),
        (["{run}", "x", "--network", "w0.3"], "--network: w0.3 is unknown; it has: w1"),
        (["{run}", "x", "--pair", "y"], "--pair: this task has no pairs of texts"),
        (
            ["{run}/w1", "x", "--network", "w1"],
            "--network: {run}/w1 is one network; leave it out, or give the folder of its run",
        ),
        (["{run}", "x", "--precision", "int8"], "no model.int8.onnx, so this network is not offered in int8"),
        (["{run}", "x", "--precision", "int8", "--engine", "paddle"], "--precision: int8 is for onnxruntime"),
        (["{run}", "--text", "a"], "--text: names columns of --file (a), and there is none"),
        (["{run}", "--columns", "a"], "--columns: names columns of --file (a), and there is none"),
        (
            ["{run}", "--file", "{tmp}/bad.jsonl", "--text", "a", "--columns", "a"],
            "--columns: {tmp}/bad.jsonl names its columns itself, in every row; leave it out",
        ),
        (
            ["{run}", "--file", "{tmp}/f.csv", "--text", "a", "--columns", "a", "b", "c"],
            "{tmp}/f.csv:1: 2 fields where --columns names 3",
        ),
        (["{run}", "x", "--file", "{tmp}/f.csv"], "--file: there are texts on the command line, too"),
        (["{run}", "--file", "{tmp}/f.csv"], "--text: name the column with the text; {tmp}/f.csv:1 has 'a', 'b'"),
        (["{run}", "--file", "{tmp}/f.csv", "--text", "c"], "{tmp}/f.csv:1: no column 'c' (--text); found: 'a', 'b'"),
        (["{run}", "--file", "{tmp}/f.csv", "--text", "a", "b"], "--text: 2 columns for a network of single texts"),
        (["{run}", "--file", "{tmp}/f.csv", "--text", "a"], "{tmp}/f.csv:3: 1 fields where the header line names 2"),
        (["{run}", "--file", "{tmp}/bad.jsonl", "--text", "a"], "{tmp}/bad.jsonl:2: not readable as JSON"),
        (["{run}", "--file", "{tmp}/latin.csv", "--text", "a"], "{tmp}/latin.csv:2: byte 4 (0xe9) is not UTF-8"),
        (["{run}", "--file", "{tmp}/none.csv", "--text", "a"], "{tmp}/none.csv: the file is empty"),
        (["{run}", "--file", "{tmp}/head.csv", "--text", "a"], "{tmp}/head.csv: no row to answer"),
        (["{run}", "--file", "{tmp}/gone.csv", "--text", "a"], "{tmp}/gone.csv: cannot be read (No such file"),
        (["{run}", "--file", "{tmp}", "--text", "a"], "{tmp}: is a directory"),
        (["{run}", "--file", "{tmp}/pipe", "--text", "a"], "{tmp}/pipe: not a regular file"),
        (["{run}"], "standard input:2: byte 1 (0xff) is not UTF-8"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    contents = {"f.csv": b"a,b\nx,y\nx\n", "bad.jsonl": b'{"a": "x"}\n{\n', "latin.csv": b"a\ncaf\xe9\n"}
    for name, content in {**contents, "none.csv": b"", "head.csv": b"a\n"}.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    piped(monkeypatch, b"w5\n\xff\n")
    places = {"run": run, "tmp": tmp_path}
    assert predict.main([text.format(**places) for text in arguments]) == 1
    err = capsys.readouterr().err
    assert said.format(**places) in err and err.count("\n") == 1


def test_a_graph_that_cannot_be_read_is_one_line(run: Path, capsys: pytest.CaptureFixture) -> None:
    (run / "w1" / "model.onnx").write_bytes(b"no graph")
    assert predict.main([str(run), "x"]) == 1
    err = capsys.readouterr().err
    assert "model.onnx: ONNX Runtime cannot load it (" in err and err.count("\n") == 1


def test_paddle_s_program_without_its_weights_is_one_line(run: Path, capsys: pytest.CaptureFixture) -> None:
    (run / "w1" / "inference.pdiparams").unlink()
    assert predict.main([str(run), "x", "--engine", "paddle"]) == 1
    said = "no inference.pdiparams, so this network is not offered in fp32 by paddle\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.process
def test_an_answer_needs_neither_paddle_nor_mlflow(run: Path) -> None:
    code = """import sys; from ofa.commands.table import start; print(start(["predict", sys.argv[1], "w5"]))
print([name for name in ("paddle", "mlflow", "hydra", "pandas", "matplotlib", "scipy") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code, str(run)], cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[1:] == ["0", "[]"], done.stderr


def test_text_may_be_left_out_and_says_so(capsys: pytest.CaptureFixture) -> None:
    """It comes on standard input then."""
    with pytest.raises(SystemExit):
        predict.main([])
    assert capsys.readouterr().err.endswith("the following arguments are required: folder\n")

"""Tables in their three forms: the same rows, the same words for what is wrong, and no more memory for longer files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from ofa.data.rows import read_rows, rows_digest
from ofa.data.tables import open_table
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

TASK = TaskConfig(name="t", text=["a"], label="y", labels=["0", "1"])
# The same three rows; the last text has what each form must put in quotes, and an empty line inside.
MEANT = ["plain", 'it is "so"', "one,\ttwo\n\nthree"]
SAME = {
    "f.csv": b'a,y\nplain,0\n\n"it is ""so""",1\n"one,\ttwo\n\nthree",0\n',
    "crlf.CSV": b'\xef\xbb\xbfy,a\r\n0,plain\r\n1,"it is ""so"""\r\n"0","one,\ttwo\n\nthree"\r\n',
    "f.jsonl": b'{"a": "plain", "y": 0}\n\n{"y": "1", "a": "it is \\"so\\""}\n'
    b'{"id": [7], "a": "one,\\ttwo\\n\\nthree", "y": 0}\n',
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_in_every_form(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SAME[name])
    rows = read_rows(tmp_path / name, TASK)
    assert rows.text_a == MEANT and rows.labels.tolist() == [0, 1, 0]
    (tmp_path / "f.jsonl").write_bytes(SAME["f.jsonl"])
    assert rows_digest(rows) == rows_digest(read_rows(tmp_path / "f.jsonl", TASK))


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.jsonl"])
def test_a_text_may_fill_a_line(name: str, tmp_path: Path) -> None:
    """Python's csv has a limit of its own, of 131,072 characters."""
    text, form = "x" * 500_000, {"f.csv": 'a,y\n"%s",1\n', "f.tsv": "a\ty\n%s\t1\n", "f.jsonl": '{"a": "%s", "y": 1}\n'}
    (tmp_path / name).write_text(form[name] % text)
    assert read_rows(tmp_path / name, TASK).text_a == [text]


BAD = {
    "csv, a field too many": ("f.csv", b"a,y\nx,0\nx,y,0\n", "f.csv:3: 3 fields where the header line names 2"),
    "csv, quote left open": ("f.csv", b'a,y\n"x,0\ny,1\n', "f.csv:2: not as csv quotes it"),
    "csv, tabs inside": ("f.csv", b"a\ty\nx\t0\n", "the file looks tab-separated and its name says comma-separated"),
    "tsv, JSON inside": ("f.tsv", b'{"a": "x"}\n', "the file looks JSON lines and its name says tab-separated"),
    "csv, no column": ("f.csv", b"b,y\n", "f.csv:1: no column 'a' (task.text); found: 'b', 'y'"),
    "csv, bad label": ("f.csv", b'a,y\n"two\nlines",0\nx,9\n', "f.csv:4: label '9' is unknown; allowed: '0', '1'"),
    "csv, latin-1": ("f.csv", b"a,y\ncaf\xe9,0\n", "f.csv:2: byte 4 (0xe9) is not UTF-8"),
    "json, half an object": ("f.jsonl", b'{"a": "x", "y": 0}\n{"a": \n', "f.jsonl:2: not readable as JSON (Expecting"),
    "json, a list": ("f.jsonl", b"[1]\n", "f.jsonl:1: '[1]' is no object; allowed: a JSON object in braces"),
    "json, key missing": ("f.jsonl", b'{"a": "x", "y": 0}\n{"b": 1}\n', "f.jsonl:2: no 'a', 'y', which the first row"),
    "json, list for text": (
        "f.jsonl",
        b'{"a": ["x"], "y": 0}\n',
        "f.jsonl:1: a is '[\"x\"]'; allowed: text or a number",
    ),
    "json, half a character": ("f.jsonl", b'{"a": "\\ud800", "y": 0}\n', "f.jsonl:1: not readable as JSON ("),
    "json, nested": ("f.jsonl", b"[" * 100_000 + b"\n", "f.jsonl:1: not readable as JSON (nested too deeply)"),
    "json, empty": ("f.jsonl", b"", "f.jsonl: the file is empty; allowed: a JSON object on every line"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    name, content, words = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read_rows(tmp_path / name, TASK)
    assert words in str(error.value) and str(error.value).count("\n") <= 1


def test_bad_rows_are_left_out_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b'{"a": "x", "y": 0}\nnot\n{"a": null, "y": 0}\n{"a": 5, "y": 1}\n')
    rows = read_rows(tmp_path / "f.jsonl", dataclasses.replace(TASK, bad_rows="skip"))
    assert (rows.text_a, rows.skipped) == (["x", "5"], 2)


def test_what_is_no_number_is_no_text_and_a_line_of_blanks_no_row(tmp_path: Path) -> None:
    content = b'{"a": "x", "b": NaN, "y": 0}\n \t\n{"a": NaN, "b": "z", "y": 1}\n{"a": 1.5, "b": -Infinity, "y": 1}\n'
    (tmp_path / "f.jsonl").write_bytes(content)
    rows = read_rows(tmp_path / "f.jsonl", dataclasses.replace(TASK, text=["a", "b"]))
    assert (rows.text_a, rows.text_b) == (["x", "", "1.5"], ["", "z", ""])


def test_columns_without_a_header_line(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b'0,"x, y"\n')
    named = dataclasses.replace(TASK, columns=["y", "a"])
    assert read_rows(tmp_path / "f.csv", named).text_a == ["x, y"]
    (tmp_path / "f.jsonl").write_bytes(SAME["f.jsonl"])
    with pytest.raises(UserError, match="task.columns: .*f.jsonl names its columns itself"):
        read_rows(tmp_path / "f.jsonl", named)


def test_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="not a regular file"), open_table(tmp_path / "pipe.csv", ["a"]):
        pass
    with pytest.raises(UserError, match="is a directory; a tab-separated file"), open_table(tmp_path, ["a"]):
        pass


def test_a_file_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    """What comes after the rows that were taken is not looked at: nothing holds the file."""
    (tmp_path / "f.csv").write_bytes(b"a,y\n" + b"x,0\n" * 1000 + b"\xff\n")
    with open_table(tmp_path / "f.csv", ["a"]) as table:
        assert next(table.records) == (2, b"x,0")
    assert len(read_rows(tmp_path / "f.csv", TASK, limit=1000)) == 1000


def test_a_text_may_begin_with_a_blank_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,y,z\n" ""x""",1,\n "x" or "y",0,\n" """"",1, ""\nq,0, "z"\n')
    task = TaskConfig("quoted", text=["a"], label="y", labels=["0", "1"])
    assert read_rows(tmp_path / "t.csv", task).text_a == [' "x"', ' "x" or "y"', ' ""', "q"]

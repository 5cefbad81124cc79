"""A file that is not what its name says is told what it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from ofa.data.rows import read_rows
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

TASK = TaskConfig("forms", text=["a"], label="y", labels=["0", "1"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.csv", b"PK\x03\x04\x14\x00", "f.csv: is a zip archive or a spreadsheet (.xlsx); unpack it, or save"),
        ("f.tsv", b"PAR1\x15\x04", "f.tsv: is a Parquet file; write it as .jsonl"),
        (
            "f.jsonl",
            b"\x1f\x8b\x08\x00",
            "f.jsonl: is compressed by gzip; unpack it; allowed: JSON lines text in ",
        ),
        ("f.jsonl", b"a\ty\nx\t1\n", "the file looks tab-separated and its name says JSON lines"),
        ("f.json", b"[\n {}\n]\n", "the file looks like one JSON list; write each of its objects on a line of its own"),
        ("f.csv", b'{"a": "x", "y": 1}\n', "the file looks JSON lines and its name says comma-separated"),
        ("f.json", b'{\n "a": "x"\n}', "one JSON text over several lines; write each object on a line of its own"),
        ("f.csv", b"a;y\nx;1\n", "the file looks separated by semicolons; save it with commas as .csv, or with tabs"),
        ("f.csv", b'"a";"y"\n"x";1\n', "the file looks separated by semicolons; save it with commas as .csv, or with"),
        (
            "f.csv",
            b'a,y\n"5" disk,1\nx,0\n',
            "f.csv:2: not as csv quotes it (',' expected after '\"')",
        ),
        ("f.csv", b"a,y\rx,1\r", "'a,y\\rx,1'; allowed: lines that end in \\n"),
        ("f.tsv", b"a\ty\rx\t1\r", "\nits lines end in \\r alone; allowed: lines that end in \\n, or in \\r\\n"),
        (
            "f.csv",
            b"sep=,\na,y\nx,1\n",
            "\nthe first line is for Excel; take it out, so that the header line is the first",
        ),
        (
            "f.csv",
            "a，y\nx，1\n".encode(),
            "\nthe commas are full-width ones (，); write plain ones (,) between fields",
        ),
        (
            "f.csv",
            b'a, y\n"x", "1"\n',
            "f.csv:2: quotes behind a blank: ' \"1\"'; allowed: quotes right behind the delimiter",
        ),
        (
            "f.csv",
            "这家酒店不错，很干净\t1\n".encode(),
            "the file looks tab-separated and its name says comma-separated",
        ),
        ("f.csv", "很好，干净;1\n".encode(), "the file looks separated by semicolons"),
        ("f.tsv", b"a,y\nx,1\n", "the file looks comma-separated and its name says tab-separated"),
    ],
)
def test_a_file_is_told_what_it_looks_like(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read_rows(tmp_path / name, TASK)
    assert said in str(error.value)


def test_rows_that_name_their_values_are_not_told_of_header_lines(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"data": [1]}\n')
    with pytest.raises(UserError, match=r"f.jsonl:1: no column 'a' \(task.text\), 'y' \(task.label\); found: 'data'$"):
        read_rows(tmp_path / "f.jsonl", TASK)

"""Reading files as they are in the wild, and the words for those that cannot be read."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from ofa.data.lines import MAX_LINE_BYTES
from ofa.data.rows import Rows, read_rows, rows_digest
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

PAIR = TaskConfig(
    name="pair",
    dev={"dev": "dev.tsv"},
    text=["a", "b"],
    label="y",
    labels=["no", "yes"],
    label_values=["0", "1"],
)


SINGLE = dataclasses.replace(PAIR, text=["a"], label_values=None)


SCORE = dataclasses.replace(PAIR, labels=[], label_values=None, score_range=[0.0, 5.0], metrics=["pearson"])


NAMELESS = dataclasses.replace(PAIR, columns=["y", "a", "b"])


def read(folder: Path, content: bytes, task: TaskConfig = PAIR, limit: int | None = None) -> Rows:
    (folder / "f.tsv").write_bytes(content)
    return read_rows(folder / "f.tsv", task, limit)


def summary(rows: Rows) -> list[tuple]:
    return list(zip(rows.text_a, rows.text_b or [None] * len(rows), rows.labels.tolist(), strict=True))


GOOD = {
    "plain": (PAIR, b"a\tb\ty\nx\tz\t1\np\tq\t0\n"),
    "byte-order mark": (PAIR, b"\xef\xbb\xbfa\tb\ty\nx\tz\t1\np\tq\t0\n"),
    "no header": (NAMELESS, b"1\tx\tz\n0\tp\tq\n"),
    "byte-order mark, no header": (NAMELESS, b"\xef\xbb\xbf1\tx\tz\n0\tp\tq\n"),
    "no last newline": (PAIR, b"a\tb\ty\nx\tz\t1\np\tq\t0"),
    "CRLF": (PAIR, b"a\tb\ty\r\nx\tz\t1\r\np\tq\t0\r\n"),
    "extra columns, another order": (PAIR, b"y\tid\tb\ta\n1\t7\tz\tx\n0\t8\tq\tp\n"),
    "blank lines": (PAIR, b"a\tb\ty\n\nx\tz\t1\n\r\np\tq\t0\n\n"),
    "columns without a name": (PAIR, b"a\tb\ty\t\t\nx\tz\t1\t\t\np\tq\t0\t\t\n"),
    "spaces around labels and names": (PAIR, b"a\t b\ty \nx\tz\t1 \np\tq\t 0\n"),
}


@pytest.mark.parametrize("case", GOOD)
def test_layouts_in_the_wild(tmp_path: Path, case: str) -> None:
    task, content = GOOD[case]
    rows = read(tmp_path, content, task)
    assert summary(rows) == [("x", "z", 1), ("p", "q", 0)]
    assert rows.labels.dtype == np.int64 and rows.skipped == 0


def test_only_newline_ends_a_line_and_quotes_mean_nothing(tmp_path: Path) -> None:
    odd = ['"half a quote', "a\u2028b\u0085c\x0bd\x1ce", 'it\'s "fine"', "\u4f60\u597d"]
    content = "a\ty\n" + "".join(f"{text}\tyes\n" for text in odd)
    assert read(tmp_path, content.encode(), SINGLE).text_a == odd


def test_scores_single_texts_limit_and_empty_half(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a\tb\ty\nx\t\t0\np\tq\t5.000\n\tr\t2.5\n", SCORE)
    assert summary(rows) == [("x", "", 0.0), ("p", "q", 5.0), ("", "r", 2.5)] and rows.labels.dtype == np.float32
    rows = read(tmp_path, b"a\ty\nx\tno\np\tyes\nbroken\n", SINGLE, limit=2)
    assert summary(rows) == [("x", None, 0), ("p", None, 1)]


HEAD = b"a\tb\ty\nx\tz\t1\n"


BAD: dict[str, tuple[TaskConfig, bytes, str]] = {
    "too few fields": (PAIR, HEAD + b"p\t1\n", "f.tsv:3: 2 fields where the header line names 3: 'p\\t1'"),
    "too many fields": (PAIR, HEAD + b"p\tq\t\t1\n", "f.tsv:3: 4 fields where the header line names 3: 'p\\tq\\t\\t1'"),
    "fields without header": (NAMELESS, b"1\tx\n", "f.tsv:1: 2 fields where task.columns names 3: '1\\tx'"),
    "unknown label": (PAIR, HEAD + b"p\tq\t2\n", "f.tsv:3: label '2' is unknown; allowed: '0', '1'"),
    "class name for value": (PAIR, HEAD + b"p\tq\tyes\n", "f.tsv:3: label 'yes' is unknown; allowed: '0', '1'"),
    "empty label": (SINGLE, b"a\ty\nx\t\n", "f.tsv:2: label '' is unknown; allowed: 'no', 'yes'"),
    "long label": (
        PAIR,
        HEAD + b"p\tq\t" + b"z" * 500 + b"\n",
        f"f.tsv:3: label '{'z' * 60}...' is unknown; allowed: '0', '1'",
    ),
    "score no number": (SCORE, HEAD + b"p\tq\thigh\n", "f.tsv:3: score 'high' is no number; allowed: 0 to 5"),
    "score with a line": (SCORE, HEAD + b"p\tq\t1_0\n", "f.tsv:3: score '1_0' is no number; allowed: 0 to 5"),
    "score empty": (SCORE, HEAD + b"p\tq\t\n", "f.tsv:3: score '' is no number; allowed: 0 to 5"),
    "score too high": (SCORE, HEAD + b"p\tq\t5.1\n", "f.tsv:3: score '5.1' is out of range; allowed: 0 to 5"),
    "score negative": (SCORE, HEAD + b"p\tq\t-1\n", "f.tsv:3: score '-1' is out of range; allowed: 0 to 5"),
    "score nan": (SCORE, HEAD + b"p\tq\tnan\n", "f.tsv:3: score 'nan' is out of range; allowed: 0 to 5"),
    "score infinite": (SCORE, HEAD + b"p\tq\tinf\n", "f.tsv:3: score 'inf' is out of range; allowed: 0 to 5"),
    "score infinite, no bounds": (
        dataclasses.replace(SCORE, score_range=[-math.inf, math.inf]),
        HEAD + b"p\tq\tinf\n",
        "f.tsv:3: score 'inf' is out of range; allowed: -inf to inf",
    ),
    "latin-1": (PAIR, HEAD + b"caf\xe9\tq\t1\n", "f.tsv:3: byte 4 (0xe9) is not UTF-8; allowed: text in UTF-8"),
    "cut character": (PAIR, HEAD + b"p\tq\xe2\x82\t1\n", "f.tsv:3: byte 4 (0xe2) is not UTF-8; allowed: text in UTF-8"),
    "mixed encodings": (
        PAIR,
        HEAD + "é\tq\t1\n".encode() + "é\tq\t1\n".encode("latin-1"),
        "f.tsv:4: byte 1 (0xe9) is not UTF-8; allowed: text in UTF-8",
    ),
    "NUL": (
        PAIR,
        HEAD + b"p\x00\tq\t1\n",
        "f.tsv:3: NUL at byte 2; allowed: text in UTF-8 (is it UTF-16, or not a text file?)",
    ),
    "UTF-16": (
        PAIR,
        "a\tb\ty\n".encode("utf-16"),
        "f.tsv:1: NUL at byte 4; allowed: text in UTF-8 (is it UTF-16, or not a text file?)",
    ),
    "10 MB line": (
        PAIR,
        HEAD + b"p" * 10_000_000 + b"\tq\t1\n",
        f"f.tsv:3: the line is longer than {MAX_LINE_BYTES:,} bytes",
    ),
    "10 MB header": (PAIR, b"p" * 10_000_000, f"f.tsv:1: the line is longer than {MAX_LINE_BYTES:,} bytes"),
    "no text": (PAIR, HEAD + b" \t\t1\n", "f.tsv:3: no text in 'a', 'b': ' \\t\\t1'"),
    "two columns alike": (PAIR, b"a\tb\tb\ty\n", "f.tsv:1: two columns have the same name: 'b'"),
    "column missing": (
        PAIR,
        b"a\tlabel\n",
        "f.tsv:1: no column 'b' (task.text), 'y' (task.label); found: 'a', 'label'\n",
    ),
    "column in another case": (SINGLE, b"A\ty\n", "found: 'A', 'y'\n'A' is near: names must agree in case, and in "),
    "column after a second mark": (
        SINGLE,
        b"\xef\xbb\xbf" * 2 + b"a\ty\n",
        "found: '\\ufeffa', 'y'\n'\\ufeffa' is near",
    ),
    "Chinese of Windows": (
        SINGLE,
        "a\ty\n很好\tno\n".encode("gb18030"),
        "f.tsv:2: byte 1 (0xba) is not UTF-8; allowed: text in UTF-8 (if it is Chinese: iconv -f GB18030 -t UTF-8)",
    ),
    "comma for tab": (PAIR, b"a,b,y\nx,z,1\n", "found: 'a,b,y'\nthe file looks comma-separated and its name says"),
    "old Mac line ends": (PAIR, b"a\tb\ty\rx\tz\t1\r", "found: 'a', 'b', 'y\\rx', 'z', '1'\n"),
    "empty file": (PAIR, b"", "f.tsv: the file is empty; allowed: a header line and at least one row"),
    "byte-order mark alone": (PAIR, b"\xef\xbb\xbf", "f.tsv: the file is empty"),
    "header alone": (PAIR, b"a\tb\ty\n", "f.tsv: no usable row"),
    "empty without header": (NAMELESS, b"\n", "f.tsv: no usable row"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_named(tmp_path: Path, case: str) -> None:
    task, content, message = BAD[case]
    with pytest.raises(UserError) as error:
        read(tmp_path, content, task)
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path)) and str(error.value).count("\n") <= 1
    assert max(map(len, str(error.value).splitlines())) < 300


ROW_CASES = [name for name, (_, content, _) in BAD.items() if content.startswith(HEAD)]


@pytest.mark.parametrize("case", ROW_CASES)
def test_bad_rows_are_left_out_and_counted(tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    task, content, message = BAD[case]
    rows = read(tmp_path, content + b"last\tone\t1\n", dataclasses.replace(task, bad_rows="skip"))
    assert rows.skipped == 1 and rows.text_a[0] == "x" and rows.text_a[-1] == "last"
    assert f"left out 1 malformed rows, kept {len(rows)}" in caplog.text and message in caplog.text


def test_nothing_left_after_skipping(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"f.tsv: no usable row of 2; the first: .*f.tsv:2: 1 fields where"):
        read(tmp_path, b"a\tb\ty\nx\nz\n", dataclasses.replace(PAIR, bad_rows="skip"))


def test_directory_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a directory; a tab-separated file is expected here"):
        read_rows(tmp_path, PAIR)
    with pytest.raises(UserError, match=r"gone.tsv: cannot be read \(No such file"):
        read_rows(tmp_path / "gone.tsv", PAIR)


# Digest and real data


def test_digest_tells_content_apart() -> None:
    labels = np.array([0, 1])
    variants = [
        Rows(["ab", "c"], None, labels),
        Rows(["a", "bc"], None, labels),
        Rows(["ab", "c"], ["", ""], labels),
        Rows(["ab", "c"], None, labels[::-1].copy()),
        Rows(["ab", "c"], None, labels.astype(np.float32)),
        Rows(["c", "ab"], None, labels),
    ]
    assert len({rows_digest(rows) for rows in variants}) == len(variants)
    assert rows_digest(variants[0]) == rows_digest(Rows(["ab", "c"], None, labels.copy(), skipped=3))


# Quotes


CSV = dataclasses.replace(SINGLE, quoting="csv")
MEANT = b'a\ty\n"""x"" he said"\tno\n"two\nlines\tand a tab"\tyes\nplain\tno\n'


def test_what_pandas_quoted_is_read_as_it_was_meant(tmp_path: Path) -> None:
    rows = read(tmp_path, MEANT, CSV)
    assert rows.text_a == ['"x" he said', "two\nlines\tand a tab", "plain"] and rows.labels.tolist() == [0, 1, 0]
    assert read(tmp_path, b'"a"\t"y"\n"x"\t"yes"\n', CSV).text_a == ["x"]
    with pytest.raises(UserError, match=r"f.tsv:2: not as csv quotes it|f.tsv:2: 1 fields where"):
        read(tmp_path, b'a\ty\n"x\tyes\n', CSV)


def test_quotes_are_not_read_as_text_unless_that_is_said(tmp_path: Path) -> None:
    for content, line in ((MEANT, 2), (b'"a"\t"y"\nx\tyes\n', 1)):
        with pytest.raises(UserError, match=rf"f.tsv:{line}: .* is in quotes as pandas [\s\S]*task.quoting=csv"):
            read(tmp_path, content, dataclasses.replace(SINGLE, bad_rows="skip"))
    literal = dataclasses.replace(SINGLE, quoting="none")
    assert read(tmp_path, b'a\ty\n"""x"""\tyes\n', literal).text_a == ['"""x"""']
    assert read(tmp_path, b'a\ty\n"so" and "so"\tyes\n"x"\tno\n', SINGLE).text_a == ['"so" and "so"', '"x"']


HALVES = {
    "the end of a line": (b'a\ty\n"line one\nline two"\tyes\n', 2, '"line one'),
    "a tab": (b'a\ty\nx\tno\n"one\ttwo"\tyes\n', 3, '"one'),
    "the end of the last column": (b'y\ta\nyes\t"line one\nline two"\n', 3, 'line two"'),
}


@pytest.mark.parametrize("case", HALVES)
@pytest.mark.parametrize("bad_rows", ["error", "skip"])
def test_half_a_text_in_quotes_is_no_row(tmp_path: Path, case: str, bad_rows: str) -> None:
    content, line, half = HALVES[case]
    task = dataclasses.replace(SINGLE, bad_rows=bad_rows)
    with pytest.raises(UserError, match=rf"f.tsv:{line}: '{half}' is a part of a text in quotes as pandas [\s\S]*=csv"):
        read(tmp_path, content, task)
    with pytest.raises(UserError, match=r"f.tsv:\d: \d fields where the header line names 2: [^\n]*$"):
        read(tmp_path, content, dataclasses.replace(task, quoting="none", bad_rows="error"))
    assert read(tmp_path, content, CSV).labels.tolist()[-1] == 1


def test_quotes_in_the_first_row_of_a_file_without_a_header_are_looked_at(tmp_path: Path) -> None:
    nameless = dataclasses.replace(SINGLE, columns=["a", "y"], label_values=["0", "1"], bad_rows="skip")
    for content in (b'"good film"\t1\n"bad"\t0\n', b'"good film"\t"1"\n"bad"\t"0"\n'):
        with pytest.raises(UserError, match=r"f.tsv:1: '\"good film\"' is in quotes as pandas [\s\S]*task.quoting=csv"):
            read(tmp_path, content, nameless)
        assert read(tmp_path, content, dataclasses.replace(nameless, quoting="csv")).text_a == ["good film", "bad"]
    literal = dataclasses.replace(nameless, quoting="none")
    assert read(tmp_path, b'"good"\t1\nbad\t0\n', literal).text_a == ['"good"', "bad"]


def test_many_quotes_in_a_row_take_no_time(tmp_path: Path) -> None:
    text = '"' * 200_001
    assert read(tmp_path, f"a\ty\n{text}\tyes\n".encode(), SINGLE).text_a == [text]

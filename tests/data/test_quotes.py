"""Quotes of csv: ends of lines within them are text, and a stray one is a malformed row and takes no other with it."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ofa.data.lines import BadRow
from ofa.data.quotes import MOST_ROW_LINES, put_together
from ofa.data.rows import read_rows
from ofa.data.tables import Table, open_table
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

TASK = TaskConfig(name="t", text=["a"], label="y", labels=["0", "1"])
# What follows "a,y"; the texts that are kept, and the lines that are left out.
STRAY = {
    "to the end of the file": ('"x,0\ny,1\nz,0\n', ["y", "z"], [2]),
    "in the last row": ('x,0\n"y,1', ["x"], [3]),
    "up to a field in quotes": ('"x,0\ny,1\n"the ""z""",0\nw,1\n', ["y", 'the "z"', "w"], [2]),
    "up to such a field that is the row's second": ('"x,0\ny,1\nz,"0"\n', ["y", "z"], [2]),
    "up to one that is not the first thing in its field": ('"x,0\n5" of "y",1\n', ['5" of "y"'], [2]),
    "two one after the other": ('"x,0\n"y,1\nz,0\n', ["z"], [2, 3]),
    "two with a row between": ('"x,0\nw,1\n"y,1\nz,0\n', ["w", "z"], [2, 4]),
    "before the label": ('x,"0\ny,1\n', ["y"], [2]),
    "for more lines than a text has": (
        '"x,0\n' + "y,1\n" * MOST_ROW_LINES + 'z",1\n',
        ["y"] * MOST_ROW_LINES + ['z"'],
        [2],
    ),
    "for more bytes than a row has": (
        '"x,0\n' + f"{'y' * 120_000},1\n" * 9 + 'z",1\n',
        ["y" * 120_000] * 9 + ['z"'],
        [2],
    ),
    "up to a text that ends in a quote": (
        '"x,0\n' + "y,1\n" * 500 + 'a screen of 5",0\n',
        ["y"] * 500 + ['a screen of 5"'],
        [2],
    ),
    "up to one after two rows": ('"x,0\ny,1\nz,0\n5",0\n', ["y", "z", '5"'], [2]),
    "closed and gone on with": ('"x"y,0\nz,1\n', ["z"], [2]),
    "in a text without quotes": ('5" x,0\ny,1\nz 3",0\n', ['5" x', "y", 'z 3"'], []),
    "in no text, of lines with a delimiter each": ('"x, y\nz, w\nx,\n1, 2\n",0\n', ["x, y\nz, w\nx,\n1, 2\n"], []),
    "in two texts, and in quotes between": ('5" x,0\n"y, ""z""\n",1\n3",0\n', ['5" x', 'y, "z"\n', '3"'], []),
}


@pytest.mark.parametrize("form", ["f.csv", "f.tsv"])
@pytest.mark.parametrize("case", STRAY)
def test_a_stray_quote_costs_its_own_row(case: str, form: str, tmp_path: Path) -> None:
    """It must not take the rows up to the next quote with it, and those are not counted as malformed."""
    rows, texts, lines = STRAY[case]
    between = "," if form == "f.csv" else "\t"
    (tmp_path / form).write_text(f"a,y\n{rows}".replace(",", between))
    task = dataclasses.replace(TASK, quoting="csv")
    if lines:
        with pytest.raises(
            UserError, match=rf"^\S*{form}:{lines[0]}: not as csv quotes it \(.*allowed: a field in quot"
        ):
            read_rows(tmp_path / form, task)
    kept = read_rows(tmp_path / form, dataclasses.replace(task, bad_rows="skip"))
    assert kept.text_a == [text.replace(",", between) for text in texts]
    assert kept.skipped == len(lines)
    with open_table(tmp_path / form, ["a"], "csv") as table:
        bad = [line for line, record in table.records if not _is_sound(table, record)]
    assert bad == lines


def _is_sound(table: Table, record: bytes) -> bool:
    try:
        return bool(table.fields(record))
    except BadRow:
        return False


def test_a_text_in_quotes_may_have_as_many_lines_as_it_is_said(tmp_path: Path) -> None:
    long = "one, \n" * (MOST_ROW_LINES - 1) + "last"
    (tmp_path / "f.csv").write_text(f'a,y\n"{long}",0\nx,1\n')
    assert read_rows(tmp_path / "f.csv", TASK).text_a == [long, "x"]


TEXTS = st.text('ab", \n', max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
def test_what_a_writer_of_csv_wrote_is_put_together_again(rows: list[tuple[str, str]]) -> None:
    """But for texts in which each line has one delimiter, as a row has."""
    assume(not any(re.search(r",.*\n(?=.*,.*\n.*,.*\n)", text) for row in rows for text in row))
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    lines = enumerate(written.getvalue().encode().split(b"\n"), 1)
    records = [record.decode() for _, record in put_together(lines, b",", 1_000_000)]
    assert [tuple(next(csv.reader([record], strict=True))) for record in records] == rows

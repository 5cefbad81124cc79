"""Columns stand one below the other on a screen, where Chinese letters take two places."""

from __future__ import annotations

from rich.cells import cell_len

from ofa.results import report, terminal
from ofa.results.columns import folded, lines

ROWS = [["task", "teacher", "w1", "w0.5"], ["酒店评论", "0.9300", "0.9200", "★ 0.91"], ["sst2", "0.93", "0.92", "0.9"]]


def test_columns_are_aligned_by_places() -> None:
    assert lines(ROWS)[1:] == ["酒店评论   0.9300  0.9200  ★ 0.91", "sst2         0.93    0.92     0.9"]
    assert {cell_len(line) for line in report.markdown(ROWS).splitlines()} == {
        len("| 12345678 | teacher | 0.9200 | ★ 0.91 |")
    }


def test_what_fits_into_a_window_is_counted_in_places() -> None:
    whole = 8 + 7 + 6 + 6 + 4 * terminal.GAP
    assert terminal.fitting(ROWS, whole) == [0, 1, 2, 3]
    assert len(terminal.fitting(ROWS, whole - 1)) == 3


def test_a_wide_table_goes_on_below() -> None:
    assert list(folded(ROWS, 33)) == [ROWS]
    first, second = folded(ROWS, 32)
    assert first == [row[:3] for row in ROWS] and second == [[row[0], row[3]] for row in ROWS]
    assert [table[0] for table in folded(ROWS, 1)] == [["task", name] for name in ROWS[0][1:]]

"""Columns of tables in text, by the places that letters take on a screen: Chinese ones take two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

GAP = 2  # places between two columns


def places(rows: Sequence[Sequence[str]]) -> list[int]:
    """How many places each column takes."""
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def padded(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Every cell filled up with blanks to its column: the first column stands to the left, the others to the right."""
    sizes = places(rows)
    return [
        [
            cell + " " * (size - cell_len(cell)) if i == 0 else " " * (size - cell_len(cell)) + cell
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        for row in rows
    ]


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line per row, columns aligned."""
    return [(" " * GAP).join(row).rstrip() for row in padded(rows)]


def folded(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[list[str]]]:
    """``rows`` as tables of at most ``width`` places, one below the other; each begins with the first column."""
    first, *sizes = places(rows)
    parts: list[list[int]] = [[]]
    for column, size in enumerate(sizes, 1):
        if parts[-1] and first + sum(GAP + sizes[i - 1] for i in parts[-1]) + GAP + size > width:
            parts.append([])
        parts[-1].append(column)
    for part in parts:
        yield [[row[i] for i in (0, *part)] for row in rows]

"""What a run says at its end in the terminal: the table, cut to the window, the advice, and lines to paste."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ofa.results import aggregate, report
from ofa.results.columns import GAP, places
from ofa.results.record import Results
from ofa.results.remarks import again
from ofa.settings.rules import EXTRAS

REMARKS = 3  # shown at most; all are in report.md
# Columns that go first where the window is narrow; those not named here stay the longest, in their order.
FIRST_TO_GO = ("undistilled", "last step", "MACs", "neurons", "heads", "params", "90% interval", "INT8 size", "size")
FIRST_OF_SWEEP = ("metric", "seeds")  # the same of a sweep's table


@dataclass(frozen=True)
class Where:
    """Where to look after a run.

    Attributes:
        run: its folder.
        pages: the command that serves its page in MLflow (None where a server does), and the address; None if it was
            not tracked.
        pair: whether its networks read pairs of texts.
    """

    run: Path
    pages: tuple[str | None, str] | None
    pair: bool = False


def show(results: Results, where: Where, console: Console | None = None) -> None:
    """Print the end of a run; plain text where the output is no terminal or NO_COLOR is set."""
    console = console or _console()
    if results.recommended:
        console.print()
        further = list(results.teacher.metrics)[1:] if results.teacher else []
        console.print(_table(report.table(results), console.width, further))
        console.print()
        console.print(escape(results.recommended.words), style="bold", soft_wrap=not console.is_terminal)
        remarks = [*results.warnings[:REMARKS]]
        if len(results.warnings) > REMARKS:
            more = len(results.warnings) - REMARKS
            remarks.append(f"({more} more remark{'s' if more > 1 else ''} in report.md)")
        for remark in remarks:  # a line each; whole ones are in the report
            style = {"no_wrap": True, "overflow": "ellipsis"} if console.is_terminal else {"soft_wrap": True}
            console.print(f"- {escape(remark)}", **style)
        console.print()
    for name, line in _lines(results, where):
        console.print(f"{name:<9}{escape(line)}", soft_wrap=True)


def show_sweep(numbers: dict[str, Any], output_dir: Path, console: Console | None = None) -> None:
    """Print what came of a sweep: a table with the network to take of each task starred, and how it runs.

    Args:
        numbers: see :func:`ofa.results.aggregate.summarise`.
    """
    console = console or _console()
    rows = aggregate.table(numbers)
    if len(fitting(rows, console.width)) < len(rows[0]):
        rows = aggregate.table(numbers, spread=False)
    console.print()
    console.print(_table(rows, console.width))
    console.print()
    for what, take in aggregate.takes(numbers):
        console.print(f"[bold]{escape(what)}[/bold]: {escape(take['words'])}", soft_wrap=not console.is_terminal)
        if take["folder"]:
            place = shlex.quote(str(output_dir / "runs" / take["folder"]))
            console.print(f"  Deploy {escape(place)}", soft_wrap=True)


def _console(**more: Any) -> Console:
    """The terminal; rich itself leaves out the colours alone where NO_COLOR is set, and writes bold."""
    return Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto", **more)


def fitting(rows: list[list[str]], width: int, further: Sequence[str] = ()) -> list[int]:
    """The columns of ``rows`` (header first) that fit into ``width`` places, the least important left out.

    Args:
        further: metrics besides the task's score, which decide nothing.
    """
    header = rows[0]
    order = {name: place for place, name in enumerate((*FIRST_TO_GO, *FIRST_OF_SWEEP, *further))}
    starred = {i for i in range(len(header)) if any(row[i].startswith("★") for row in rows)}
    by_worth = sorted(range(1, len(header)), key=lambda i: (i in starred, order.get(header[i], len(order)), -i))
    sizes, kept = places(rows), set(range(len(header)))
    for column in by_worth:
        if sum(sizes[i] + GAP for i in kept) <= width:
            break
        kept.discard(column)
    return sorted(kept)


def _table(rows: list[list[str]], width: int, further: Sequence[str] = ()) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    kept = fitting(rows, width, further)
    for place, column in enumerate(kept):
        table.add_column(escape(rows[0][column]), justify="right" if place else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*(escape(row[column]) for column in kept), style="green" if row[0].startswith("★") else "")
    return table


def _lines(results: Results, where: Where) -> list[tuple[str, str]]:
    """Names and lines that work when pasted."""
    lines = [("Report", str(where.run / "report.md"))] if results.recommended else []
    if results.export and results.recommended and results.recommended.name:
        lines.append(("Deploy", str(where.run / "recommended")))
        asked = [str(where.run), "the film was not good"]
        if where.pair:
            asked += ["--pair", "the film was bad"]
        if results.recommended.engine in EXTRAS:  # the others' answers come from ONNX Runtime, as they are installed
            asked += ["--engine", results.recommended.engine]
        lines.append(("Try", f"ofa predict {shlex.join(asked)}"))
    # A remark says what is unsteady; on a narrow screen its end, the command, is cut off.
    lines += [("Again", command) for command in again(results, where.run)]
    lines.append(("Results", str(where.run / "results.json")))
    command, address = where.pages or (None, None)
    return [*lines, *((name, line) for name, line in (("Compare", command), ("MLflow", address)) if line)]

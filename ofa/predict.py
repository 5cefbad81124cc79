"""Ask a network of a finished run, or an exported folder, about texts or a file of them: ``ofa predict``."""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

import numpy as np

from ofa.chosen import PRECISIONS, chosen
from ofa.data.lines import BadRow, decode, listed, numbered
from ofa.data.tables import open_table
from ofa.deploy.serving import TextClassifier
from ofa.errors import UserError
from ofa.settings.rules import extras_missing
from ofa.system.command import as_command

CHUNK = 512  # rows that are read, answered and written at once
ENGINES = ("onnxruntime", "paddle", "openvino")
OPTIONS = {"quoting": "--quoting", "columns": "--columns"}
Texts = list[str]  # of a row: one, or two of a pair


def classifier(
    given: Path, network: str | None = None, precision: str | None = None, engine: str = ENGINES[0]
) -> TextClassifier:
    """What answers for the folder or run that a user named; see :func:`ofa.chosen.chosen`."""
    for what, given_one, allowed in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if given_one is not None and given_one not in allowed:
            raise UserError(f"--{what}: {given_one!r}; allowed: {', '.join(allowed)}")
    if found := extras_missing("--engine", [engine]):
        raise UserError(found[0])
    folder, settings = chosen(given, network, precision, engine)
    if (engine, settings["precision"]) == ("paddle", "int8"):
        raise UserError("--precision: int8 is for onnxruntime and openvino; paddle runs fp32")
    if engine == "paddle":
        from ofa.system import process

        process.prepare()
    return TextClassifier(folder, settings, engine)


class Asked:
    """The answers of a network to rows of texts, and what was odd about the rows.

    Attributes:
        cut: rows that were longer than the network reads.
        empty: rows without any text.
    """

    def __init__(self, answers: TextClassifier) -> None:
        self.answers = answers
        self.rows = self.cut = self.empty = 0

    @property
    def heading(self) -> list[str]:
        names = self.answers.labels if self.answers.kind.has_classes else ()
        return [next(iter(self.answers.kind.answer)), *names]

    def logits(self, texts: list[Texts]) -> np.ndarray:
        """Logits ``[N, C]`` of ``N`` rows."""
        first, *second = ([*column] for column in zip(*texts, strict=True))
        encoded = self.answers.encode(first, second[0] if second else None)
        self.rows += len(texts)
        self.cut += encoded.truncated
        self.empty += sum(not any(text.strip() for text in row) for row in texts)
        return self.answers.logits_of(encoded)

    def table(self, rows: Iterable[Texts], chunk: int = CHUNK) -> Iterator[list[list[str]]]:
        """The cells of :attr:`heading` for each row, a chunk at a time: nothing else of ``rows`` is held."""
        source = iter(rows)
        while texts := list(itertools.islice(source, chunk)):
            logits, kind = self.logits(texts), self.answers.kind
            first, shares = kind.answers(logits, self.answers.labels)[0], kind.probabilities(logits)
            yield [
                [self.text(answer, "%s"), *(f"{value:.6f}" for value in share)]
                for answer, share in zip(first, shares, strict=True)
            ]

    def lines(self, rows: list[Texts]) -> list[list[str]]:
        """The cells of an answer to each of a few rows, for a person."""
        columns = self.answers.kind.answers(self.logits(rows), self.answers.labels)
        return [[self.text(cell, "%.4f") for cell in row] for row in zip(*columns, strict=True)]

    def text(self, cell: Any, number: str) -> str:
        """One cell of an answer; a number by the format ``number``, with no digits that a float32 has not."""
        if isinstance(cell, list):
            return self.answers.settings.get("label_separator", ",").join(self.text(part, number) for part in cell)
        return cell if isinstance(cell, str) else number % np.float32(cell)

    def remarks(self) -> Iterator[str]:
        if self.cut:
            most = self.answers.settings["max_seq_length"]
            yield f"{self.cut} of {self.rows} rows are longer than {most} tokens and were cut"
        if self.empty:
            yield f"{self.empty} of {self.rows} rows have no text"


def from_table(
    path: Path, columns: list[str] | None, count: int, quoting: str | None, names: list[str] | None = None
) -> Iterator[Texts]:
    """The texts of each row of a file; raises UserError with ``file:line`` at what cannot be read.

    Args:
        columns: with the texts.
        names: of all columns, of a file without a header line.
    """
    with open_table(path, columns or [], quoting, names, OPTIONS) as table:
        place, has = f"{path}:{table.line}", listed(table.names)
        if not columns:
            raise UserError(f"--text: name the column with the text; {place} has {has}")
        if len(columns) != count:
            raise UserError(f"--text: {len(columns)} column{'s' * (len(columns) > 1)} for a network of {_takes(count)}")
        missing = [name for name in columns if name not in table.names]
        if missing:
            hint = f"\n{table.looks_like}" if table.looks_like else ""
            raise UserError(f"{place}: no column {listed(missing)} (--text); found: {has}{hint}")
        places = [table.names.index(name) for name in columns]
        for line, record in table.records:
            try:
                fields = table.row(line, record)
            except BadRow as bad:
                raise UserError(f"{path}:{line}: {bad}") from None
            texts = [fields[at] for at in places]
            table.check_quotes(line, texts)
            yield texts


def from_lines(file: IO[bytes], count: int) -> Iterator[Texts]:
    """The text in each line of standard input, one answer for each."""
    if count > 1:
        raise UserError(f"standard input: it has single texts, this network takes {_takes(count)}; use --file")
    for line, content in numbered(file):  # type: ignore[arg-type]
        try:
            yield [decode(content)]
        except BadRow as bad:
            raise UserError(f"standard input:{line}: {bad}") from None


def from_arguments(texts: list[str], pairs: list[str] | None, count: int) -> list[Texts]:
    if (count > 1) != (pairs is not None):
        said = "missing: this task has" if count > 1 else "this task has no"
        raise UserError(f"--pair: {said} pairs of texts")
    if pairs is not None and len(pairs) != len(texts):
        raise UserError(f"--pair: {len(pairs)} for {len(texts)} texts; allowed: one for each")
    return [list(row) for row in zip(texts, *([pairs] if pairs is not None else []), strict=True)]


def _takes(count: int) -> str:
    return "pairs of texts" if count > 1 else "single texts"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ofa predict",
        description="Label texts with a network of a finished run, and say how probable each class is.",
        epilog="Texts on the command line get a label and its probability each. Those of --file, or of standard input "
        "(one per line), get a line each of a table: label and the probability of each class, or the score.",
    )
    parser.add_argument("folder", type=Path, help="of a run, or of one exported network; or a run's name in OFA_OUTPUT")
    parser.add_argument("texts", nargs="*", default=[], metavar="text", help="each in quotes")
    parser.add_argument("--pair", action="append", metavar="TEXT", help="the second text; once for each text")
    parser.add_argument("--file", type=Path, help=".tsv, .csv or .jsonl, with a header line or keys, or see --columns")
    parser.add_argument("--text", nargs="+", metavar="COLUMN", help="of --file: the column of text, or both of a pair")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="of --file without a header line: all its columns")
    parser.add_argument("--quoting", choices=("none", "csv"), help="of --file: csv reads what pandas put in quotes")
    parser.add_argument("--network", help="e.g. w0.5; the recommended one if left out")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--precision", choices=PRECISIONS, help="int8 where it is recommended, else fp32")
    return parser


@as_command
def main(arguments: list[str]) -> int:
    _answer(_parser().parse_intermixed_args(arguments))  # texts may follow an option, and come between two
    return 0


def _answer(options: argparse.Namespace) -> None:
    if options.file and (options.texts or options.pair):
        raise UserError("--file: there are texts on the command line, too; give one of them")
    for key, names in (("--text", options.text), ("--columns", options.columns)):
        if names and not options.file:
            raise UserError(f"{key}: names columns of --file ({', '.join(names)}), and there is none")
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(errors="strict")  # a table that another program reads holds the labels, or ends
    asked = Asked(classifier(options.folder, options.network, options.precision, options.engine))
    count = 2 if asked.answers.settings["pair"] else 1
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    if options.texts or options.pair:
        rows: Iterable[Texts] = from_arguments(options.texts, options.pair, count)
        writer.writerows(asked.lines(list(rows)))
    else:
        waiting = not options.file and sys.stdin.isatty()  # for somebody who types
        rows = from_lines(sys.stdin.buffer, count)
        if options.file:
            rows = from_table(options.file, options.text, count, options.quoting, options.columns)
        for part in asked.table(rows, 1 if waiting else CHUNK):
            if asked.rows == len(part):
                writer.writerow(asked.heading)
            writer.writerows(part)
            sys.stdout.flush()
        if not asked.rows:
            raise UserError(f"{options.file or 'standard input'}: no row to answer")
    for remark in asked.remarks():
        print(remark, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Read the splits of a task: tab-separated files as they are in the wild, checked row by row.

There is no quoting in GLUE's files, so a line is split on tabs and only ``\\n`` ends it. Files that
pandas or a spreadsheet quoted are recognised, and read with ``task.quoting=csv``. A malformed row stops
the run with its ``file:line``, or is left out and counted (``task.bad_rows=skip``).
"""

from __future__ import annotations

import csv
import hashlib
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ofa.errors import UserError
from ofa.settings.schema import TaskConfig
from ofa.system.files import require_regular

log = logging.getLogger(__name__)
MAX_LINE_BYTES = 1_000_000
_QUOTED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')  # a field in quotes with doubled ones inside


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        text_a: the first text of each row.
        text_b: the second text of each row; None for a task of single texts.
        labels: [N] class ids (int64), or scores (float32) for a regression task.
        skipped: malformed rows that were left out.
    """

    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.text_a)

    def take(self, indices: np.ndarray) -> Rows:
        """The rows ``indices``, in that order."""
        second = None if self.text_b is None else [self.text_b[index] for index in indices]
        return replace(
            self, text_a=[self.text_a[index] for index in indices], text_b=second, labels=self.labels[indices]
        )


class _BadRow(Exception):
    """What is wrong with one line; the reader adds the place."""


def _short(value: str, limit: int = 60) -> str:
    """The value quoted as in Python, so that a tab or a stray \\r shows, cut to ``limit`` characters."""
    return repr(value if len(value) <= limit else value[:limit] + "...")


def _listed(values: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(_short(value) for value in values[:limit]) + more


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank; of an overlong line only the beginning."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 3):  # a line of the greatest length and its \r\n, and one byte more
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # byte-order mark
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line:
            yield number, line


def _records(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """The lines put together over which a quoted field goes, under the number of the first."""
    for number, line in lines:
        parts, quotes = [line], line.count(b'"')
        while quotes % 2 and sum(map(len, parts)) <= MAX_LINE_BYTES:
            _, more = next(lines, (0, None))
            if more is None:
                break
            parts.append(more)
            quotes += more.count(b'"')
        yield number, b"\n".join(parts)


def _fields(line: bytes, task: TaskConfig) -> list[str]:
    """The fields of a line, or of the lines of a record; raises _BadRow."""
    text = _decode(line)
    if task.quoting != "csv":
        return text.split("\t")
    try:
        return next(csv.reader([text], delimiter="\t", strict=True))
    except csv.Error as error:
        raise _BadRow(f"not as csv quotes it ({error}): {_short(text)}") from None


def _check_unquoted(place: str, fields: Iterable[str], pattern: re.Pattern[str], task: TaskConfig) -> None:
    """Refuse to read quotes as text where they are plainly a writer's, unless that is asked for."""
    found = next((field for field in fields if pattern.fullmatch(field)), None)
    if task.quoting is None and found is not None:
        raise UserError(
            f"{place}: {_short(found)} is in quotes as pandas and spreadsheets write them\n"
            "set task.quoting=csv to read what is meant, or task.quoting=none if the quotes belong to the text"
        )


def _decode(line: bytes) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise _BadRow(f"the line is longer than {MAX_LINE_BYTES:,} bytes, it begins with {_short(repr(line[:40]))}")
    if 0 in line:
        raise _BadRow(f"NUL at byte {line.index(0) + 1}; allowed: text in UTF-8 (is it UTF-16, or not a text file?)")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BadRow(
            f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8; allowed: text in UTF-8"
        ) from None


def _class_parser(task: TaskConfig) -> Callable[[str], float]:
    """The function from a label's text to its class id; it raises _BadRow."""
    ids = {value: index for index, value in enumerate(task.label_values or task.labels)}

    def parse_class(value: str) -> float:
        if value not in ids:
            raise _BadRow(f"label {_short(value)} is unknown; allowed: {_listed(list(ids))}")
        return ids[value]

    return parse_class


def _score_parser(task: TaskConfig) -> Callable[[str], float]:
    """The function from a label's text to its score; it raises _BadRow."""
    low, high = task.score_range or (-math.inf, math.inf)

    def parse_score(value: str) -> float:
        try:
            score = float(value)
        except ValueError:
            raise _BadRow(f"score {_short(value)} is no number; allowed: {low:g} to {high:g}") from None
        if not (low <= score <= high and math.isfinite(score)):
            raise _BadRow(f"score {_short(value)} is out of range; allowed: {low:g} to {high:g}")
        return score

    return parse_score


# Kind of task -> the type of a label, and what makes the function that reads one.
_LABELS: dict[str, tuple[type, Callable[[TaskConfig], Callable[[str], float]]]] = {
    "classes": (np.int64, _class_parser),
    "score": (np.float32, _score_parser),
}


@dataclass(frozen=True)
class _Layout:
    """Where a line holds what: the number of fields, who says so, and the positions of texts and label."""

    fields: int
    source: str
    texts: list[int]
    label: int

    def split(self, line: bytes, task: TaskConfig) -> list[str]:
        """The fields of a line; raises _BadRow."""
        fields = _fields(line, task)
        shown = _short("\t".join(fields))
        if len(fields) != self.fields:
            raise _BadRow(f"{len(fields)} fields where {self.source} {self.fields}: {shown}")
        if not any(fields[at].strip() for at in self.texts):
            raise _BadRow(f"no text in {_listed(task.text)}: {shown}")
        return fields


def _layout(path: Path, lines: Iterator[tuple[int, bytes]], task: TaskConfig) -> _Layout:
    """From task.columns, or from the header line, which is taken from ``lines``."""
    number, names, source = 1, task.columns, "task.columns names"
    if names is None:
        number, header = next(lines, (0, b""))
        if number == 0:
            raise UserError(f"{path}: the file is empty; allowed: a header line and at least one row")
        try:
            names, source = [name.strip() for name in _fields(header, task)], "the header line names"
        except _BadRow as bad:
            raise UserError(f"{path}:{number}: {bad}") from None
        _check_unquoted(f"{path}:{number}", names, re.compile('".*"'), task)
    double = sorted({name for name in names if name and names.count(name) > 1})
    if double:
        raise UserError(f"{path}:{number}: two columns have the same name: {_listed(double)}")
    wanted = {**dict.fromkeys(task.text, "task.text"), task.label: "task.label"}
    missing = [f"{name!r} ({key})" for name, key in wanted.items() if name not in names]
    if missing:
        raise UserError(
            f"{path}:{number}: no column {', '.join(missing)}; found: {_listed(names)}\n"
            "a file without a header line needs the names of its columns in task.columns"
        )
    return _Layout(len(names), source, [names.index(name) for name in task.text], names.index(task.label))


def _open(path: Path) -> BinaryIO:
    if path.is_fifo() or path.is_char_device():
        require_regular(path)
    try:
        return path.open("rb")
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; a tab-separated file is expected here") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def read_rows(path: Path, task: TaskConfig, limit: int | None = None) -> Rows:
    """Read one file of the task, its first ``limit`` usable rows or all.

    Blank lines are passed over. A row may lack one text of a pair (QQP has such rows), not all text.

    Raises:
        UserError: ``file:line``, the value and what is allowed, at the first malformed row unless
            ``task.bad_rows`` is skip; and if the header is wrong or no row is usable.
    """
    path = Path(path)
    dtype, parser = _LABELS[task.kind]
    parse_label = parser(task)
    texts: list[list[str]] = [[] for _ in task.text]
    labels: list[float] = []
    skipped, first_bad = 0, ""
    with _open(path) as file:
        lines = _records(_lines(file)) if task.quoting == "csv" else _lines(file)
        layout = _layout(path, lines, task)
        for number, line in lines:
            try:
                fields = layout.split(line, task)
                labels.append(parse_label(fields[layout.label].strip()))
            except _BadRow as bad:
                if task.bad_rows != "skip":
                    raise UserError(f"{path}:{number}: {bad}") from None
                skipped, first_bad = skipped + 1, first_bad or f"{path}:{number}: {bad}"
                continue
            _check_unquoted(f"{path}:{number}", (fields[at] for at in layout.texts), _QUOTED, task)
            for column, at in zip(texts, layout.texts, strict=True):
                column.append(fields[at])
            if len(labels) == limit:
                break
    if not labels:
        raise UserError(f"{path}: no usable row" + (f" of {skipped}; the first: {first_bad}" if skipped else ""))
    if skipped:
        log.warning("%s: left out %d malformed rows, kept %d; the first: %s", path, skipped, len(labels), first_bad)
    return Rows(texts[0], texts[1] if len(texts) > 1 else None, np.array(labels, dtype=dtype), skipped)


def rows_digest(rows: Rows) -> str:
    """SHA-256 of texts and labels: equal for equal content, whatever file it came from."""
    digest = hashlib.sha256(f"{len(rows)} {rows.text_b is not None} {rows.labels.dtype}\n".encode())
    for texts in (rows.text_a, rows.text_b or []):
        encoded = [text.encode("utf-8") for text in texts]
        digest.update(np.array([len(text) for text in encoded], dtype="<i8").tobytes())
        digest.update(b"".join(encoded))
    digest.update(rows.labels.astype(rows.labels.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()

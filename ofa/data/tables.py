"""Read a table row by row, without holding it: tab- or comma-separated text, or a JSON object on every line.

The ending of the name says which; a folder is a split of Hugging Face's ``datasets``. Only ``\\n`` ends a line. In a
``.csv`` file quotes mean what RFC 4180 says; in others they are text, unless the caller says otherwise.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ofa.data.arrow import is_split, read_split
from ofa.data.forms import COMMAS, EXCEL, JSON_LINES, TABS, form_of, looks_like, signature
from ofa.data.lines import MAX_LINE_BYTES, BadRow, decode, listed, numbered, short
from ofa.data.quotes import MOST_ROW_LINES, put_together
from ofa.errors import UserError
from ofa.system.files import require_regular

csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))  # its own 131,072 characters are less than a line
MOST_HINTED = 10_000  # bytes of a first line that show its form
OF_TASK = {"quoting": "task.quoting", "columns": "task.columns"}
DELIMITERS = {TABS: "\t", COMMAS: ","}
LEFT_OPEN = "unexpected end of data"  # as csv says it
_IN_QUOTES = re.compile('".*"', re.DOTALL)
_LATE = re.compile(r'\s+"[^"]+"\s*')  # a field in quotes that csv does not take for one
_DOUBLED = re.compile(r'"(?=[^"]*"")(?:[^"]++|"")*+"')  # a field in quotes with doubled ones inside
_HALF = re.compile(r'"(?!.*"$).*|(?!").*"', re.DOTALL)  # what a tab or the end of a line leaves of a field in quotes


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes:
        path: of the file.
        line: number of the line that names the columns.
        names: of the columns; of JSON lines, the keys of the first row.
        source: who gives the names, as in ``the header line names``.
        records: line number and bytes of each row; a row of several lines has the number of the first.
        fields: from the bytes of a row to its values, in the order of ``names``; raises BadRow.
        quoting: the setting that says what quotes mean, if they are read as text and nobody has said so.
        quoted: columns that are read and may be in quotes.
    """

    path: Path
    line: int
    names: list[str]
    source: str
    records: Iterator[tuple[int, bytes]]
    fields: Callable[[bytes], list[str]]
    quoting: str | None
    quoted: frozenset[str] = frozenset()

    @property
    def looks_like(self) -> str | None:
        """What the file is, if that is another form than its ending says: in words."""
        line = "\n".join(self.names)
        odd = len(self.names) == 1 or line.startswith(("{", EXCEL)) or "\r" in line
        return looks_like(line, form_of(self.path)) if odd else None

    def row(self, line: int, record: bytes) -> list[str]:
        """The fields of a row, as many as there are names; raises BadRow, and UserError as :meth:`check_quotes`."""
        fields = self.fields(record)
        if len(fields) != len(self.names):
            self.check_quotes(line, fields, _HALF)
            shown = short("\t".join(fields))
            raise BadRow(f"{len(fields)} fields where {self.source} {len(self.names)}: {shown}")
        for name, field in zip(self.names, fields, strict=True):
            # As it stands in the line: within quotes, those of the text would be doubled.
            if name in self.quoted and _LATE.fullmatch(field) and field.encode() in record:
                raise BadRow(f"quotes behind a blank: {short(field)}; allowed: quotes right behind the delimiter")
        return fields

    def check_quotes(self, line: int, fields: Sequence[str], pattern: re.Pattern[str] = _DOUBLED) -> None:
        """Refuse to read quotes as text where they are plainly a writer's, unless that is asked for.

        Raises:
            UserError: with the field, and the setting that says what is meant.
        """
        found = next((field for field in fields if pattern.fullmatch(field)), None) if self.quoting else None
        if found is not None:
            part = "a part of a text " if pattern is _HALF else ""
            raise UserError(
                f"{self.path}:{line}: {short(found)} is {part}in quotes as pandas and spreadsheets write them\n"
                f"set {self.quoting}=csv to read what is meant, or {self.quoting}=none if the quotes belong to the text"
            )


@contextmanager
def open_table(
    path: Path,
    wanted: Sequence[str],
    quoting: str | None = None,
    names: list[str] | None = None,
    keys: Mapping[str, str] = OF_TASK,
    lists: Mapping[str, str] | None = None,
) -> Iterator[Table]:
    """Open the table in ``path``.

    Args:
        wanted: the columns that will be read; whether they are there is for the caller to ask.
        quoting: ``csv``: fields may be in quotes; ``none``: quotes are text; None: as the ending says, and of
            tab-separated text none.
        names: of the columns of a file without a header line.
        keys: what sets ``quoting`` and the ``columns``, for messages.
        lists: columns of JSON lines that may hold lists of text -> what to join these by.

    Raises:
        UserError: if the file cannot be read, is empty, or its header is malformed: ``file:line`` and what is allowed.
    """
    if is_split(path):
        _require_own_names(path, names, keys["columns"])
        names, records = read_split(path, wanted)
        yield Table(path, 1, names, "the data set has", records, _object_reader(names, wanted, lists or {}), None)
        return
    form = form_of(path)
    quotes = quoting or ("csv" if form == COMMAS else None)
    with _opened(path) as file:
        lines = numbered(file)
        if quotes == "csv" and form != JSON_LINES:
            records = put_together(lines, DELIMITERS[form].encode(), MAX_LINE_BYTES, len(names) if names else None)
        else:
            records = ((number, line) for number, line in lines if (line.strip() if form == JSON_LINES else line))
        line, source = 1, f"{keys['columns']} names"
        if form == JSON_LINES:
            _require_own_names(path, names, keys["columns"])
            names, line, records = _keys(path, records)
            yield Table(
                path, line, names, "the first row has", records, _object_reader(names, wanted, lists or {}), None
            )
            return
        fields = _splitter(DELIMITERS[form], quotes == "csv")
        quoted = frozenset(wanted) if quotes == "csv" else frozenset()
        unsaid = keys["quoting"] if quotes is None else None
        table = Table(path, line, names or [], source, records, fields, unsaid, quoted)
        yield _with_header(table) if names is None else _without_header(table)


def _require_own_names(path: Path, names: list[str] | None, key: str) -> None:
    if names is not None:
        instead = f"set {key}=null" if key == OF_TASK["columns"] else "leave it out"
        raise UserError(f"{key}: {path} names its columns itself, in every row; {instead}")


def _with_header(table: Table) -> Table:
    """``table`` under the names in its first record, which is taken from the others."""
    line, header = next(table.records, (0, b""))
    if line == 0:
        raise UserError(f"{table.path}: the file is empty; allowed: a header line and at least one row")
    try:
        names = [name.strip() for name in table.fields(header)]
    except BadRow as bad:
        hint = looks_like(header[:MOST_HINTED].decode(errors="replace"), form_of(table.path))
        raise UserError(f"{table.path}:{line}: {bad}" + (f"\n{hint}" if hint else "")) from None
    table.check_quotes(line, names, _IN_QUOTES)
    return replace(table, line=line, names=names, source="the header line names")


def _without_header(table: Table) -> Table:
    """``table``, of which the first record has been looked at as a header is."""
    first = list(islice(table.records, 1))
    for line, record in first:
        with suppress(BadRow):  # who reads the rows says so
            table.check_quotes(line, table.fields(record), _IN_QUOTES)
    return replace(table, records=chain(first, table.records))


def _opened(path: Path) -> BufferedReader:
    if path.is_fifo() or path.is_char_device():
        require_regular(path)
    try:
        file = path.open("rb")
    except IsADirectoryError:
        raise UserError(f"{path}: is a directory; a {form_of(path)} file is expected here") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if what := signature(file.peek(4)):
        file.close()
        raise UserError(f"{path}: is {what}; allowed: {form_of(path)} text in UTF-8")
    return file


def _splitter(delimiter: str, quotes: bool) -> Callable[[bytes], list[str]]:
    def split(record: bytes) -> list[str]:
        text = decode(record)
        if not quotes:
            return text.split(delimiter)
        try:
            return next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            reason = "a quote is left open" if str(error) == LEFT_OPEN else str(error).partition(" - ")[0]
            doubled = f"a field in quotes, those within it doubled, of {MOST_ROW_LINES:,} lines at most, not like rows"
            allowed = doubled if '"' in text else "lines that end in \\n"
            raise BadRow(f"not as csv quotes it ({reason}): {short(text)}; allowed: {allowed}") from None

    return split


def _keys(path: Path, records: Iterator[tuple[int, bytes]]) -> tuple[list[str], int, Iterator[tuple[int, bytes]]]:
    """The keys of the first row, the number of its line, and all rows."""
    number, first = next(records, (0, b""))
    if number == 0:
        raise UserError(f"{path}: the file is empty; allowed: a JSON object on every line")
    try:
        return list(_object(first)), number, chain([(number, first)], records)
    except BadRow as bad:
        hint = looks_like(first[:MOST_HINTED].decode(errors="replace"), JSON_LINES)
        raise UserError(f"{path}:{number}: {bad}" + (f"\n{hint}" if hint else "")) from None


def _object(line: bytes) -> dict[str, Any]:
    text = decode(line)
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # halves of characters are no text
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:80]
        raise BadRow(f"not readable as JSON ({reason}): {short(text)}") from None
    if not isinstance(found, dict):
        raise BadRow(f"{short(text)} is no object; allowed: a JSON object in braces on every line")
    return found


def _object_reader(names: list[str], wanted: Sequence[str], lists: Mapping[str, str]) -> Callable[[bytes], list[str]]:
    """What reads the ``wanted`` values of a row; the others are left empty, and need not be there or be text."""

    def read(record: bytes) -> list[str]:
        found = _object(record)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise BadRow(f"no {listed(missing)}, which the first row has; found: {listed(list(found))}")
        return [_cell(name, found[name], lists.get(name)) if name in wanted else "" for name in names]

    return read


def _cell(name: str, value: Any, separator: str | None = None) -> str:
    """Text as it is, null and NaN as no text, a number or a truth value as JSON writes it; raises BadRow.

    Args:
        separator: what the entries of a list are joined by; None if there may be none.
    """
    if separator is not None and isinstance(value, list):
        parts = [_cell(name, part) for part in value]
        odd = next((part for part in parts if separator in part or not part), None)
        if odd is not None:
            raise BadRow(f"{name} has {short(odd)} in its list; allowed: text without {separator!r} in it")
        return separator.join(parts)
    if isinstance(value, dict | list):
        raise BadRow(f"{name} is {short(json.dumps(value))}; allowed: text or a number")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):  # as pandas writes what is missing
        return ""
    return value if isinstance(value, str) else json.dumps(value)

"""Which lines of a file with fields in quotes are one row: those over which such a field goes.

As RFC 4180 and Python's csv have it, quotes open a field only as its first character, and a quote within is doubled. A
quote that somebody forgot to double or to close would take every row up to the next quote for one text. It shows: the
next quote is followed by something else than a delimiter or the end of a line, or there is none in the rows that one
text may plausibly go over, or all lines before it are like rows of their own.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

MOST_ROW_LINES = 1_000
FEWEST_ROWS = 2  # between a stray quote and the next, by which it shows: a line of a text may be like a row by chance
_TO_CLOSE = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')  # the rest of a field in quotes


def put_together(
    lines: Iterator[tuple[int, bytes]], delimiter: bytes, most_bytes: int, columns: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The lines of each row as one record, under the number of the first; no blank ones between rows.

    A line whose quotes are not those of a row comes alone, which a strict reader of csv refuses, and the next record
    begins in the line after it: a stray quote costs no other row.

    Args:
        lines: their numbers and bytes, without their ends.
        most_bytes: of a row of several lines.
        columns: their number; None: the first record says.
    """
    ahead: deque[tuple[int, bytes]] = deque()  # lines that were looked at, and may be rows of their own
    while (first := ahead.popleft() if ahead else next(lines, None)) is not None:
        number, line = first
        if not line:
            continue
        parts, quoted = [line], _left_open(line, False, delimiter)
        while quoted and len(parts) < MOST_ROW_LINES and sum(map(len, parts)) <= most_bytes:
            if len(parts) > len(ahead):
                ahead.extend(islice(lines, 1))
            if len(parts) > len(ahead):
                break  # the end of the file
            parts.append(ahead[len(parts) - 1][1])
            quoted = _left_open(parts[-1], True, delimiter)
        if quoted is not False or _are_rows(parts[:-1], delimiter, columns):
            parts = [line]
        for _ in parts[1:]:
            ahead.popleft()
        record = b"\n".join(parts)
        columns = columns or record.count(delimiter) + 1
        yield number, record


def _are_rows(lines: Sequence[bytes], delimiter: bytes, columns: int | None) -> bool:
    """Whether all of ``lines``, up to the one that closes a quote, are plainly rows, the first with a stray quote.

    Those of a text have a delimiter now and then; a comma of prose stands before a blank or at the end of its line.
    """
    if columns is None or columns < 2 or len(lines) <= FEWEST_ROWS:
        return False
    first, *inner = lines
    return first.count(delimiter) + 1 >= columns and all(
        line.count(delimiter) + 1 == columns and delimiter + b" " not in line and not line.endswith(delimiter)
        for line in inner
    )


def _left_open(line: bytes, quoted: bool, delimiter: bytes) -> bool | None:
    """Whether ``line`` ends within quotes; None if something else than the next field follows a closing quote.

    Only the first character of a field opens quotes, as csv reads it: elsewhere a quote is text.

    Args:
        quoted: whether it begins within quotes.
    """
    at = 0
    while True:
        if quoted:
            closed = _TO_CLOSE.match(line, at)
            if closed is None:
                return True
            at = closed.end()
            if at < len(line) and not line.startswith(delimiter, at):
                return None
            quoted = False
        elif line.startswith(b'"', at):
            quoted, at = True, at + 1
            continue
        at = line.find(delimiter, at) + 1
        if at == 0:
            return False

"""Lines of a file as text, however long they are and whatever is in them, and the words for what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

MAX_LINE_BYTES = 1_000_000


class BadRow(Exception):
    """What is wrong with one row; who reads it adds the place."""


def short(value: str, limit: int = 60) -> str:
    """The value quoted as in Python, so that a tab or a stray \\r shows, cut to ``limit`` characters."""
    return repr(value if len(value) <= limit else value[:limit] + "...")


def listed(values: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(short(value) for value in values[:limit]) + more


def numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line; of an overlong line only the beginning."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 3):  # a line of the greatest length and its \r\n, and one byte more
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # byte-order mark
        yield number, line.removesuffix(b"\n").removesuffix(b"\r")


def decode(line: bytes) -> str:
    """The text of a line; raises BadRow."""
    if len(line) > MAX_LINE_BYTES:
        raise BadRow(f"the line is longer than {MAX_LINE_BYTES:,} bytes, it begins with {short(repr(line[:40]))}")
    if 0 in line:
        raise BadRow(f"NUL at byte {line.index(0) + 1}; allowed: text in UTF-8 (is it UTF-16, or not a text file?)")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} (0x{line[error.start]:02x})"
        raise BadRow(f"{place} is not UTF-8; allowed: text in UTF-8{_of_chinese(line)}") from None


def _of_chinese(line: bytes) -> str:
    """What makes UTF-8 of Chinese as Windows writes it; of two letters in a row, as other encodings have few."""
    try:
        line.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return " (if it is Chinese: iconv -f GB18030 -t UTF-8)" if re.search(rb"[\x81-\xfe]{4}", line) else ""

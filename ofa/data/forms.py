"""What form a table has by the ending of its name, and what a file looks like that has another."""

from __future__ import annotations

from pathlib import Path

TABS, COMMAS, JSON_LINES = "tab-separated", "comma-separated", "JSON lines"
FORMS = {".csv": COMMAS, ".jsonl": JSON_LINES, ".json": JSON_LINES}  # ending -> form; tabs for all others
ENDINGS = {TABS: ".tsv", COMMAS: ".csv", JSON_LINES: ".jsonl"}
EXCEL = "sep="  # a first line for Excel alone, with the character between fields
# How files begin that are no text at all -> what they are, and what makes text of them.
SIGNATURES = {
    b"PK\x03\x04": "a zip archive or a spreadsheet (.xlsx); unpack it, or save the sheet as .csv",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls); save it as .csv",
    b"PAR1": "a Parquet file; write it as .jsonl, or with datasets' save_to_disk",
    b"\x1f\x8b": "compressed by gzip; unpack it",
}


def form_of(path: Path) -> str:
    return FORMS.get(path.suffix.lower(), TABS)


def signature(head: bytes) -> str | None:
    """What a file is that begins with ``head`` and is no text in UTF-8; None if it may be."""
    return next((words for start, words in SIGNATURES.items() if head.startswith(start)), None)


def looks_like(line: str, own: str) -> str | None:
    """In words, the form of a file that begins with ``line``, if that is another than its ``own`` by its name."""
    if own == TABS and "\r" in line:
        return "its lines end in \\r alone; allowed: lines that end in \\n, or in \\r\\n"
    if line.startswith(EXCEL):
        return "the first line is for Excel; take it out, so that the header line is the first"
    signs = {JSON_LINES: line.startswith("{"), TABS: "\t" in line, COMMAS: "," in line}
    if own == JSON_LINES and line.startswith("["):
        return "the file looks like one JSON list; write each of its objects on a line of its own"
    if own == JSON_LINES and line.strip() == "{":
        return "the file looks like one JSON text over several lines; write each object on a line of its own"
    other = next((form for form, seen in signs.items() if seen), own)
    if other == own and ";" in line and own != JSON_LINES and not signs[own]:  # as where a comma is in numbers
        return "the file looks separated by semicolons; save it with commas as .csv, or with tabs as .tsv"
    if own == COMMAS and not any(signs.values()) and "，" in line:
        return "the commas are full-width ones (，); write plain ones (,) between fields"
    if other == own:
        return None
    return f"the file looks {other} and its name says {own}; the names of {other} files end in {ENDINGS[other]}"

"""The folder of one split as Hugging Face's ``datasets`` writes it (``save_to_disk``), row by row as JSON.

The library comes with PaddleNLP and is imported only where such a folder is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ofa.errors import UserError

SPLIT, SPLITS = "state.json", "dataset_dict.json"  # what the folders of one split, and of several, hold


def is_split(path: Path) -> bool:
    return (path / SPLIT).is_file()


def splits_of(folder: Path) -> list[str]:
    """The splits in a folder with several, which are folders in it; none if it is no such folder."""
    try:
        return list(map(str, json.loads((folder / SPLITS).read_text(encoding="utf-8"))["splits"]))
    except (OSError, ValueError, KeyError, TypeError):
        return []


def read_split(path: Path, wanted: Sequence[str]) -> tuple[list[str], Iterator[tuple[int, bytes]]]:
    """The columns of the split in ``path``, and number (from 1) and JSON of each row, with its ``wanted`` columns only.

    Class ids are written as the names that the folder has for them.

    Raises:
        UserError: if the folder cannot be read.
    """
    try:
        from datasets import load_from_disk

        found = load_from_disk(str(path)).with_format(None)
        columns = list(found.column_names)
        rows = found.select_columns([name for name in columns if name in wanted])
    except Exception as error:  # Arrow's, JSON's and the library's own
        raise UserError(
            f"{path}: not readable by datasets.load_from_disk ({str(error).splitlines()[0][:120]})"
        ) from None
    named = {name: _namer(feature) for name, feature in rows.features.items()}
    return columns, ((number, _json(row, named)) for number, row in enumerate(rows, 1))


def _json(row: dict[str, Any], named: dict[str, Callable[[Any], Any]]) -> bytes:
    values = {name: named[name](value) for name, value in row.items()}
    return json.dumps(values, ensure_ascii=False, default=_as_text).encode(errors="surrogateescape")


def _as_text(value: Any) -> str:
    """What JSON does not know: Spark writes texts as bytes. Bytes that are no UTF-8 stay, for the reader to refuse."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def _namer(feature: Any) -> Callable[[Any], Any]:
    """What makes names of the class ids, or lists of them, of a column; other values stay as they are."""
    names = getattr(getattr(feature, "feature", feature), "names", None)

    def name(value: Any) -> Any:
        if isinstance(value, list):
            return [name(part) for part in value]
        # -1 stands for no label in the hub's test splits
        return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value

    return name

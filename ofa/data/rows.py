"""Read the splits of a task from its tables, checked row by row.

There is no quoting in GLUE's files, so a line of a ``.tsv`` is split on tabs. Files that pandas or a spreadsheet
quoted are recognised, and read with ``task.quoting=csv``. A malformed row stops the run with its ``file:line``, or is
left out and counted (``task.bad_rows=skip``).
"""

from __future__ import annotations

import hashlib
import logging
import math
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ofa.data.forms import JSON_LINES, form_of
from ofa.data.kinds import KINDS
from ofa.data.lines import BadRow, listed, short
from ofa.data.tables import Table, open_table
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        text_a: the first text of each row.
        text_b: the second text of each row; None for a task of single texts.
        labels: [N] class ids (int64), scores (float32) of a regression task, or 0 and 1 for each class (float32
            [N, C]) where a row has several labels.
        skipped: malformed rows that were left out.
    """

    text_a: list[str]
    text_b: list[str] | None
    labels: np.ndarray
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.text_a)

    @property
    def columns(self) -> list[list[str]]:
        """The texts: one list, or for a task of pairs two."""
        return [self.text_a] if self.text_b is None else [self.text_a, self.text_b]

    def take(self, indices: np.ndarray) -> Rows:
        """The rows ``indices``, in that order."""
        second = None if self.text_b is None else [self.text_b[index] for index in indices]
        return replace(
            self, text_a=[self.text_a[index] for index in indices], text_b=second, labels=self.labels[indices]
        )


# What stands for the label of a row without one, by the type of labels: of classes; of scores and several labels.
NO_LABEL: dict[type, float] = {np.int64: -1, np.float32: math.nan}


def has_label(labels: np.ndarray) -> np.ndarray:
    """Which rows have a label, bool [N], of labels as in :class:`Rows`; the others have ``NO_LABEL``."""
    found = ~np.isnan(labels) if labels.dtype == np.float32 else labels != NO_LABEL[np.int64]
    return found.reshape(len(labels), -1).all(axis=1)


@dataclass(frozen=True)
class Layout:
    """Where a row holds what: the columns' number, the positions of texts and label (None where none is read)."""

    table: Table
    task: TaskConfig
    texts: list[int]
    label: int | None

    @classmethod
    def of(cls, table: Table, task: TaskConfig, labelled: bool = True) -> Layout:
        """Raises UserError if a column is missing, or named twice."""
        names, place = table.names, f"{table.path}:{table.line}"
        double = sorted({name for name in names if name and names.count(name) > 1})
        if double:
            raise UserError(f"{place}: two columns have the same name: {listed(double)}")
        wanted = dict.fromkeys(task.text, "task.text") | ({task.label: "task.label"} if labelled else {})
        missing = [f"{name!r} ({key})" for name, key in wanted.items() if name not in names]
        if missing:
            headed = form_of(table.path) != JSON_LINES and not table.path.is_dir()
            bare = "\na file without a header line needs the names of its columns in task.columns" if headed else ""
            plain = {_without_looks(name) for name in wanted if name not in names}
            near = [name for name in names if _without_looks(name) in plain]
            if near:
                bare = f"\n{listed(near)} is near: names must agree in case, and in characters that do not show"
            hint = f"\n{table.looks_like}" if table.looks_like else bare
            raise UserError(f"{place}: no column {', '.join(missing)}; found: {listed(names)}{hint}")
        label = names.index(task.label) if labelled else None
        return cls(table, task, [names.index(name) for name in task.text], label)

    def fields(self, number: int, record: bytes) -> list[str]:
        """The fields of the row in line ``number``; raises as :meth:`Table.row`, and BadRow if it has no text."""
        fields = self.table.row(number, record)
        if not any(fields[at].strip() for at in self.texts):
            shown = short("\t".join(fields))
            raise BadRow(f"no text in {listed(self.task.text)}: {shown}")
        return fields


def _without_looks(name: str) -> str:
    """A name without what makes no difference to a reader: case, and characters that do not show."""
    return "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Zs", "Cc")).casefold()


def read_rows(path: Path, task: TaskConfig, limit: int | None = None) -> Rows:
    """Read one file of the task, its first ``limit`` usable rows or all.

    Blank lines are passed over. A row may lack one text of a pair (QQP has such rows), not all text.

    Raises:
        UserError: ``file:line``, the value and what is allowed, at the first malformed row unless
            ``task.bad_rows`` is skip; and if the header is wrong or no row is usable.
    """
    path = Path(path)
    kind = KINDS[task.kind]
    parse_label = kind.parser(task)
    texts: list[list[str]] = [[] for _ in task.text]
    labels: list[Any] = []
    skipped, first_bad = 0, ""
    lists = {task.label: task.label_separator} if task.multi_label else {}
    with open_table(path, [*task.text, task.label], task.quoting, task.columns, lists=lists) as table:
        layout = Layout.of(table, task)
        assert layout.label is not None
        for number, record in table.records:
            try:
                fields = layout.fields(number, record)
                labels.append(parse_label(fields[layout.label].strip()))
            except BadRow as bad:
                if task.bad_rows != "skip":
                    raise UserError(f"{path}:{number}: {bad}") from None
                skipped, first_bad = skipped + 1, first_bad or f"{path}:{number}: {bad}"
                continue
            table.check_quotes(number, [fields[at] for at in layout.texts])
            for column, at in zip(texts, layout.texts, strict=True):
                column.append(fields[at])
            if len(labels) == limit:
                break
    if not labels:
        raise UserError(f"{path}: no usable row" + (f" of {skipped}; the first: {first_bad}" if skipped else ""))
    if skipped:
        log.warning("%s: left out %d malformed rows, kept %d; the first: %s", path, skipped, len(labels), first_bad)
    return Rows(texts[0], texts[1] if len(texts) > 1 else None, np.array(labels, dtype=kind.dtype), skipped)


def rows_digest(rows: Rows) -> str:
    """SHA-256 of texts and labels: equal for equal content, whatever file it came from."""
    digest = hashlib.sha256(f"{len(rows)} {rows.text_b is not None} {rows.labels.dtype}\n".encode())
    for texts in (rows.text_a, rows.text_b or []):
        encoded = [text.encode("utf-8") for text in texts]
        digest.update(np.array([len(text) for text in encoded], dtype="<i8").tobytes())
        digest.update(b"".join(encoded))
    digest.update(rows.labels.astype(rows.labels.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()

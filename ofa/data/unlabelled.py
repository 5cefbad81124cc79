"""Rows without labels, for distillation alone: read as a stream, so that a large file is never held as text.

A first pass checks every row and finds those that are new: neither repeated, nor among the labelled rows. A second one
makes token ids of these. In between, a row takes a byte.
"""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path

import numpy as np

from ofa.data.forms import JSON_LINES, form_of
from ofa.data.lines import BadRow
from ofa.data.rows import NO_LABEL, Layout, Rows
from ofa.data.tables import open_table
from ofa.data.tokenizer import TextTokenizer
from ofa.data.tokenizer_settings import BYTE_LEVEL
from ofa.data.tokens import Encoded, tokenize
from ofa.data.vocab import CHUNK
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

log = logging.getLogger(__name__)
Texts = tuple[str, ...]  # one text, or the two of a pair


@dataclass(frozen=True)
class Unlabelled:
    """Files of rows without labels.

    Attributes:
        new: bool, of each usable row of all files, in order: whether it joins the distillation.
        digest: SHA-256 of the rows that do.
        counts: rows ``used``, and ``left_out`` as malformed, as ``repeated`` (among themselves or in the training
            rows), or because they are ``in_dev`` (or test).
        key: the setting that asks for them.
    """

    paths: tuple[Path, ...]
    task: TaskConfig
    new: np.ndarray
    digest: str
    counts: dict[str, int]
    key: str = "task.unlabelled"

    @classmethod
    def scan(
        cls, paths: Sequence[Path], task: TaskConfig, splits: Mapping[str, Rows], key: str = "task.unlabelled"
    ) -> Unlabelled:
        """Read ``paths`` once, and find the rows that none of ``splits`` (train, the dev splits, test) has.

        Raises:
            UserError: ``file:line`` of a malformed row, as for labelled rows; a column that is missing; no row left.
        """
        hashes, malformed = array("Q"), 0
        for path in paths:
            before = len(hashes)
            for texts in read_texts(path, task):
                if texts is None:
                    malformed += 1
                else:
                    hashes.append(_hash(texts))
            if len(hashes) == before:
                raise UserError(f"{key}: {path} has no usable row")
        found = np.frombuffer(hashes, np.uint64)
        first = np.zeros(len(found), bool)
        first[np.unique(found, return_index=True)[1]] = True
        in_dev = first & np.isin(found, _hashes(rows for split, rows in splits.items() if split != "train"))
        new = first & ~in_dev & ~np.isin(found, _hashes([splits["train"]]))
        counts = {"used": int(new.sum()), "left_out": malformed}
        counts |= {"repeated": int((~new & ~in_dev).sum()), "in_dev": int(in_dev.sum())}
        names = ", ".join(path.name for path in paths)
        words = (
            f"{counts['used']:,} of {len(found):,} rows of {names} join the distillation, without labels; "
            f"{counts['repeated']:,} are repeated or training rows, {counts['in_dev']:,} stand in dev or test"
        )
        if not new.any():
            raise UserError(f"{key}: {words}; at least one new row is needed")
        words += f"; {malformed:,} are malformed" if malformed else ""
        if ignored := [path.name for path in paths if _has_label(path, task)]:
            words += f"; column {task.label!r} of {', '.join(ignored)} is not read"
        (log.warning if in_dev.any() or malformed else log.info)("%s: %s", key, words)
        return cls(tuple(paths), task, new, hashlib.sha256(found[new].tobytes()).hexdigest(), counts, key)

    def digest_for(self, tokenizer: TextTokenizer) -> str:
        """SHA-256 of what ``tokenizer`` sees: byte-level BPE tells kinds of white space apart, which hashes do not."""
        if tokenizer.kind is not BYTE_LEVEL:
            return self.digest
        texts = texts_digest({str(number): path for number, path in enumerate(self.paths)}, self.task, self.key)
        return hashlib.sha256(f"{self.digest} {texts}".encode()).hexdigest()

    def encoded(self, tokenizer: TextTokenizer, max_seq_length: int, like: np.ndarray) -> Encoded:
        """The new rows as token ids, without labels, in an array as ``like``, the labels of the training rows."""
        usable = (texts for path in self.paths for texts in read_texts(path, self.task) if texts is not None)
        parts, digest = [], hashlib.sha256()
        for chunk in chunks(compress(usable, self.new)):
            digest.update(np.array([_hash(texts) for texts in chunk], np.uint64).tobytes())
            labels = np.full([len(chunk), *like.shape[1:]], NO_LABEL[like.dtype.type], like.dtype)
            parts.append(tokenize(rows_of(chunk, labels), tokenizer, max_seq_length))
        if digest.hexdigest() != self.digest:
            raise UserError(f"{self.key}: {', '.join(map(str, self.paths))} changed while the job ran")
        return parts[0].join(parts[1:])


def chunks(texts: Iterable[Texts]) -> Iterator[list[Texts]]:
    """As many rows at once as are encoded at once."""
    rest = iter(texts)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def rows_of(chunk: Sequence[Texts], labels: np.ndarray) -> Rows:
    """Rows of these texts under ``labels``, as in ``Rows``."""
    first, *second = ([texts[at] for texts in chunk] for at in range(len(chunk[0])))
    return Rows(first, second[0] if second else None, labels)


def read_texts(path: Path, task: TaskConfig) -> Iterator[Texts | None]:
    """The texts of each row of a file with the task's text columns; None for a malformed row, if these are left out.

    A label column is passed over. Where ``task.columns`` names the columns, a header line may do so as well.

    Raises:
        UserError: as :func:`ofa.data.rows.read_rows`.
    """
    with open_table(path, task.text, task.quoting, _columns(path, task)) as table:
        layout = Layout.of(table, task, labelled=False)
        for number, record in table.records:
            try:
                fields = layout.fields(number, record)
            except BadRow as bad:
                if task.bad_rows != "skip":
                    raise UserError(f"{path}:{number}: {bad}") from None
                yield None
                continue
            texts = tuple(fields[at] for at in layout.texts)
            table.check_quotes(number, texts)
            yield texts


def texts_digest(paths: Mapping[str, Path], task: TaskConfig, key: str) -> str:
    """SHA-256 of the texts in files of rows, and of their names, by which ``key`` asks for them.

    Raises:
        UserError: as :func:`read_texts`, and for a file without a usable row.
    """
    digest = hashlib.sha256()
    for name, path in paths.items():
        digest.update(repr(name).encode())
        usable = 0
        for texts in filter(None, read_texts(path, task)):
            digest.update(repr(texts).encode())
            usable += 1
        if not usable:
            raise UserError(f"{key}: {path} has no usable row")
    return digest.hexdigest()


def _columns(path: Path, task: TaskConfig) -> list[str] | None:
    """The names of the columns, where neither a header line nor the rows say them."""
    if task.columns is None or form_of(path) == JSON_LINES:
        return None
    with open_table(path, task.text, task.quoting, task.columns) as table:
        _, first = next(table.records, (0, b""))
        try:
            return None if set(task.text) <= set(table.fields(first)) else task.columns
        except BadRow:
            return task.columns  # who reads the rows says what is wrong with this one


def _has_label(path: Path, task: TaskConfig) -> bool:
    with open_table(path, task.text, task.quoting, _columns(path, task)) as table:
        return task.label in table.names


def _hash(texts: Texts) -> int:
    """64 bits of the words: any white space is one blank, as BERT's tokenizers take it."""
    words = "\n".join(" ".join(text.split()) for text in texts)
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little")


def _hashes(splits: Iterable[Rows]) -> np.ndarray:
    found = array("Q")
    for rows in splits:
        found.extend(map(_hash, zip(*rows.columns, strict=True)))
    return np.frombuffer(found, np.uint64)

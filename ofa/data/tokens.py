"""Rows of text to token ids, cached by content.

The ids are those of Hugging Face's BertTokenizer, and of PaddleNLP's except for words with symbols such as
£ or °, which PaddleNLP splits off (about 2 rows in 1,000 of GLUE). Ten times as fast as PaddleNLP's.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from ofa.data.rows import Rows, rows_digest
from ofa.data.tokenizer import TextTokenizer
from ofa.data.vocab import CHUNK
from ofa.errors import UserError
from ofa.system.files import expanded

log = logging.getLogger(__name__)
FORMAT = 3  # of the cached file and of what encode() means; raise it when either changes


@dataclass(frozen=True)
class Encoded:
    """Rows as token ids: [CLS] a [SEP], or [CLS] a [SEP] b [SEP], of a RoBERTa with [SEP] [SEP] between the texts.

    Attributes:
        input_ids: int32, the tokens of all rows one after another.
        offsets: int64 [N + 1]; row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
        first_lengths: int32 [N]; tokens of the first segment, [CLS] and [SEP] included. Those after it
            have token type 1. A RoBERTa has no such types: there it is all of a row.
        labels: [N] as in Rows.
        cut: bool [N]; rows that were longer than max_seq_length.
        pad: token id that fills up the shorter rows of a batch.
        numbers: int64 [N]; of each row among the training rows (or those of its own split), from 0, wherever it was
            taken to; -1 of rows that were joined to them. By default their order here.
    """

    input_ids: np.ndarray
    offsets: np.ndarray
    first_lengths: np.ndarray
    labels: np.ndarray
    cut: np.ndarray
    pad: int = 0
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.labels):
            object.__setattr__(self, "numbers", np.arange(len(self.labels)))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row, int64 [N]."""
        return np.diff(self.offsets)

    @property
    def truncated(self) -> int:
        """How many rows were cut to max_seq_length."""
        return int(self.cut.sum())

    def take(self, indices: np.ndarray | Sequence[int]) -> Encoded:
        """The rows ``indices``, in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[indices]
        offsets = _offsets(lengths)
        # Token j of the result comes from its row's old start plus its place within the row.
        source = np.repeat(self.offsets[indices] - offsets[:-1], lengths) + np.arange(offsets[-1])
        first_lengths, labels, cut = (values[indices] for values in (self.first_lengths, self.labels, self.cut))
        return Encoded(self.input_ids[source], offsets, first_lengths, labels, cut, self.pad, self.numbers[indices])

    def hold_out(self, count: int, seed: int) -> tuple[Encoded, Encoded]:
        """All but ``count`` rows that ``seed`` draws, and these; both in their order here."""
        rest, held = held_out(len(self), count, seed)
        return self.take(rest) if count else self, self.take(held)

    def join(self, others: Sequence[Encoded]) -> Encoded:
        """These rows and then those of ``others``."""
        parts = [self, *others]
        whole = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("input_ids", "first_lengths", "labels", "cut")
        }
        offsets = _offsets(np.concatenate([part.lengths for part in parts]))
        numbers = np.concatenate([self.numbers, np.full(len(offsets) - 1 - len(self), -1)])
        return Encoded(offsets=offsets, **whole, pad=self.pad, numbers=numbers)


def held_out(rows: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all of so many ``rows`` but ``count`` that ``seed`` draws, and of these; ascending."""
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[count:]), np.sort(order[:count])


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def tokenize(rows: Rows, tokenizer: TextTokenizer, max_seq_length: int, cache_dir: Path | None = None) -> Encoded:
    """Token ids of all rows, read from ``cache_dir`` if the same content was encoded before.

    Of a pair that is too long, the longer text loses its last token until it fits (longest first); of
    equal ones the second, as in the original BERT and PaddleNLP.

    Raises:
        UserError: if ``max_seq_length`` leaves no room for text.
    """
    special = 2 if rows.text_b is None else 2 + tokenizer.kind.between
    if max_seq_length < special + 2:
        raise UserError(f"trainer.max_seq_length: {max_seq_length} leaves no room for text; allowed: {special + 2} up")
    path = None
    if cache_dir is not None:
        key = repr((FORMAT, rows_digest(rows), tokenizer.key, max_seq_length, tokenizer.lower_case))
        path = expanded(cache_dir) / "encoded" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        cached = _read_cache(path, len(rows))
        if cached is not None:
            return cached
    encoded = _tokenize(rows, tokenizer, max_seq_length - special)
    if path is not None:
        _write_cache(path, encoded)
    return encoded


def _tokenize(rows: Rows, tokenizer: TextTokenizer, room: int) -> Encoded:
    """Encode in chunks; ``room`` is the number of tokens left beside [CLS] and [SEP]."""
    cls, sep, kind = tokenizer.cls, tokenizer.sep, tokenizer.kind
    first = np.zeros(len(rows), np.int32)
    lengths = np.zeros(len(rows), np.int64)
    cut = np.zeros(len(rows), bool)
    chunks: list[np.ndarray] = []
    with tqdm(total=len(rows), desc="encode", unit=" rows", delay=2, leave=False) as bar:
        for start in range(0, len(rows), CHUNK):
            tokens: list[int] = []
            for row, (a, b) in enumerate(_ids(tokenizer.backend, rows, start), start):
                keep_a, keep_b = _keep(len(a), len(b or ()), room)
                cut[row] = len(a) + len(b or ()) > room
                encoded = [cls, *a[:keep_a], sep]
                first[row] = len(encoded)
                if b is not None:
                    encoded += [*[sep] * (kind.between - 1), *b[:keep_b], sep]
                lengths[row] = len(encoded)
                if not kind.typed:
                    first[row] = lengths[row]
                tokens += encoded
            chunks.append(np.array(tokens, np.int32))
            bar.update(min(CHUNK, len(rows) - start))
    return Encoded(np.concatenate(chunks), _offsets(lengths), first, rows.labels, cut, tokenizer.pad)


def _ids(tokenizer: Tokenizer, rows: Rows, start: int) -> Iterator[tuple[list[int], list[int] | None]]:
    """Token ids of both texts of the rows of one chunk, without special tokens; None for no second text."""
    some = slice(start, start + CHUNK)
    first = tokenizer.encode_batch_fast(rows.text_a[some], add_special_tokens=False)
    if rows.text_b is None:
        return ((a.ids, None) for a in first)
    second = tokenizer.encode_batch_fast(rows.text_b[some], add_special_tokens=False)
    return ((a.ids, b.ids) for a, b in zip(first, second, strict=True))


def _keep(a: int, b: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts stay when the longer one, or the second of equals, is cut until both fit."""
    if a + b <= room:
        return a, b
    keep_b = min(b, max(room // 2, room - a))
    return room - keep_b, keep_b


def _read_cache(path: Path, rows: int) -> Encoded | None:
    """The cached rows, or None if there are none or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            kept = {name: arrays[name] for name in Encoded.__dataclass_fields__}
        found = Encoded(**{**kept, "pad": int(kept["pad"])})
        sound = len(found) == len(found.cut) == len(found.first_lengths) == len(found.offsets) - 1 == rows
        if sound and found.offsets[-1] == len(found.input_ids):
            return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.debug("%s: %s", path, error)
    log.warning("%s is damaged; encoding again", path)
    return None


def _write_cache(path: Path, encoded: Encoded) -> None:
    """Write beside and rename. A cache that cannot be written costs time, not the run."""
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            np.savez(file, **vars(encoded))
        os.replace(beside, path)
    except OSError as error:
        log.warning("encoded rows are not cached: cannot write %s (%s)", path, error.strerror)
        with contextlib.suppress(OSError):
            beside.unlink()

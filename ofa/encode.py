"""WordPiece: rows of text to token ids, cached by content; and vocabularies, checked or trained.

The ids are those of Hugging Face's BertTokenizer, and of PaddleNLP's except for words with symbols such as
£ or °, which PaddleNLP splits off (about 2 rows in 1,000 of GLUE). Ten times as fast as PaddleNLP's.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer
from tqdm import tqdm

from ofa.data import Rows, rows_digest
from ofa.errors import UserError

log = logging.getLogger(__name__)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FORMAT = 1  # of the cached file and of what encode() means; raise it when either changes
_CHUNK = 4096  # rows encoded at once: bounds the memory the tokenizer's own objects take
_MAX_ALPHABET = 1000  # characters a trained vocabulary keeps


@dataclass(frozen=True)
class Encoded:
    """Rows as token ids: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

    Attributes:
        input_ids: int32, the tokens of all rows one after another.
        offsets: int64 [N + 1]; row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
        first_lengths: int32 [N]; tokens of the first segment, [CLS] and [SEP] included. Those after it
            have token type 1.
        labels: [N] as in Rows.
        cut: bool [N]; rows that were longer than max_seq_length.
    """

    input_ids: np.ndarray
    offsets: np.ndarray
    first_lengths: np.ndarray
    labels: np.ndarray
    cut: np.ndarray

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
        return Encoded(
            self.input_ids[source], offsets, self.first_lengths[indices], self.labels[indices], self.cut[indices]
        )


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def read_vocab(path: Path) -> dict[str, int]:
    """Token -> id (its line, from 0) of a vocab.txt.

    Raises:
        UserError: if the file cannot be read, lacks a special token, names a token twice, or does not
            begin with [PAD], whose id 0 batches are padded with.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); a WordPiece vocab.txt is expected") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1} is not UTF-8; a WordPiece vocab.txt is expected") from None
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n")]
    vocab: dict[str, int] = {}
    for number, token in enumerate(lines):
        first = vocab.setdefault(token, number)
        if first != number:
            raise UserError(f"{path}:{number + 1}: {token!r} is already on line {first + 1}; allowed: each token once")
    missing = [token for token in SPECIAL if token not in vocab]
    if missing:
        raise UserError(f"{path}: no line {', '.join(missing)}; a WordPiece vocab.txt has {', '.join(SPECIAL)}")
    if vocab["[PAD]"] != 0:
        raise UserError(f"{path}:{vocab['[PAD]'] + 1}: [PAD] must be the first line, so that its id is 0")
    return vocab


def _tokenizer(vocab: dict[str, int], lower_case: bool) -> Tokenizer:
    """BERT's: clean, split Chinese characters, lower the case and strip accents; split on space and punctuation."""
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    if vocab:
        tokenizer.add_special_tokens(list(SPECIAL))  # "[SEP]" in a text is that token, as in both libraries
    return tokenizer


def encode(
    rows: Rows, vocab: Path, max_seq_length: int, lower_case: bool = True, cache_dir: Path | None = None
) -> Encoded:
    """Token ids of all rows, read from ``cache_dir`` if the same content was encoded before.

    Of a pair that is too long, the longer text loses its last token until it fits (longest first); of
    equal ones the second, as in the original BERT and PaddleNLP.

    Raises:
        UserError: if the vocabulary cannot be used or ``max_seq_length`` leaves no room for text.
    """
    special = 2 if rows.text_b is None else 3
    if max_seq_length < special + 2:
        raise UserError(f"trainer.max_seq_length: {max_seq_length} leaves no room for text; allowed: {special + 2} up")
    tokens = read_vocab(vocab)
    path = None
    if cache_dir is not None:
        key = repr((FORMAT, rows_digest(rows), list(tokens), max_seq_length, lower_case))
        path = Path(cache_dir).expanduser() / "encoded" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        cached = _read_cache(path, len(rows))
        if cached is not None:
            return cached
    encoded = _encode(rows, tokens, max_seq_length - special, lower_case)
    if path is not None:
        _write_cache(path, encoded)
    return encoded


def _encode(rows: Rows, vocab: dict[str, int], room: int, lower_case: bool) -> Encoded:
    """Encode in chunks; ``room`` is the number of tokens left beside [CLS] and [SEP]."""
    tokenizer = _tokenizer(vocab, lower_case)
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    first = np.zeros(len(rows), np.int32)
    lengths = np.zeros(len(rows), np.int64)
    cut = np.zeros(len(rows), bool)
    chunks: list[np.ndarray] = []
    with tqdm(total=len(rows), desc="encode", unit=" rows", delay=2, leave=False) as bar:
        for start in range(0, len(rows), _CHUNK):
            tokens: list[int] = []
            for row, (a, b) in enumerate(_ids(tokenizer, rows, start), start):
                keep_a, keep_b = _keep(len(a), len(b or ()), room)
                cut[row] = len(a) + len(b or ()) > room
                first[row] = keep_a + 2
                lengths[row] = first[row] + (0 if b is None else keep_b + 1)
                tokens += [cls, *a[:keep_a], sep]
                if b is not None:
                    tokens += [*b[:keep_b], sep]
            chunks.append(np.array(tokens, np.int32))
            bar.update(min(_CHUNK, len(rows) - start))
    return Encoded(np.concatenate(chunks), _offsets(lengths), first, rows.labels, cut)


def _ids(tokenizer: Tokenizer, rows: Rows, start: int) -> Iterator[tuple[list[int], list[int] | None]]:
    """Token ids of both texts of the rows of one chunk, without special tokens; None for no second text."""
    some = slice(start, start + _CHUNK)
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
            found = Encoded(**{name: arrays[name] for name in Encoded.__dataclass_fields__})
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


def train_vocab(texts: Sequence[str], size: int, path: Path, lower_case: bool = True) -> int:
    """Train a WordPiece vocabulary of at most ``size`` tokens, write it to ``path``, return its size.

    The same texts give the same file. The library alone would not: it numbers the pieces of one
    character in the order of a hash map, so they are handed to it sorted.
    """
    if size < 100:
        raise UserError(f"model.vocab_size: {size} is too small to train a vocabulary; allowed: 100 up")
    tokenizer = _tokenizer({}, lower_case)
    characters: Counter[str] = Counter()
    inner: set[str] = set()  # characters seen inside a word, which get a ## piece
    for start in tqdm(range(0, len(texts), _CHUNK), desc="vocabulary", delay=2, leave=False):
        normal = tokenizer.normalizer.normalize_str(" ".join(texts[start : start + _CHUNK]))
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            characters.update(word)
            inner.update(word[1:])
    limit = min(_MAX_ALPHABET, (size - len(SPECIAL)) // 2)
    alphabet = sorted(sorted(characters), key=characters.__getitem__, reverse=True)[:limit]
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=[*SPECIAL, *sorted(alphabet), *sorted(f"##{char}" for char in inner & set(alphabet))],
        initial_alphabet=alphabet,
        limit_alphabet=limit,
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    ids = tokenizer.get_vocab()
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes("".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__)).encode("utf-8"))
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"{path}: the trained vocabulary cannot be written ({error.strerror})") from None
    return len(ids)

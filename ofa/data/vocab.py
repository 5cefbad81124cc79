"""WordPiece vocabularies: read, checked or trained, and the tokenizer that applies one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from tqdm import tqdm

from ofa.errors import UserError
from ofa.system.files import put_in_place, require_regular

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
OF_BYTE_LEVEL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # RoBERTa's, in the order of their ids
CHUNK = 4096  # rows encoded at once: bounds the memory the tokenizer's own objects take
_MOST_INNER = 1000  # characters from inside words that a trained vocabulary keeps, so that there is room for words


def read_vocab(path: Path, special: Sequence[str] = SPECIAL) -> dict[str, int]:
    """Token -> id (its line, from 0) of a vocab.txt; blank lines at its end are none.

    Raises:
        UserError: if the file cannot be read, lacks one of the ``special`` tokens, or names a token twice.
    """
    require_regular(path)
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); a WordPiece vocab.txt is expected") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start + 1} is not UTF-8; a WordPiece vocab.txt is expected") from None
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    vocab: dict[str, int] = {}
    for number, token in enumerate(lines):
        first = vocab.setdefault(token, number)
        if first != number:
            raise UserError(f"{path}:{number + 1}: {token!r} is already on line {first + 1}; allowed: each token once")
    missing = [token for token in special if token not in vocab]
    if missing:
        raise UserError(f"{path}: no line {', '.join(missing)}; a WordPiece vocab.txt has {', '.join(special)}")
    return vocab


def wordpiece(vocab: dict[str, int], lower_case: bool) -> Tokenizer:
    """BERT's: clean, split Chinese characters, lower the case and strip accents; split on space and punctuation."""
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    if vocab:
        tokenizer.add_special_tokens(list(SPECIAL))  # "[SEP]" in a text is that token, as in both libraries
    return tokenizer


def train_vocab(texts: Sequence[str], size: int, path: Path, lower_case: bool = True) -> int:
    """Train a WordPiece vocabulary of at most ``size`` tokens, write it to ``path``, return its size.

    The same texts give the same file. The library alone would not: it numbers the pieces of one
    character in the order of a hash map, so they are handed to it sorted.
    """
    if size < 100:
        raise UserError(f"model.vocab_size: {size} is too small to train a vocabulary; allowed: 100 up")
    tokenizer = wordpiece({}, lower_case)
    characters: Counter[str] = Counter()
    inner: set[str] = set()  # characters seen inside a word, which get a ## piece
    for start in tqdm(range(0, len(texts), CHUNK), desc="vocabulary", delay=2, leave=False):
        normal = tokenizer.normalizer.normalize_str(" ".join(texts[start : start + CHUNK]))
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            characters.update(word)
            inner.update(word[1:])
    by_count = sorted(sorted(characters), key=characters.__getitem__, reverse=True)
    alphabet = _that_fit(by_count, inner, size - len(SPECIAL))
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=[*SPECIAL, *sorted(alphabet), *sorted(f"##{char}" for char in inner & set(alphabet))],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
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


def _that_fit(characters: Sequence[str], inner: set[str], room: int) -> list[str]:
    """The first of ``characters`` that fit into ``room`` tokens.

    One from inside a word (``inner``) takes two tokens; one that is a word by itself, as each Chinese one is, one.
    """
    kept: list[str] = []
    parts = 0
    for character in characters:
        if character in inner:
            parts += 1
        if len(kept) + min(parts, _MOST_INNER) >= room:
            break
        if character not in inner or parts <= _MOST_INNER:
            kept.append(character)
    return kept


def train_byte_level(texts: Sequence[str], size: int, folder: Path) -> int:
    """Train byte-level BPE of at most ``size`` tokens, write ``vocab.json`` and ``merges.txt``; return its size."""
    alphabet = ByteLevel.alphabet()
    least = len(alphabet) + len(OF_BYTE_LEVEL)
    if size < least:
        raise UserError(f"model.vocab_size: {size} is too small for every byte; allowed: {least} up")
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(OF_BYTE_LEVEL),
        initial_alphabet=sorted(alphabet),
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        beside.mkdir(parents=True, exist_ok=True)
        tokenizer.model.save(str(beside))
        put_in_place(beside, folder)
    except OSError as error:
        raise UserError(f"{folder}: the trained vocabulary cannot be written ({error.strerror})") from None
    return tokenizer.get_vocab_size()

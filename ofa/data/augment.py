"""Copies of rows with some of their words replaced, for distillation alone.

The augmentation of TinyBERT (Jiao et al. 2020, https://arxiv.org/abs/1909.10351, algorithm 1), which DynaBERT uses:
each word is replaced with some probability by one of the words that fit best in its place. What fits is said by a
masked-language head (:mod:`ofa.model.masked_words`) or, for want of one, by the nearest neighbours in the model's own
table of word embeddings, where the papers take GloVe's. Words of several tokens stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ofa.data.lines import MAX_LINE_BYTES
from ofa.data.rows import Rows
from ofa.data.tokenizer import TextTokenizer
from ofa.data.unlabelled import Texts, Unlabelled
from ofa.settings.schema import TaskConfig

COPIES, RECORD = "augmented.jsonl", "augmented.json"  # in the folder of the stage
TEXTS = ("text_a", "text_b")  # their columns: a job whose task names its own otherwise takes the same copies
CHUNK = 1024  # words compared with all others at once
Words = Sequence[str]  # of one text
Fits = Mapping[int, Sequence[str]]  # place of a word in a text -> words that fit there, the best first


def words_of(text: str, tokenizer: TextTokenizer) -> list[str]:
    """The words of ``text`` as the tokenizer sees them; with blanks between them it makes the same tokens of them."""
    words: list[str] = []
    for at, part in enumerate(_added(tokenizer).split(text)):
        words += [part] if at % 2 else _words_between(part, tokenizer.backend)
    return words


def _added(tokenizer: TextTokenizer) -> re.Pattern[str]:
    """What finds the tokens that are one wherever they stand, as ``[SEP]`` is, which no word boundary parts."""
    contents = {token.content for token in tokenizer.backend.get_added_tokens_decoder().values()}
    longest_first = sorted(contents, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _words_between(text: str, backend: Tokenizer) -> list[str]:
    plain = backend.normalizer.normalize_str(text) if backend.normalizer else text
    pieces = backend.pre_tokenizer.pre_tokenize_str(plain) if backend.pre_tokenizer else [(plain, None)]
    return [word for word, _ in pieces if word]


def as_words(rows: Rows, tokenizer: TextTokenizer) -> Rows:
    """The rows with :func:`words_of` their texts, as copies of them are written, to be compared with such."""
    first, *second = ([" ".join(words_of(text, tokenizer)) for text in column] for column in rows.columns)
    return Rows(first, second[0] if second else None, rows.labels)


def whole_words(tokenizer: TextTokenizer) -> dict[str, int]:
    """The tokens that are words by themselves, letters alone, with their ids: what is replaced, and by what."""
    prefix = tokenizer.backend.model.continuing_subword_prefix
    vocab, added = tokenizer.backend.get_vocab(with_added_tokens=False), _added(tokenizer)
    words = {token: number for token, number in vocab.items() if token.isalpha() and not token.startswith(prefix)}
    return {token: number for token, number in words.items() if not added.fullmatch(token)}


def neighbours(words: Mapping[str, int], wanted: set[str], table: np.ndarray, count: int) -> dict[str, list[str]]:
    """The ``count`` nearest of ``words`` for each ``wanted`` one, by the cosine of rows of ``table`` ``[V, H]``."""
    if len(words) < 2:
        return {}
    names, ids = list(words), np.array(list(words.values()))
    unit = table[ids] / np.maximum(np.linalg.norm(table[ids], axis=1, keepdims=True), 1e-12)
    rows = [row for row, name in enumerate(names) if name in wanted]
    found: dict[str, list[str]] = {}
    for start in range(0, len(rows), CHUNK):
        chunk = np.array(rows[start : start + CHUNK])
        likeness = unit[chunk] @ unit.T
        likeness[np.arange(len(chunk)), chunk] = -np.inf
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, : min(count, len(names) - 1)]
        found |= {names[row]: [names[place] for place in near] for row, near in zip(chunk, nearest, strict=True)}
    return found


def copies_of(
    row: Sequence[Words], fits: Sequence[Fits], count: int, share: float, rng: np.random.Generator
) -> Iterator[Texts]:
    """``count`` copies of one row; of a pair, one of the texts is changed each time, drawn anew.

    Args:
        row: the words of each of its texts.
        fits: for each of its texts, what fits where.
        share: with which probability a word is replaced.
    """
    for _ in range(count):
        changed = int(rng.integers(len(row)))
        texts = [list(words) for words in row]
        for place, options in fits[changed].items():
            if options and rng.random() < share:
                texts[changed][place] = options[int(rng.integers(len(options)))]
        yield tuple(" ".join(words) for words in texts)


def write(path: Path, rows: Iterator[Texts]) -> None:
    """Write ``rows`` as JSON Lines with the columns :data:`TEXTS`, but those too long for a line."""
    with path.open("wb") as file:
        for texts in rows:
            line = json.dumps(dict(zip(TEXTS, texts, strict=False)), ensure_ascii=False).encode()
            if len(line) <= MAX_LINE_BYTES:
                file.write(line + b"\n")


def task_of_copies(task: TaskConfig) -> TaskConfig:
    """The task by which a file of :func:`write` is read; each of its lines must count, as they are kept by place."""
    return replace(task, text=list(TEXTS[: len(task.text)]), label="", columns=None, bad_rows="error")


def keep(found: Unlabelled, by: str, folder: Path) -> None:
    """Write those copies of ``found``, of one file, that are new to ``folder``, and what is known of them."""
    with found.paths[0].open(encoding="utf-8") as copies, (folder / COPIES).open("w", encoding="utf-8") as new:
        new.writelines(compress(copies, found.new))
    record = {"by": by, "digest": found.digest, "counts": found.counts}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def kept(folder: Path, task: TaskConfig) -> Unlabelled:
    """What :func:`keep` wrote, as rows without labels."""
    record = json.loads((folder / RECORD).read_text())
    new = np.ones(record["counts"]["used"], bool)
    of_copies = task_of_copies(task)
    return Unlabelled((folder / COPIES,), of_copies, new, record["digest"], record["counts"], "ofa.augment.copies")

"""A vocabulary of the tokens that rows need, cut from a WordPiece vocabulary, and which rows read otherwise with it.

WordPiece takes the longest token that matches, from left to right (Devlin et al. 2019): a row whose tokens all stay has
the ids of the same tokens as before, and one that used another token has it split into shorter ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from ofa.data.tokenizer import TextTokenizer
from ofa.data.tokenizer_settings import SPECIAL_MAP
from ofa.data.tokens import Encoded, tokenize
from ofa.data.unlabelled import chunks, read_texts, rows_of
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

OF_BERT = ("BertNormalizer", "BertPreTokenizer")


def require_wordpiece(tokenizer: TextTokenizer, key: str, value: object, allowed: object) -> None:
    """Raises UserError for a tokenizer whose tokens are not words and their parts, as ``value`` of a setting needs."""
    if not isinstance(tokenizer.backend.model, WordPiece):
        kind = type(tokenizer.backend.model).__name__
        raise UserError(f"{key}: {value} is for WordPiece, the model's tokenizer is {kind}; allowed: {allowed}")


def kept_ids(tokenizer: TextTokenizer, used: np.ndarray) -> np.ndarray:
    """The ids that a smaller vocabulary keeps, in the order of their new ids.

    Besides the ids ``used``: special and added tokens, and single characters, alone and as continuations of a word, so
    that no word becomes [UNK] that was none. Characters that no word can have there stay away: those that are words by
    themselves, as Chinese ones and punctuation, have no continuation, and a tokenizer for lower case reads no capitals.
    """
    backend = tokenizer.backend
    vocab = backend.get_vocab(with_added_tokens=False)
    added = set(backend.get_added_tokens_decoder())
    always = {tokenizer.pad, tokenizer.cls, tokenizer.sep, vocab[backend.model.unk_token], *added, *used.tolist()}
    prefix, is_word = backend.model.continuing_subword_prefix, _is_word(backend)

    def needed(token: str) -> bool:
        inner = token.startswith(prefix) and token != prefix
        text = token.removeprefix(prefix) if inner else token
        pieces = [*([] if inner else [text[:1]]), *(prefix + character for character in text[0 if inner else 1 :])]
        # What characters cannot spell stays, too; a vocabulary that was trained has no such token.
        return (len(text) == 1 or not vocab.keys() >= set(pieces)) and is_word(f"a{text}" if inner else text)

    kept = {number for token, number in vocab.items() if number in always or needed(token)}
    return np.array([*sorted(kept), *sorted(added - set(vocab.values()))], np.int64)


def _is_word(backend: Tokenizer) -> Callable[[str], bool]:
    """Whether a text can stand in a row as one word, as it is. Only of BERT's way is that known without the row."""
    whole = json.loads(backend.to_str())
    if tuple((whole[key] or {}).get("type") for key in ("normalizer", "pre_tokenizer")) != OF_BERT:
        return lambda text: True

    def is_word(text: str) -> bool:
        words = backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
        return [word for word, _ in words] == [text]

    return is_word


def cut(tokenizer: TextTokenizer, kept: np.ndarray) -> TextTokenizer:
    """``tokenizer`` with the tokens ``kept`` alone, numbered in this order."""
    place = {int(old): new for new, old in enumerate(kept)}
    whole = json.loads(tokenizer.backend.to_str())
    vocab = whole["model"]["vocab"]
    whole["model"]["vocab"] = {token: place[number] for token, number in vocab.items() if number in place}
    for token in whole["added_tokens"]:
        token["id"] = place[token["id"]]
    whole["post_processor"] = None  # it names ids; what is written has BERT's
    text = json.dumps(whole)
    return replace(
        tokenizer,
        backend=Tokenizer.from_str(text),
        pad=place[tokenizer.pad],
        cls=place[tokenizer.cls],
        sep=place[tokenizer.sep],
        key=hashlib.sha256(text.encode()).hexdigest(),
        vocab=None,
        settings={key: value for key, value in tokenizer.settings.items() if key != "added_tokens_decoder"},
        more=tuple(path for path in tokenizer.more if path.name == SPECIAL_MAP),  # the others name ids
    )


def rows_changed(encoded: Encoded, kept: np.ndarray) -> np.ndarray:
    """Which rows, encoded with the whole vocabulary, have a token that is not among ``kept``: bool [N]."""
    return np.logical_or.reduceat(~np.isin(encoded.input_ids, kept), encoded.offsets[:-1])


def kept_of(full: TextTokenizer, smaller: TextTokenizer) -> np.ndarray:
    """Which ids of ``full`` the tokens of ``smaller`` have, in the order of its own."""
    ids = smaller.backend.get_vocab()
    return np.array([full.backend.token_to_id(token) for token in sorted(ids, key=ids.__getitem__)], np.int64)


def share_changed(path: Path, task: TaskConfig, full: TextTokenizer, kept: np.ndarray, max_seq_length: int) -> float:
    """The share of the rows of a file that :func:`rows_changed` tells of; read as a stream. The file has rows."""
    changed = rows = 0
    for chunk in chunks(texts for texts in read_texts(path, task) if texts is not None):
        encoded = tokenize(rows_of(chunk, np.full([len(chunk)], -1)), full, max_seq_length)
        changed, rows = changed + int(rows_changed(encoded, kept).sum()), rows + len(chunk)
    return changed / rows

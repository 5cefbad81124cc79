"""The ``tokenizers`` library's tokenizer, made of a model's files and their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, WhitespaceSplit

from ofa.data import tokenizer_settings
from ofa.data.tokenizer_settings import MERGES, PIECES, Kind
from ofa.data.vocab import read_vocab
from ofa.errors import UserError
from ofa.system.files import require_regular

Added = Mapping[str, tuple[AddedToken, int | None]]


def from_whole(path: Path, said: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer in a tokenizer.json.

    Args:
        said: the settings of tokenizer_config.json, which win.

    Raises:
        UserError: if it is none, or cuts or fills up rows on the left.
    """
    require_regular(path)
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"{path}: not readable as a tokenizer ({str(error)[:200]})") from None
    if getattr(backend.model, "dropout", None):
        raise UserError(f"{path}: dropout is {backend.model.dropout:g}, so that ids are drawn anew; supported: null")
    for key, part in (("truncation", backend.truncation), ("padding", backend.padding)):
        if part and part["direction"] != "right" and said.get(f"{key}_side") is None:
            raise UserError(f"{path}: the direction of {key} is {part['direction']}; supported: right")
    backend.no_truncation()
    backend.no_padding()
    return backend


def adjust(backend: Tokenizer, said: Mapping[str, Any]) -> None:
    """Let the settings of tokenizer_config.json win over a tokenizer.json, as in Transformers."""
    settings = normalizer_of(backend)
    if settings.pop("type", None) == "BertNormalizer":
        backend.normalizer = BertNormalizer(**(settings | tokenizer_settings.of_normalizer(said)))
    if isinstance(backend.pre_tokenizer, ByteLevel):
        backend.pre_tokenizer.add_prefix_space = bool(said.get("add_prefix_space"))


def check_vocab(path: Path, backend: Tokenizer, vocab: Path) -> None:
    """Refuse a tokenizer.json and a ``vocab.txt`` beside it that number tokens differently."""
    lines, ids = read_vocab(vocab, ()), backend.get_vocab()
    added = {token.content for token in backend.get_added_tokens_decoder().values()}  # need no line
    own = backend.get_vocab(with_added_tokens=False).keys() - (added - lines.keys())
    for token in own | lines.keys():
        if (token in own and token not in lines) or ids.get(token) != lines.get(token, ids.get(token)):
            here, there = ids.get(token, "none"), lines.get(token, "none")
            raise UserError(
                f"{path}: {token!r} is token {here}, in {vocab} it is {there}; "
                "keep the one of the two files that the model was trained with"
            )


def normalizer_of(backend: Tokenizer) -> dict[str, Any]:
    """The settings of the normalizer; empty where there is none."""
    return json.loads(backend.to_str())["normalizer"] or {}


def wordpiece(ids: dict[str, int], said: Mapping[str, Any], lower_case: bool, unknown: str) -> Tokenizer:
    """WordPiece over ``ids`` as the settings say; BERT's way where they say nothing."""
    prefix = said.get("wordpieces_prefix")
    model = WordPiece(
        ids,
        unk_token=unknown,
        max_input_chars_per_word=100,
        continuing_subword_prefix=prefix if isinstance(prefix, str) else "##",
    )
    backend = Tokenizer(model)
    if said.get("do_basic_tokenize") is False:  # no cleaning and no lower case, either
        backend.pre_tokenizer = WhitespaceSplit()
        return backend
    backend.normalizer = BertNormalizer(**({"lowercase": lower_case} | tokenizer_settings.of_normalizer(said)))
    backend.pre_tokenizer = BertPreTokenizer()
    return backend


def byte_level(folder: Path, said: Mapping[str, Any]) -> Tokenizer:
    """Byte-level BPE over ``vocab.json`` and ``merges.txt``, as Transformers makes it.

    Raises:
        UserError: if one of them is missing or damaged.
    """
    pieces, merges = folder / PIECES, folder / MERGES
    if not merges.exists():
        raise UserError(f"model.path: no {MERGES} in {folder}, which {PIECES} needs beside it")
    require_regular(pieces)
    require_regular(merges)
    try:
        model = BPE.from_file(str(pieces), str(merges), continuing_subword_prefix="", end_of_word_suffix="")
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"{pieces}: not readable, with {MERGES}, as byte-level BPE ({str(error)[:200]})") from None
    backend = Tokenizer(model)
    backend.pre_tokenizer = ByteLevel(add_prefix_space=bool(said.get("add_prefix_space")))
    backend.decoder = decoders.ByteLevel()
    return backend


def with_added(path: Path, lines: dict[str, int], added: Added) -> dict[str, int]:
    """The vocabulary with the tokens that were added to it later, under the ids they were given."""
    ids, tokens = dict(lines), {number: token for token, number in lines.items()}
    for content, (_, number) in added.items():
        if number is None:
            continue
        if ids.setdefault(content, number) != number or tokens.setdefault(number, content) != content:
            raise UserError(
                f"{path}: {content!r} was added as token {number}, but the vocabulary has {tokens.get(number)!r} there"
            )
    return ids


def add(path: Path, backend: Tokenizer, added: Added, special: Mapping[str, str]) -> None:
    """Let the backend know what is a token wherever it stands."""
    there = {token.content for token in backend.get_added_tokens_decoder().values()}
    for content, (token, number) in added.items():
        unknown = backend.token_to_id(content) is None
        if content not in there and not (unknown and number is None and content in special.values()):
            (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        if number is not None and backend.token_to_id(content) != number:
            raise UserError(f"{path}: {content!r} was added as token {number}, it is {backend.token_to_id(content)}")


def check_places(path: Path, backend: Tokenizer, kind: Kind, cls: int, sep: int) -> None:
    """Refuse special tokens in other places than those of the kind."""
    if backend.post_processor is None:
        return
    a, b = (backend.encode(text, add_special_tokens=False).ids for text in "ab")
    found = backend.encode("a", "b")
    types = [0] * (len(a) + 1 + kind.between) + [int(kind.typed)] * (len(b) + 1)
    if found.ids != [cls, *a, *[sep] * kind.between, *b, sep] or found.type_ids != types:
        form = f"[CLS] a {'[SEP] ' * kind.between}b [SEP]"
        raise UserError(f"{path}: pairs become {' '.join(found.tokens)}; supported: {form}")


def signature(backend: Tokenizer) -> dict[str, Any]:
    """All that decides the ids of a text, in one form for what is the same."""
    whole = json.loads(backend.to_str())
    normalizer = whole["normalizer"] or {}
    if normalizer.get("strip_accents") == normalizer.get("lowercase"):
        normalizer["strip_accents"] = None  # as where nothing is said
    return {key: whole[key] for key in ("normalizer", "pre_tokenizer", "model", "added_tokens")}

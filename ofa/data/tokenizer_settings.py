"""What the files beside a vocabulary say of its tokenizer, checked: what cannot be honoured is refused by name."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers.processors import BertProcessing, RobertaProcessing

from ofa.data.vocab import SPECIAL
from ofa.errors import UserError
from ofa.system.files import read_json

WHOLE, SETTINGS, ADDED, SPECIAL_MAP, PIECES, MERGES = FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
# BERT's way under names that Transformers does not know, or knows for another one.
OF_PADDLE = ("ErnieTokenizer", "RobertaTokenizer", "RobertaChineseTokenizer")
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")  # any tokenizer.json
# Key of tokenizer_config.json -> what BertNormalizer calls it.
NORMALIZER = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "clean_text": "clean_text",
}
# Keys of other tokenizers, or of what is not done here -> the values that ask for nothing.
UNSUPPORTED: dict[str, tuple] = {
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "split_special_tokens": (None, False),
    "truncation_side": (None, "right"),  # rows are cut at their end,
    "padding_side": (None, "right"),  # and filled up there
}
PLACED = ("single_word", "lstrip", "rstrip")
FLAGS = (*PLACED, "normalized", "special")
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """What one kind of tokenizer differs in.

    Attributes:
        classes: values of tokenizer_class, the one that is written first.
        special: BERT's names of special tokens -> what they are where no file says so.
        between: how many [SEP] stand between the texts of a pair.
        typed: whether the second text of a pair has token type 1, and not 0 as the first.
        processor: the library's class that puts the special tokens around texts.
    """

    classes: tuple[str, ...]
    special: Mapping[str, str]
    between: int
    typed: bool
    processor: Callable[[tuple[str, int], tuple[str, int]], Any]


WORDPIECE = Kind(
    ("BertTokenizer", "BertTokenizerFast", "ElectraTokenizer", "ElectraTokenizerFast", *OF_PADDLE),
    {name: name for name in SPECIAL},
    between=1,
    typed=True,
    processor=BertProcessing,
)
# RoBERTa's byte-level BPE (Liu et al. 2019): <s> a </s></s> b </s>, all of one type.
BYTE_LEVEL = Kind(
    ("RobertaTokenizer", "RobertaTokenizerFast"),
    {
        **dict(zip(SPECIAL, ("<pad>", "<unk>", "<s>", "</s>", "<mask>"), strict=True)),
        "[BOS]": "<s>",
        "[EOS]": "</s>",
    },
    between=2,
    typed=False,
    processor=RobertaProcessing,
)


def read_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def check(path: Path, settings: Settings, name: Any, kind: Kind, whole: bool) -> None:
    """Refuse settings of the wrong type, and what asks for another tokenizer.

    Args:
        path: of tokenizer_config.json.
        name: the tokenizer's class.
        kind: that of its files.
        whole: whether there is a tokenizer.json, which says all itself.

    Raises:
        UserError: naming key, value and what is supported.
    """
    allowed = kind.classes + GENERIC if whole else kind.classes
    if name is not None and name not in allowed:
        raise UserError(f"{path}: tokenizer_class is {reprlib.repr(name)}; supported: {', '.join(allowed)}")
    for key in (*NORMALIZER, "do_basic_tokenize", "add_prefix_space"):
        if settings.get(key) is not None and type(settings[key]) is not bool:
            raise UserError(f"{path}: {key} is {reprlib.repr(settings[key])}; allowed: true or false, without quotes")
    for key, neutral in UNSUPPORTED.items():
        if settings.get(key) not in neutral:
            words = ", ".join(map(json.dumps, neutral))
            raise UserError(f"{path}: {key} is {reprlib.repr(settings[key])}; supported: {words}")
    kept = settings.get("never_split") or []
    if not whole and (not isinstance(kept, list) or any(token not in SPECIAL for token in kept)):
        raise UserError(
            f"{path}: never_split is {reprlib.repr(kept)}; supported: null or special tokens (a token that is never "
            f"split stands in {ADDED})"
        )


def has_types(path: Path, settings: Settings, kind: Kind) -> bool:
    """Whether the second text of a pair has a token type of its own: not if the model is fed none."""
    fed = settings.get("model_input_names")
    if fed is not None and not (isinstance(fed, list) and "input_ids" in fed):
        raise UserError(f"{path}: model_input_names is {reprlib.repr(fed)}; allowed: a list with input_ids in it")
    return kind.typed and (fed is None or "token_type_ids" in fed)


def of_normalizer(settings: Settings) -> dict[str, bool]:
    """What the settings ask of BertNormalizer, in its words."""
    return {name: settings[key] for key, name in NORMALIZER.items() if settings.get(key) is not None}


def special_tokens(path: Path, settings: Settings, kind: Kind) -> dict[str, str]:
    """The tokens that stand for [PAD], [UNK], [CLS], [SEP] and [MASK], by the names of BERT's."""
    return {name: _content(path, settings.get(key_of(name)) or usual) for name, usual in kind.special.items()}


def key_of(name: str) -> str:
    """The key of a special token in the files."""
    return f"{name[1:-1].lower()}_token"


def added_tokens(folder: Path, settings: Settings, kind: Kind) -> dict[str, tuple[AddedToken, int | None]]:
    """What is a token wherever it stands in a text, with its id where one is given.

    Args:
        settings: of tokenizer_config.json and, where that says nothing, special_tokens_map.json.

    Raises:
        UserError: if a file holds something else than tokens.
    """
    path = folder / SETTINGS
    found: dict[str, tuple[AddedToken, int | None]] = {}
    decoder = settings.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise UserError(f"{path}: added_tokens_decoder is {reprlib.repr(decoder)}; allowed: tokens by id")
    for key, value in decoder.items():
        token = AddedToken(_content(path, value), **_flags(path, value))
        found[token.content] = token, _id(path, token.content, int(key) if key.isdecimal() and len(key) < 11 else key)
    for content, number in read_if_there(folder / ADDED).items():
        found.setdefault(content, (AddedToken(content), _id(folder / ADDED, content, number)))
    for name, content in special_tokens(path, settings, kind).items():
        given = settings.get(key_of(name))
        flags = {"lstrip": True} if kind is BYTE_LEVEL and name == "[MASK]" else {}  # a word, with the space before it
        if isinstance(given, dict):
            flags = {flag: value for flag, value in _flags(path, given).items() if flag in PLACED}
        found.setdefault(content, (AddedToken(content, special=True, normalized=False, **flags), None))
    for content in _listed(path, settings):
        found.setdefault(content, (AddedToken(content, special=True, normalized=False), None))
    return {content: found[content] for content in sorted(found, key=lambda content: found[content][1] or 0)}


def _listed(path: Path, settings: Settings) -> list[str]:
    """The special tokens beyond BERT's: of a list, or of an object by name."""
    found = []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        values = settings.get(key) or []
        tokens = list(values.values()) if isinstance(values, dict) else values
        if not isinstance(tokens, list):
            raise UserError(f"{path}: {key} is {reprlib.repr(values)}; allowed: a list of tokens")
        found += [_content(path, token) for token in tokens]
    return found


def _content(path: Path, token: Any) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    if not isinstance(content, str) or not content:
        raise UserError(f"{path}: {reprlib.repr(token)} is no token; allowed: a text, or an object with content")
    return content


def _flags(path: Path, token: Any) -> dict[str, bool]:
    given = {flag: token[flag] for flag in FLAGS if flag in token} if isinstance(token, dict) else {}
    if any(type(value) is not bool for value in given.values()):
        raise UserError(f"{path}: {reprlib.repr(token)} is no token; allowed: true or false for {', '.join(FLAGS)}")
    return given


def _id(path: Path, content: str, number: Any) -> int:
    if not content or type(number) is not int or not 0 <= number < 2**31:
        raise UserError(f"{path}: the id of {reprlib.repr(content)} is {reprlib.repr(number)}; allowed: a whole number")
    return number

"""A vocabulary of few words, and what a tokenizer of it makes of a text by each setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ofa.data.tokenizer import TextTokenizer, read_tokenizer

WORDS = ["mochte", "m\u00f6chte", "M\u00f6chte", "\u4f60\u597d", "\u4f60", "\u597d", "a", "##b", "!", "[", "]", "agent"]
TEXT = "M\u00f6chte \u4f60\u597d ab! [agent]"


def say(folder: Path, name: str = "tokenizer_config.json", **values: Any) -> None:
    (folder / name).write_text(json.dumps(values))


def pieces(tokenizer: TextTokenizer, text: str = TEXT) -> str:
    return " ".join(tokenizer.backend.encode(text, add_special_tokens=False).tokens)


def again(tokenizer: TextTokenizer, folder: Path) -> TextTokenizer:
    """What is read of what is written."""
    folder.mkdir(parents=True)
    tokenizer.write(folder, 32)
    return read_tokenizer(folder)


CHINESE = "\u4f60 \u597d"
HONOURED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, f"mochte {CHINESE} a ##b ! [ agent ]"),
    "accents kept": ({"strip_accents": False}, f"m\u00f6chte {CHINESE} a ##b ! [ agent ]"),
    "accents and case kept": (
        {"strip_accents": False, "do_lower_case": False},
        f"M\u00f6chte {CHINESE} a ##b ! [ agent ]",
    ),
    "Chinese as words": ({"tokenize_chinese_chars": False}, "mochte \u4f60\u597d a ##b ! [ agent ]"),
    "no basic tokenizer": ({"do_basic_tokenize": False}, "M\u00f6chte \u4f60\u597d [UNK] [UNK]"),
    "extra special": ({"additional_special_tokens": ["[agent]"]}, f"mochte {CHINESE} a ##b ! [agent]"),
    "extra by name": ({"extra_special_tokens": {"who": "[agent]"}}, f"mochte {CHINESE} a ##b ! [agent]"),
    "added with flags": (
        {"added_tokens_decoder": {"17": {"content": "[agent]", "special": True, "normalized": False}}},
        f"mochte {CHINESE} a ##b ! [agent]",
    ),
}

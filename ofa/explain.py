"""Hydra's and OmegaConf's exceptions in one or two lines: the key, the value, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from ofa.config import Config


def keys(schema: Any = None, prefix: str = "") -> Iterator[str]:
    """Every settings key of the schema: ``task.name``, ``ofa.widths``, ..."""
    schema = schema or Config()
    for entry in fields(schema):
        value = getattr(schema, entry.name)
        if is_dataclass(value):
            yield from keys(value, f"{prefix}{entry.name}.")
        else:
            yield f"{prefix}{entry.name}"


def explain(error: Exception) -> str:
    """What ``error``, raised while composing the settings, means to the user."""
    text = _innermost(error)
    full_key = re.search(r"full_key: (\S+)", text)
    if "is not in struct" in text or "Key '" in text and "not in" in text:
        return _unknown(full_key[1] if full_key else _quoted(text))
    group = re.search(r"Could not find '([^']+)'", text)
    if group:
        return _unknown_choice(group[1], text)
    override = re.search(r"Could not override '([^']+)'", text)
    if override and "No match in the defaults list" in text:
        return _unknown(override[1])
    missing = re.search(r"has missing mandatory value: (\S+)", text) or re.search(
        r"Missing mandatory value: (\S+)", text
    )
    if missing:
        return f"{missing[1]}: has no value; set it with {missing[1]}=..."
    first = text.splitlines()[0]
    return f"{full_key[1]}: {first}" if full_key else first


def _innermost(error: BaseException) -> str:
    """The messages of ``error`` and its causes, the most specific first."""
    texts, seen = [], error
    while seen is not None:
        texts.append(str(seen))
        seen = seen.__cause__ or seen.__context__  # type: ignore[assignment]
    return "\n".join(reversed(texts))


def _quoted(text: str) -> str:
    found = re.search(r"[Kk]ey '([^']+)'", text)
    return found[1] if found else text.splitlines()[0]


def _unknown(key: str) -> str:
    key = key.split("@")[0]
    section = key.rpartition(".")[0]
    known = list(keys())
    near = difflib.get_close_matches(key, known, n=1)
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    allowed = ", ".join(siblings if section and siblings else sorted({name.split(".")[0] for name in known}))
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{key}: no such setting{hint}\nallowed here: {allowed}"


def _unknown_choice(choice: str, text: str) -> str:
    group, _, name = choice.rpartition("/")
    options = re.search(r"Available options in '[^']+':\n((?:\t\S+\n?)+)", text)
    allowed = ", ".join(options[1].split()) if options else "see --help"
    return f"{group}: {name!r} is unknown; allowed: {allowed}"

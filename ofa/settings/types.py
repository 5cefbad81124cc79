"""The types of the settings: what is at a key, whether a value is of it, and how it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache
from itertools import chain, islice
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ofa.settings.schema import Config
from ofa.system.command import is_text
from ofa.system.redact import without_secrets

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


_resolved = cache(get_type_hints)  # Python resolves the text of every hint anew whenever it is asked


def hints(kind: Any) -> dict[str, Any]:
    """The types of the fields of a dataclass, by name."""
    return _resolved(kind)


def keys(kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """Every settings key of the schema: ``task.name``, ``ofa.widths``, ..."""
    for name, hint in hints(kind).items():
        if is_dataclass(hint):
            yield from keys(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def inside(kind: Any) -> Any:
    """The type of the entries of a list or mapping; None for anything else."""
    return get_args(kind)[-1] if get_origin(kind) in (list, dict) else None


def plain(kind: Any) -> Any:
    """``kind`` without ``| None``."""
    return next(k for k in get_args(kind) if k is not NoneType) if isinstance(kind, UnionType) else kind


@cache
def kind_of(key: str) -> Any:
    """The type of the setting ``key``, e.g. ``ofa.widths[2]``; None if there is none of that name."""
    kind: Any = Config
    for part in re.findall(r"[^.\[\]]+", key):
        kind = plain(kind)
        kind = hints(kind).get(part) if is_dataclass(kind) else inside(kind)
    return kind


def allowed(kind: Any) -> str:
    """What a value of ``kind`` is called."""
    if isinstance(kind, UnionType):
        return f"{allowed(plain(kind))}, or null"
    if get_origin(kind) is list:
        return f"a list in brackets, each entry {allowed(inside(kind))}"
    if get_origin(kind) is dict:
        return f"a mapping in braces, each value {allowed(inside(kind))}"
    return f"one of its keys: {', '.join(hints(kind))}" if is_dataclass(kind) else WORDS[kind]


def short(text: str, most: int = 150) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def refused(key: str, value: Any, kind: Any) -> str:
    """That ``value`` is not of the type ``kind``, and what is allowed."""
    shown = (
        "null" if value is None else "another section" if is_dataclass(value) else short(without_secrets(repr(value)))
    )
    return f"{key}: {shown} is not allowed; allowed: {allowed(kind)}"


def mismatches(value: Any, kind: Any = Config, key: str = "") -> Iterator[str]:
    """In words, every value inside ``value`` that is not of the type that the dataclasses give it.

    OmegaConf checks what is assigned, but neither what a reference ``${...}`` stands for nor lists inside lists.
    """
    bare = plain(kind)
    if value is None and bare is not kind:
        return
    if is_dataclass(bare) and isinstance(value, bare):  # type: ignore[arg-type]
        for name, hint in hints(bare).items():
            yield from mismatches(getattr(value, name), hint, f"{key}.{name}" if key else name)
    elif get_origin(bare) is list and isinstance(value, list):
        found = (mismatches(entry, inside(bare), f"{key}[{number}]") for number, entry in enumerate(value))
        yield from islice(chain.from_iterable(found), 1)  # the others are of the same kind
    elif get_origin(bare) is dict and isinstance(value, dict):
        for name, entry in value.items():
            yield from mismatches(entry, inside(bare), f"{key}.{name}")
    elif bare is str and isinstance(value, str) and not is_text(value):
        yield f"{key}: {ascii(value)} holds halves of characters; allowed: text in UTF-8"
    elif bare not in WORDS or isinstance(value, bool) != (bare is bool) or not isinstance(value, _PYTHON[bare]):
        yield refused(key, value, kind)


_PYTHON: dict[Any, Any] = {int: int, float: (int, float), bool: bool, str: str}

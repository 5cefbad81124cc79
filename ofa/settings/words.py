"""Text as it was typed: what Hydra's grammar and YAML would make of words that a user meant literally.

On the command line the grammar of Hydra has no letters beyond ASCII, and makes ``1.50`` the number 1.5; in a file YAML
makes ``no`` a false. Where a setting takes text, the text is what counts.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from ofa.settings.types import inside, kind_of, plain

OVERRIDE = re.compile(r"([+]{0,2})([\w$][\w.@/$-]*)=(.*)", re.DOTALL)
# A value taken apart: what is in quotes, what separates elements, and the elements, ${references} inside included.
PARTS = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[][(){},]|(?:\$\{[^}]*\}|[^][(){},'"])+|.""", re.DOTALL)
KNOWN = re.compile(r"[\w/\-\\+.$%*@?|:= \t{}]*", re.ASCII)  # characters that Hydra's grammar has outside quotes
PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[a-z_][\w/-]*|0|[1-9]\d*", re.ASCII | re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(?:[\d_]*\.?[\d_]+|[\d_]+\.)(?:e[+-]?[\d_]+)?|[+-]?(?:inf|nan)|true|false", re.IGNORECASE)


def as_typed(argument: str) -> str:
    """One argument of the command line with quotes, as Hydra wants them, around what it would refuse or change.

    That is an element with characters that Hydra's grammar does not have, and, where the setting takes text, one that
    reads like a number or a truth value.
    """
    override = OVERRIDE.fullmatch(argument)
    if not override:
        return argument
    prefix, key, value = override.groups()
    kind = kind_of(key)
    depth, braces, quoted = 0, 0, ""
    for part in PARTS.findall(value):
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        braces += (part == "{") - (part == "}")
        name, colon, rest = part.partition(":") if braces > 0 else ("", "", part)
        text = _takes_text(kind, depth) and "(" not in value
        quoted += name + colon + (_quoted(rest, text, _takes_null(kind, depth)) if rest else "")
    return f"{prefix}{key}={quoted}"


def as_pasted(key: str, values: Sequence[str]) -> str:
    """The setting of a list of texts as one argument for a shell, read back as it is whatever the texts hold."""
    elements = (value if PLAIN.fullmatch(value) else '"' + _escaped(value) + '"' for value in values)
    return shlex.quote(f"{key}=[{','.join(elements)}]")


def _escaped(value: str) -> str:
    """As Hydra's grammar has it between double quotes: backslashes count only before a quote."""
    return re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), value)


def _takes_text(kind: Any, depth: int) -> bool:
    """Whether a setting of ``kind`` takes text inside ``depth`` brackets or braces."""
    return plain(kind if depth == 0 else inside(plain(kind))) is str


def _takes_null(kind: Any, depth: int) -> bool:
    return depth == 0 and isinstance(kind, UnionType)


def _quoted(element: str, text: bool, null: bool) -> str:
    word = element.strip()
    if not word or word[0] in "'\"[](){}," or "\\" in word:
        return element
    changed = text and (NUMBER.fullmatch(word) or (word.lower() == "null" and not null))
    return f"'{word}'" if changed or not KNOWN.fullmatch(word) else element


def changed_by_yaml(path: Path, package: str) -> Iterator[str]:
    """In words, every entry of a settings file that is text to the schema and something else to YAML.

    Args:
        package: where in the settings the file's content goes, e.g. ``task``; empty for the top.
    """
    for line, key, written, read in _changed(path.read_text(encoding="utf-8"), package):
        yield f'{path}:{line}: {key}: YAML reads {written} as {read}; write "{written}", with the quotes'


@cache
def _changed(content: str, package: str) -> tuple[tuple[int, str, str, str], ...]:
    """Line, key, text as written and as YAML reads it. The same files are read for every job of a sweep."""
    found = []
    for key, node in _scalars(yaml.compose(content, yaml.SafeLoader), package):
        if node.style is None and kind_of(key) is not None and plain(kind_of(key)) is str:
            # As Hydra's loader, which differs from YAML's own.
            (read,) = OmegaConf.to_container(OmegaConf.create(f"x: {node.value}"), resolve=False).values()  # type: ignore[union-attr]
            if read is not None and str(read) != node.value:
                meant = f"{read!r}".lower() if isinstance(read, bool) else repr(read)
                found.append((node.start_mark.line + 1, key, node.value, meant))
    return tuple(found)


def _scalars(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every scalar below a YAML node, with its key in the settings."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _scalars(value, f"{key}.{name.value}".lstrip("."))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _scalars(value, f"{key}[{number}]")
    elif node is not None:
        yield key, node

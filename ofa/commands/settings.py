"""``ofa settings``: the groups, and every setting with its type, its default and what it means."""

from __future__ import annotations

import argparse
import html
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache, reduce
from typing import Any, get_origin, get_type_hints

from ofa.errors import UserError
from ofa.settings import schema
from ofa.settings.explain import unknown
from ofa.settings.groups import CONF, chosen, groups
from ofa.settings.types import allowed, kind_of, plain
from ofa.system.command import as_command, terminal_width

WIDTH = 110  # characters of a line, at most
MADE_BY = "ofa settings --markdown > docs/en/reference.md"
FIELD = re.compile(r"    (\w+): [^#]*?(?:#\s*(.*))?")


@cache
def comments(kind: type) -> dict[str, str]:
    """What the source of the dataclass ``kind`` says of each field: the comment above it and the one behind it.

    A comment above also holds for fields that follow at once and have none of their own.
    """
    found: dict[str, str] = {}
    block: list[str] = []  # the comment above
    used = False  # by a field
    for line in inspect.getsource(kind).splitlines():
        field = FIELD.fullmatch(line)
        if field and field[1] in get_type_hints(kind):
            own = field[2] or ""
            found[field[1]] = " ".join([*([] if used and own else block), own]).strip()
            block, used = [] if used and own else block, True
        elif line.strip().startswith("#"):
            block, used = [*([] if used else block), line.strip(" #")], False
        else:
            block, used = [], False
    return found


def described(key: str, owner: type) -> str:
    """One setting in a few lines: ``key = default``, its type, what it means, and who sets another default."""
    default, source = _default(key)
    by = f"  (by {source})" if source else ""
    kind = f"type: {_kind(key, owner)}"
    return "\n".join([f"{key} = {default}{by}", *(_wrapped(text) for text in (_meaning(key, owner), kind) if text)])


def _default(key: str) -> tuple[str, str | None]:
    """The default of a setting as it is typed, and the file that sets it if one does."""
    value, source = chosen(key)
    return _shown(reduce(getattr, key.split("."), schema.Config()) if source is None else value), source


def _kind(key: str, owner: type) -> str:
    return allowed(get_type_hints(owner)[key.rpartition(".")[2]])


def _meaning(key: str, owner: type) -> str:
    return comments(owner).get(key.rpartition(".")[2]) or ""


def _shown(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_shown(one)}" for key, one in value.items()) + "}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, min(WIDTH, terminal_width()), initial_indent="    ", subsequent_indent="    ")


def entries(kind: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """Every setting below a section: its key, and the dataclass that it is a field of."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from entries(hint, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}", kind


def all_settings() -> str:
    of_groups = [_wrapped(f"{name}: {', '.join(files)}") for name, files in groups().items()]
    lines = ["Groups, chosen with group=name:", *of_groups, "", "Settings, changed with key=value:"]
    return "\n".join([*lines, *(described(*entry) for entry in entries(schema.Config))])


def reference() -> str:
    """The page of the documentation: the groups, then a table per section."""
    lines = ["# All settings", "", f"Made by `{MADE_BY}`; `ofa settings KEY` tells one.", "", "## Groups", ""]
    lines += ["| group | chosen with |", "| --- | --- |"]
    lines += [f"| `{name}` | {', '.join(f'`{name}={file}`' for file in files)} |" for name, files in groups().items()]
    section = ""
    for key, owner in entries(schema.Config):
        own = key.partition(".")[0] if "." in key else "of a job"
        if own != section:
            section = own
            lines += ["", f"## {section}", "", "| setting | default | what it is | type |", "| --- | --- | --- | --- |"]
        lines.append(_row(key, owner))
    return "\n".join(lines)


def _row(key: str, owner: type) -> str:
    """One setting as a row of a table."""
    default, source = _default(key)
    by = f" ({source})" if source else ""
    cells = [f"`{key}`", f"`{default}`{by}", html.escape(_meaning(key, owner), quote=False), _kind(key, owner)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def tell(key: str) -> str:
    """What there is to say of a setting, of a section with all below it, or of a group.

    Raises:
        UserError: if there is no such key, with the near ones.
    """
    found = [(name, owner) for name, owner in entries(schema.Config) if f"{name}.".startswith(f"{key}.")]
    files = groups().get(key)
    lines = [f"{key}=NAME takes one of: {', '.join(files)}"] if files else []
    if not found and not files:
        kind = plain(kind_of(key.rpartition(".")[0])) if "." in key else None
        if get_origin(kind) is dict:
            raise UserError(f"{key}: an entry of {key.rpartition('.')[0]}, whose values are {allowed(kind)}")
        raise UserError(unknown(key))
    lines += [described(*entry) for entry in found]
    if len(found) == 1:
        lines += [_wrapped(f"{place} sets {_shown(value)}") for place, value in _other_files(found[0][0])]
    return "\n".join(lines)


def _other_files(key: str) -> Iterator[tuple[str, Any]]:
    """The files of the key's group that set it, as they are chosen, and to what."""
    group, _, rest = key.partition(".")
    for name in groups().get(group, ()) if rest else ():
        value, source = chosen(key, f"{group}={name}")
        if source:
            yield source, value


@as_command
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="ofa settings",
        description="Tell what settings there are: default, meaning, type.",
        epilog=f"Examples: ofa settings | less; ofa settings trainer; ofa settings ofa.widths. "
        f"The groups' files are in {CONF}.",
    )
    parser.add_argument("--markdown", action="store_true", help="all of them as docs/en/reference.md has them")
    parser.add_argument("keys", nargs="*", metavar="KEY", help="a setting, a section or a group; all if left out")
    options = parser.parse_args(arguments)
    everything = reference() if options.markdown else all_settings()
    for text in map(tell, options.keys) if options.keys else [everything]:
        print(text)
    return 0

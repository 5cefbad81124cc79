"""The files under ``conf/``: the groups, and what the chosen ones set. Read as they are, without Hydra."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

# The settings' files: inside the package where a wheel was installed, beside it in a checkout.
_INSIDE = Path(__file__).resolve().parents[1] / "conf"
CONF = _INSIDE if _INSIDE.is_dir() else _INSIDE.parents[1] / "conf"


def groups() -> dict[str, list[str]]:
    """Group -> the names of its files, one of which is chosen with ``group=name``."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir())
    found = {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}
    return {name: files for name, files in found.items() if files}


@cache
def _content(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8")) or {}


@cache
def defaults() -> dict[str, str]:
    """Group -> the file that is chosen if a command does not choose."""
    listed = [entry for entry in _content("config")["defaults"] if isinstance(entry, dict)]
    return {group: name for entry in listed for group, name in entry.items() if name}


def chosen(key: str, choice: str | None = None) -> tuple[Any, str | None]:
    """What the files set ``key`` to, and which, as ``ofa=dynabert``; (None, None) if they leave it to the schema.

    Args:
        choice: the group's file to look into; None: the one that is chosen by default, then ``config.yaml``.
    """
    group, _, rest = key.partition(".")
    choice = choice or (f"{group}={defaults()[group]}" if group in defaults() else None)
    places = [(choice.replace("=", "/"), rest, choice)] if choice and rest else []
    for name, path, source in [*places, ("config", key, "config.yaml")]:
        value: Any = _content(name)
        for part in path.split("."):
            value = value.get(part, _content) if isinstance(value, dict) else _content
        if value is not _content:
            return value, source
    return None, None

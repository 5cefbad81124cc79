"""What a field of the settings is to a job: what it computes, how it runs, or what its results say."""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields, is_dataclass
from typing import Any


def setting(default: Any, **metadata: bool) -> Any:
    """A dataclass's field; a list, a mapping or a dataclass (or a class) as its default is made anew each time."""
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def how(default: Any) -> Any:
    """A setting that says where or how a job runs, and changes nothing that it computes."""
    return setting(default, how=True)


def collected(default: Any) -> Any:
    """A setting read where results are collected: it changes what they say, and no stage's output."""
    return setting(default, collected=True)


def added(neutral: Any) -> Any:
    """A setting that came after others: left out of keys while it is neutral, so that finished work stays valid."""
    return setting(neutral, added=True)


def what(settings: Any) -> Any:
    """The nested values of ``settings`` (a dataclass, or a value of one) that decide the results of a job."""
    return _values(settings, ("how",))


def key_of(settings: Any) -> Any:
    """The nested values of a section that decide the output of stages: its part in their keys."""
    return _values(settings, ("how", "collected"))


def shown(settings: Any) -> Any:
    """As :func:`what`, with those that are neutral: what two jobs are compared by, of which only one set them."""
    return _values(settings, ("how",), neutral=True)


def _values(settings: Any, without: tuple[str, ...], neutral: bool = False) -> Any:
    if is_dataclass(settings):
        kept = [
            entry
            for entry in fields(settings)
            if not any(entry.metadata.get(role) for role in without)
            and not (not neutral and entry.metadata.get("added") and _is_neutral(entry, settings, without))
        ]
        return {entry.name: _values(getattr(settings, entry.name), without, neutral) for entry in kept}
    if isinstance(settings, dict):
        return {key: _values(value, without, neutral) for key, value in settings.items()}
    return [_values(value, without, neutral) for value in settings] if isinstance(settings, list) else settings


def _is_neutral(entry: Field, settings: Any, without: tuple[str, ...]) -> bool:
    return _values(getattr(settings, entry.name), without) == _values(_default(entry), without)


def _default(entry: Field) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def how_keys(kind: type, prefix: str = "") -> list[str]:
    """The keys in ``kind`` that are :func:`how`, of settings and of whole sections: ``tracking``, ``task.sha256``."""
    found = []
    for entry in fields(kind):
        if entry.metadata.get("how"):
            found.append(prefix + entry.name)
        elif is_dataclass(default := _default(entry)):
            found += how_keys(type(default), f"{prefix}{entry.name}.")
    return found

"""What a single value may be, in words, key first: each function yields the problem if there is one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import inf

from ofa.system import machine
from ofa.system.redact import without_secrets

MOST_PER_CPU = 4
MOST = 2**31 - 1  # of what is counted: more fits no index of Paddle's, and takes for ever


def choice(key: str, value: str, allowed: Sequence[str]) -> Iterable[str]:
    if value not in allowed:
        yield f"{key}: {without_secrets(value)!r} is unknown; allowed: {', '.join(allowed)}"


def at_least(key: str, value: float | None, least: float) -> Iterable[str]:
    if value is not None and not least <= value <= MOST:
        yield f"{key}: {value} is not allowed; allowed: from {least}" + (f" to {MOST}" if value > MOST else "")


def above_zero(key: str, value: float) -> Iterable[str]:
    if not 0 < value < inf:
        yield f"{key}: {value:g} is not allowed; allowed: above 0"


def between(key: str, value: float, low: float, high: float) -> Iterable[str]:
    if not low <= value <= high:
        yield f"{key}: {value} is outside [{low:.15g}, {high:.15g}]"


def once(key: str, values: Sequence[object]) -> Iterable[str]:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        yield f"{key} names {', '.join(twice)} twice; allowed: each once"


def per_cpu(key: str, value: int | None) -> Iterable[str]:
    """Processes or threads of this machine: with more than a few for each CPU they crawl, or cannot even start."""
    most = MOST_PER_CPU * machine.cpus()
    if value is not None and value > most:
        yield f"{key}: {value} is not allowed; allowed: up to {most}, {MOST_PER_CPU} for each CPU of this machine"


def file_name(key: str, value: str) -> Iterable[str]:
    """Names that become part of a folder's name must not lead out of it."""
    if not re.fullmatch(r"\w[\w.+-]*", value):
        yield f"{key}: {without_secrets(value)!r} cannot name a folder; allowed: letters, digits and _ . + -"

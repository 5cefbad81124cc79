"""The rules of what distillation learns from besides the teacher's answers on the training rows."""

from __future__ import annotations

from collections.abc import Iterable

from ofa.settings.bounds import at_least, between, once
from ofa.settings.schema import Config


def distill_problems(config: Config) -> Iterable[str]:
    """Labels, temperature and further rows that cannot be."""
    ofa, task = config.ofa, config.task
    yield from at_least("ofa.hard_weight", ofa.hard_weight, 0)
    yield from between("ofa.temperature", ofa.temperature, 0.1, 100)
    if ofa.temperature != 1 and task.kind == "score":
        yield f"ofa.temperature: {ofa.temperature:g} is for classes, {task.name} is a regression task; allowed: 1"
    yield from once("task.unlabelled", task.unlabelled)

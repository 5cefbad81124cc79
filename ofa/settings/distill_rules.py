"""The rules of what distillation learns from, and of the stages that not every job has."""

from __future__ import annotations

from collections.abc import Iterable

from ofa.settings.bounds import at_least, between, choice, once
from ofa.settings.schema import OPTIONAL_STAGES, VOCABULARIES, Config


def distill_problems(config: Config) -> Iterable[str]:
    """Labels, temperature and further rows that cannot be."""
    ofa, task = config.ofa, config.task
    yield from at_least("ofa.hard_weight", ofa.hard_weight, 0)
    yield from between("ofa.temperature", ofa.temperature, 0.1, 100)
    if ofa.temperature != 1 and task.kind == "score":
        yield f"ofa.temperature: {ofa.temperature:g} is for classes, {task.name} is a regression task; allowed: 1"
    yield from at_least("ofa.augment.copies", ofa.augment.copies, 0)
    yield from between("ofa.augment.share", ofa.augment.share, 0.01, 1)
    yield from at_least("ofa.augment.candidates", ofa.augment.candidates, 1)
    yield from once("task.unlabelled", task.unlabelled)
    yield from choice("ofa.vocabulary", ofa.vocabulary, VOCABULARIES)
    yield from once("ofa.vocabulary_files", ofa.vocabulary_files)
    if ofa.vocabulary_files and ofa.vocabulary == "full":
        yield "ofa.vocabulary_files: nothing is left out of the vocabulary; set ofa.vocabulary=seen, or leave them out"


def optional_stage_problems(config: Config, times_layers: bool) -> Iterable[str]:
    """Stages that are asked for by name where no setting gives them any work.

    Args:
        times_layers: whether a limit of a search is on a measured latency.
    """
    ofa, final = config.ofa, config.trainer.final
    wanted = {
        "augment": ofa.augment.copies > 0,
        "vocabulary": ofa.vocabulary == "seen",
        "distill_depth": ofa.has_depths,
        "layer_times": times_layers,
        "search": config.search.runs,
        "specialise": config.search.specialises,
        "final": final.runs,
    }
    asked = ((key, name) for key in ("stages", "force") for name in OPTIONAL_STAGES if name in getattr(config, key))
    for key, name in asked:
        if not wanted[name]:
            yield f"{key}: {name} has nothing to do in this job; ask for it with e.g. {OPTIONAL_STAGES[name]}"

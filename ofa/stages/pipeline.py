"""The stages of a job, and what decides the output of each: its key, which names its folder in the store.

The digest of what a stage reads of the settings and the inputs, of the stages it needs and of its version is that name.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.limits import require_reachable, times_layers
from ofa.settings.schema import Config
from ofa.stages import keys
from ofa.stages.context import StageContext
from ofa.stages.inputs import Inputs
from ofa.store import Store
from ofa.system.files import read_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A pipeline stage: a function and the inputs that determine its output.

    Attributes:
        needs: the stages whose folders it reads, of those that a job has.
        reads: what else decides its output, as JSON.
        version: raised when the meaning of its output changes.
        title: what it does, for the terminal.
        alone: run by rank 0 while the others wait.
        wanted: whether a job has it.
        also: what else it needs in this job.
        check: of its finished folder, made now or before: raises a UserError where this job cannot go on.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    reads: Callable[[Config, Inputs], dict[str, Any]]
    version: int = 1
    alone: bool = False
    wanted: Callable[[Config], bool] = lambda config: True
    also: Callable[[Config], tuple[str, ...]] = lambda config: ()
    check: Callable[[Config, Inputs, Path], None] = lambda config, inputs, folder: None

    def run(self, context: StageContext) -> None:
        """Import the stage's module, and with it Paddle, only now that there is work for it."""
        importlib.import_module(f"ofa.stages.{self.name}").run(context)


def require_teacher(config: Config, inputs: Inputs, folder: Path) -> None:
    """Refuse a finished teacher of which the stage found that nothing can be learned; said again in every job.

    Raises:
        UserError: if it is no better than a constant answer, or would be in another order of its classes.
    """
    record = read_json(folder / "finetune.json")
    problems = record.get("problems", [])
    if problems and not config.model.accept_weak_teacher:
        raise UserError("\n".join([f"{config.model.origin}: {problems[0]}", *problems[1:], record["advice"]]))
    for problem in problems:
        log.warning(problem)


LAST_DISTILLED = ("distill", "distill_depth")
LAST_FOUND = (*LAST_DISTILLED, "search", "specialise")
LAST_TRAINED = (*LAST_FOUND, "final")
PIPELINE = (
    Stage(
        "layer_times",  # first: a limit that no network meets is refused before anything is trained
        "Time layers on this machine",
        (),
        keys.layer_times,
        alone=True,
        wanted=times_layers,
        check=lambda config, inputs, folder: require_reachable(
            config, inputs.least_shape(config.ofa.vocabulary), inputs.space, folder
        ),
    ),
    Stage("finetune", "Finetune the teacher", (), keys.finetune, check=require_teacher),
    Stage(
        "augment",
        "Replace words in copies of the training rows",
        ("finetune",),
        keys.augment,
        version=3,
        alone=True,
        wanted=lambda config: config.ofa.augment.copies > 0,
    ),
    Stage("reorder", "Score heads and neurons, permute the weights", ("finetune",), keys.reorder),
    Stage(
        "vocabulary",
        "Leave out the tokens that no training row needs",
        ("finetune", "augment", "reorder"),
        keys.vocabulary,
        alone=True,
        wanted=lambda config: config.ofa.vocabulary == "seen",
        check=lambda config, inputs, folder: require_reachable(
            config, inputs.with_tokenizer_of(folder / "model").shape, inputs.space
        ),
    ),
    Stage(
        "distill",
        "Distil the supernet at every width",
        ("finetune", "augment", "reorder", "vocabulary"),
        keys.distill,
    ),
    Stage(
        "distill_depth",
        "Distil the supernet at every width and depth",
        ("finetune", "augment", "vocabulary", "distill"),
        keys.distill_depth,
        wanted=lambda config: config.ofa.has_depths,
    ),
    Stage(
        "search",
        "Search for the best networks within the limits",
        ("layer_times", "reorder", *LAST_DISTILLED),
        keys.search,
        alone=True,
        wanted=lambda config: config.search.runs,
    ),
    Stage(
        "specialise",
        "Distil each network that was found alone",
        ("finetune", "augment", "vocabulary", *LAST_DISTILLED, "search"),
        keys.specialise,
        wanted=lambda config: config.search.specialises,
    ),
    Stage(
        "final",
        "Finetune every network on the true labels",
        LAST_FOUND,
        keys.final,
        wanted=lambda config: config.trainer.final.runs,
    ),
    Stage(
        "evaluate",
        "Evaluate the teacher and every network",
        ("finetune", "reorder", "vocabulary", *LAST_TRAINED),
        keys.evaluate,
        3,
    ),
    Stage(
        "export",
        "Export every network and compare it with the one scored",
        LAST_TRAINED,
        keys.export,
        2,
        alone=True,
        also=lambda config: () if config.ofa.has_full else ("finetune", "vocabulary"),
    ),
    Stage(
        "quantize",
        "Quantise every network to INT8 and score it",
        ("export",),
        keys.quantize,
        4,
        alone=True,
        wanted=lambda config: config.int8.enabled,
    ),
    Stage("latency", "Measure latency on this machine", ("export", "quantize"), keys.latency, 2, alone=True),
)


def wanted_stages(config: Config) -> list[Stage]:
    """The picked stages and all they need, in order; each needs what this job has."""
    has = [stage for stage in PIPELINE if stage.wanted(config)]
    names = {stage.name for stage in has}
    needs = {stage.name: [name for name in (*stage.also(config), *stage.needs) if name in names] for stage in has}
    wanted = set(config.stages)
    for stage in reversed(has):
        if stage.name in wanted:
            wanted.update(needs[stage.name])
    return [replace(stage, needs=tuple(needs[stage.name])) for stage in has if stage.name in wanted]


def plan(config: Config, inputs: Inputs, store: Store) -> Iterator[tuple[Stage, dict[str, Any], dict[str, Path]]]:
    """The wanted stages in order, each with its key and the folders of all stages up to it, its own included."""
    folders: dict[str, Path] = {}
    for stage in wanted_stages(config):
        key = {
            "stage": stage.name,
            "version": stage.version,
            "reads": stage.reads(config, inputs),
            "needs": {name: folders[name].name for name in stage.needs},
        }
        folders[stage.name] = store.path(stage.name, key)
        yield stage, key, folders

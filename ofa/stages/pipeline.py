"""Stages and the store they leave their work in.

A stage says what decides its output; the digest of that, of the stages it needs and of its version
names its folder. A folder under that name is complete: work happens in ``<folder>.part``, which
survives a crash (checkpoints live there) and is renamed at the end. Jobs share one store.
"""

from __future__ import annotations

import importlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ofa.errors import Interrupted
from ofa.limits import require_reachable, times_layers
from ofa.settings.schema import Config
from ofa.stages import keys
from ofa.stages.context import StageContext as StageContext
from ofa.stages.inputs import Inputs
from ofa.store import PART, Store
from ofa.system import ranks
from ofa.system.machine import machine, versions

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
    Stage("finetune", "Finetune the teacher", (), keys.finetune),
    Stage(
        "augment",
        "Replace words in copies of the training rows",
        ("finetune",),
        keys.augment,
        version=2,
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


def run_stages(
    config: Config,
    inputs: Inputs,
    monitor: Any,
    store: Store,
    stop: Callable[[], bool] = lambda: False,
    done: Callable[[str, Path], None] = lambda stage, folder: None,
) -> dict[str, Path]:
    """Run what the store does not have yet; returns the complete folder of each stage by name.

    Rank 0 takes the locks, decides and keeps the store; the other ranks do their part of each stage's work.

    Args:
        done: told of each stage that is complete, and its folder, before the next one begins.

    Raises:
        Interrupted: if ``stop`` says so, which is asked between stages and by their training loops.
    """
    folders: dict[str, Path] = {}
    for stage, key, folders in plan(config, inputs, store):  # keys are of the inputs as they were loaded
        folder = folders[stage.name]
        if "vocabulary" in stage.needs and inputs.full is None:
            inputs = inputs.with_tokenizer_of(folders["vocabulary"] / "model")
        if ranks.broadcast(stop()):
            raise Interrupted(f"stopped before {stage.name}")
        with store.locked(folder, stop) if ranks.is_main() else nullcontext():
            if ranks.is_main():
                _set_aside_damaged(stage, folder, store)
            if ranks.broadcast(store.complete(folder) and stage.name not in config.force):
                log.info("%s: taken from the store (%s)", stage.name, folder.name)
            else:
                needs = {name: folders[name] for name in stage.needs}
                _run(stage, key, folder, StageContext(config, inputs, needs, folder, folder, monitor, stop))
        stage.check(config, inputs, folder)
        done(stage.name, folder)
    return folders


def _set_aside_damaged(stage: Stage, folder: Path, store: Store) -> None:
    """Make room for a stage whose finished folder is no longer what was written."""
    problem = store.damage(folder, thorough=True) if store.complete(folder) else None
    if problem:
        aside = store.set_aside(folder)
        log.warning("%s: %s is damaged (%s); kept as %s, made again", stage.name, folder.name, problem, aside.name)


def _run(stage: Stage, key: dict[str, Any], folder: Path, context: StageContext) -> None:
    """Run ``stage`` in a folder beside its own and rename that when all is written."""
    log.info("%s: %s", stage.name, stage.title)
    part = folder.with_name(folder.name + PART)
    context.folder, context.work = part / "result", part / "work"
    started = time.monotonic()
    if ranks.is_main():
        _make_room(part, context, afresh=stage.name in context.config.force and folder.exists())
    ranks.barrier()
    if ranks.is_main() or not stage.alone:
        stage.run(context)
    ranks.barrier()
    if ranks.is_main():
        _complete(key, folder, part, context, time.monotonic() - started)
    log.info("%s: done in %.0f s", stage.name, time.monotonic() - started)


def _make_room(part: Path, context: StageContext, afresh: bool) -> None:
    """Empty folders for the result, and for checkpoints unless there are some to go on from."""
    if afresh:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(context.folder, ignore_errors=True)
    context.folder.mkdir(parents=True)
    context.work.mkdir(exist_ok=True)


def _complete(key: dict[str, Any], folder: Path, part: Path, context: StageContext, seconds: float) -> None:
    """Say in the result what made it, and put it where finished work is."""
    record = {
        **key,
        "seconds": round(seconds, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": context.config.task.name,
        "model": context.config.model.name,
        "versions": versions(),
        "machine": machine(),
    }
    Store.finish(context.folder, record)
    if folder.exists():
        shutil.rmtree(folder)
    context.folder.rename(folder)
    shutil.rmtree(part)

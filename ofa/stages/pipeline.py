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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ofa.errors import Interrupted
from ofa.settings.fields import key_of
from ofa.settings.schema import Config
from ofa.stages.inputs import Inputs
from ofa.store import PART, Store
from ofa.system import ranks
from ofa.system.machine import machine, versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A pipeline stage: a function and the inputs that determine its output.

    Attributes:
        needs: the stages whose folders it reads.
        reads: what else decides its output, as JSON.
        version: raised when the meaning of its output changes.
        title: what it does, for the terminal.
        alone: run by rank 0 while the others wait.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    reads: Callable[[Config, Inputs], dict[str, Any]]
    version: int = 1
    alone: bool = False

    def run(self, context: StageContext) -> None:
        """Import the stage's module, and with it Paddle, only now that there is work for it."""
        importlib.import_module(f"ofa.stages.{self.name}").run(context)


@dataclass
class StageContext:
    """What a running stage is given.

    Attributes:
        needs: the complete folders of the stages it needs, by name.
        folder: where its output goes.
        work: where its checkpoints go; gone when the stage is complete.
    """

    config: Config
    inputs: Inputs
    needs: dict[str, Path]
    folder: Path
    work: Path
    monitor: Any
    stop: Callable[[], bool]


def _data(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {
        "rows": inputs.digests["rows"],
        "vocab": inputs.digests["vocab"],
        "labels": config.task.labels,
        "metrics": config.task.metrics,
        "max_seq_length": config.trainer.max_seq_length,
        "lower_case": config.model.lower_case,
    }


def _finetune(config: Config, inputs: Inputs) -> dict[str, Any]:
    if inputs.label_order is not None:  # a finished teacher: nothing is trained
        return {**_data(config, inputs), "model": inputs.digests["model"], "label_order": inputs.label_order}
    return {
        **_data(config, inputs),
        "model": inputs.digests["model"],
        "shape": asdict(inputs.shape),
        "dropout": config.model.dropout,
        "seed": config.trainer.seed,
        "devices": config.hardware.devices,
        "precision": config.trainer.precision,
        "loop": key_of(config.trainer.finetune),
    }


def _reorder(config: Config, inputs: Inputs) -> dict[str, Any]:
    splits = list(config.task.dev) if config.ofa.importance.split == "dev" else []
    more = {"splits": splits} if len(splits) > 1 else {}  # once, only the first was read
    return {"importance": key_of(config.ofa.importance), "seed": config.trainer.seed, **more}


def _distill(config: Config, inputs: Inputs) -> dict[str, Any]:
    ofa = {key: value for key, value in key_of(config.ofa).items() if key != "importance"}
    return {
        "ofa": ofa,
        "dropout": config.model.dropout,
        "seed": config.trainer.seed,
        "devices": config.hardware.devices,
        "precision": config.trainer.precision,
        "loop": key_of(config.trainer.distill),
    }


def _evaluate(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"test": inputs.digests["test"]} if "test" in inputs.digests else {}


def _export(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"widths": config.ofa.widths}


def _latency(config: Config, inputs: Inputs) -> dict[str, Any]:
    found = machine()
    if config.hardware.device == "cpu":
        found.pop("gpu", None)  # not timed, although it is there
    return {"latency": key_of(config.latency), "threads": config.hardware.threads, "machine": found}


PIPELINE = (
    Stage("finetune", "Finetune the teacher", (), _finetune),
    Stage("reorder", "Score heads and neurons, permute the weights", ("finetune",), _reorder),
    Stage("distill", "Distil the supernet at every width", ("finetune", "reorder"), _distill),
    Stage("evaluate", "Evaluate the teacher and every network", ("finetune", "reorder", "distill"), _evaluate, 3),
    Stage("export", "Export every width and compare it with the network scored", ("distill",), _export, alone=True),
    Stage("latency", "Measure latency on this machine", ("export",), _latency, 2, alone=True),
)


def wanted_stages(picked: list[str]) -> list[Stage]:
    """The picked stages and all they need, in order."""
    names = set(picked)
    for stage in reversed(PIPELINE):
        if stage.name in names:
            names.update(stage.needs)
    return [stage for stage in PIPELINE if stage.name in names]


def plan(config: Config, inputs: Inputs, store: Store) -> Iterator[tuple[Stage, dict[str, Any], dict[str, Path]]]:
    """The wanted stages in order, each with its key and the folders of all stages up to it, its own included."""
    folders: dict[str, Path] = {}
    for stage in wanted_stages(config.stages):
        key = {
            "stage": stage.name,
            "version": stage.version,
            "reads": stage.reads(config, inputs),
            "needs": {name: folders[name].name for name in stage.needs},
        }
        folders[stage.name] = store.path(stage.name, key)
        yield stage, key, folders


def run_stages(
    config: Config, inputs: Inputs, monitor: Any, store: Store, stop: Callable[[], bool] = lambda: False
) -> dict[str, Path]:
    """Run what the store does not have yet; returns the complete folder of each stage by name.

    Rank 0 takes the locks, decides and keeps the store; the other ranks do their part of each stage's work.

    Raises:
        Interrupted: if ``stop`` says so, which is asked between stages and by their training loops.
    """
    folders: dict[str, Path] = {}
    for stage, key, folders in plan(config, inputs, store):
        folder = folders[stage.name]
        if ranks.broadcast(stop()):
            raise Interrupted(f"stopped before {stage.name}")
        with store.locked(folder, stop) if ranks.is_main() else nullcontext():
            if ranks.is_main():
                _set_aside_damaged(stage, folder, store)
            if ranks.broadcast(store.complete(folder) and stage.name not in config.force):
                log.info("%s: taken from the store (%s)", stage.name, folder.name)
                continue
            needs = {name: folders[name] for name in stage.needs}
            _run(stage, key, folder, StageContext(config, inputs, needs, folder, folder, monitor, stop))
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

"""Stages and the store they leave their work in.

A stage says what decides its output; the digest of that, of the stages it needs and of its version
names its folder. A folder under that name is complete: work happens in ``<folder>.part``, which
survives a crash (checkpoints live there) and is renamed at the end. Jobs share one store.
"""

from __future__ import annotations

import importlib
import json
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
from ofa.settings.schema import Config, LoopConfig
from ofa.stages.inputs import Inputs
from ofa.store import PART, RECORD, Store
from ofa.system import ranks
from ofa.system.machine import machine, versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A function with a declared appetite.

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

    def run(self, job: Job) -> None:
        """Import the stage's module, and with it Paddle, only now that there is work for it."""
        importlib.import_module(f"ofa.stages.{self.name}").run(job)


@dataclass
class Job:
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


def _loop(settings: LoopConfig) -> dict[str, Any]:
    """The settings of a loop that decide its result: not how often it logs or saves."""
    return {key: value for key, value in asdict(settings).items() if key not in {"log_steps", "save_steps"}}


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
        "loop": _loop(config.trainer.finetune),
    }


def _reorder(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"importance": asdict(config.ofa.importance), "seed": config.trainer.seed}


def _distill(config: Config, inputs: Inputs) -> dict[str, Any]:
    ofa = {key: value for key, value in asdict(config.ofa).items() if key not in {"importance", "tolerance"}}
    return {
        "ofa": ofa,
        "dropout": config.model.dropout,
        "seed": config.trainer.seed,
        "devices": config.hardware.devices,
        "precision": config.trainer.precision,
        "loop": _loop(config.trainer.distill),
    }


def _export(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"widths": config.ofa.widths}


def _latency(config: Config, inputs: Inputs) -> dict[str, Any]:
    found = machine()
    if config.hardware.device == "cpu":
        found.pop("gpu", None)  # not timed, although it is there
    timed = {key: value for key, value in asdict(config.latency).items() if key != "estimate_engines"}
    return {"latency": timed, "threads": config.hardware.threads, "machine": found}


PIPELINE = (
    Stage("finetune", "Finetune the teacher", (), _finetune),
    Stage("reorder", "Score heads and neurons, permute the weights", ("finetune",), _reorder),
    Stage("distill", "Distil the supernet at every width", ("finetune", "reorder"), _distill),
    Stage("evaluate", "Evaluate the teacher and every width", ("finetune", "distill"), lambda config, inputs: {}, 2),
    Stage("export", "Export every width and compare it with the network scored", ("distill",), _export, alone=True),
    Stage("latency", "Measure latency on this machine", ("export",), _latency, alone=True),
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
        if ranks.of_leader(stop()):
            raise Interrupted(f"stopped before {stage.name}")
        with store.locked(folder, stop) if ranks.leads() else nullcontext():
            if ranks.of_leader(store.complete(folder) and stage.name not in config.force):
                log.info("%s: taken from the store (%s)", stage.name, folder.name)
                continue
            needs = {name: folders[name] for name in stage.needs}
            _run(stage, key, folder, Job(config, inputs, needs, folder, folder, monitor, stop))
    return folders


def _run(stage: Stage, key: dict[str, Any], folder: Path, job: Job) -> None:
    """Run ``stage`` in a folder beside its own and rename that when all is written."""
    log.info("%s: %s", stage.name, stage.title)
    part = folder.with_name(folder.name + PART)
    job.folder, job.work = part / "result", part / "work"
    started = time.monotonic()
    if ranks.leads():
        _make_room(part, job, afresh=stage.name in job.config.force and folder.exists())
    ranks.meet()
    if ranks.leads() or not stage.alone:
        stage.run(job)
    ranks.meet()
    if ranks.leads():
        _complete(key, folder, part, job, time.monotonic() - started)
    log.info("%s: done in %.0f s", stage.name, time.monotonic() - started)


def _make_room(part: Path, job: Job, afresh: bool) -> None:
    """Empty folders for the result, and for checkpoints unless there are some to go on from."""
    if afresh:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    job.work.mkdir(exist_ok=True)


def _complete(key: dict[str, Any], folder: Path, part: Path, job: Job, seconds: float) -> None:
    """Say in the result what made it, and put it where finished work is."""
    record = {
        **key,
        "seconds": round(seconds, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": job.config.task.name,
        "model": job.config.model.name,
        "versions": versions(),
        "machine": machine(),
    }
    (job.folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    if folder.exists():
        shutil.rmtree(folder)
    job.folder.rename(folder)
    shutil.rmtree(part)

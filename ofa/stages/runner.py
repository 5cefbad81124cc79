"""Run the stages of a job that the store does not have yet.

A folder under the name of a stage's key is complete: work happens in ``<folder>.part``, which survives a crash
(checkpoints live there) and is renamed at the end. Jobs share one store.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ofa.errors import Interrupted
from ofa.settings.schema import Config
from ofa.stages.context import StageContext
from ofa.stages.inputs import Inputs
from ofa.stages.pipeline import Stage, plan
from ofa.store import PART, Store
from ofa.system import ranks
from ofa.system.files import read_json, write_whole
from ofa.system.machine import machine, versions

log = logging.getLogger(__name__)
MADE_FROM = "made_from"  # in the record of a stage: digests of what it read of others


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
            needs = {name: folders[name] for name in stage.needs}
            kept = ranks.is_main() and store.complete(folder) and not _to_make_again(stage, folder, needs, config)
            if ranks.broadcast(kept):
                log.info("%s: taken from the store (%s)", stage.name, folder.name)
            else:
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


def _to_make_again(stage: Stage, folder: Path, needs: Mapping[str, Path], config: Config) -> bool:
    """Whether a finished stage is asked for anew, or what it was made from has been made again and is different now."""
    if stage.name in config.force:
        return True
    made_from = Store.record(folder).get(MADE_FROM, {})  # of an earlier version: not known
    others = [name for name, content in _contents(needs).items() if made_from.get(name, content) != content]
    if others:
        log.info("%s: %s is no longer what it was made from; made again", stage.name, " and ".join(others))
    return bool(others)


def _contents(needs: Mapping[str, Path]) -> dict[str, str]:
    return {name: Store.content(folder) for name, folder in needs.items()}


def _run(stage: Stage, key: dict[str, Any], folder: Path, context: StageContext) -> None:
    """Run ``stage`` in a folder beside its own and rename that when all is written."""
    log.info("%s: %s", stage.name, stage.title)
    part = folder.with_name(folder.name + PART)
    context.folder, context.work = part / "result", part / "work"
    started = time.monotonic()
    if ranks.is_main():
        _make_room(part, context, folder)
    ranks.barrier()
    if ranks.is_main() or not stage.alone:
        stage.run(context)
    ranks.barrier()
    if ranks.is_main():
        _complete(key, folder, part, context, time.monotonic() - started)
    ranks.barrier()  # the others read what was made
    log.info("%s: done in %.0f s", stage.name, time.monotonic() - started)


def _make_room(part: Path, context: StageContext, folder: Path) -> None:
    """Empty folders for the result, and for checkpoints unless there are some to go on from.

    These were made from the same, and where the stage is made again, in the place of the same finished ``folder``.
    """
    note, contents = part / f"{MADE_FROM}.json", _contents(context.needs)
    again = {"instead of": Store.record(folder).get("finished")} if Store.complete(folder) else {}
    made_from = contents | again
    if part.exists() and (read_json(note) if note.exists() else contents) != made_from:
        shutil.rmtree(part)
    shutil.rmtree(context.folder, ignore_errors=True)
    context.folder.mkdir(parents=True)
    context.work.mkdir(exist_ok=True)
    write_whole(note, json.dumps(made_from))


def _complete(key: dict[str, Any], folder: Path, part: Path, context: StageContext, seconds: float) -> None:
    """Say in the result what made it, and put it where finished work is."""
    record = {
        **key,
        MADE_FROM: _contents(context.needs),
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

"""Checkpoints of a training loop: everything that is needed to go on as if nothing had happened.

A checkpoint is a folder ``step-00000500`` with the weights, the optimizer's state and ``state.json``
(step, progress, and the SHA-256 of the other files and of the progress). It is written beside and
renamed, so it is whole or absent; the last two are kept, and if the latest is corrupt, the previous one is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ofa.system import files, ranks
from ofa.system.files import file_digest, flush

log = logging.getLogger(__name__)
KEPT = 2
TENSORS = ("weights.safetensors", "optimizer.safetensors")
# What reading a state.json may raise that is not what was written.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Checkpoint:
    """State after ``step`` optimizer steps.

    Attributes:
        weights: model tensors by state-dict key.
        optimizer: optimizer accumulators by ``<state-dict key>/<accumulator>``.
        progress: what the loop keeps besides (best scores, recent losses), JSON.
    """

    step: int
    weights: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    progress: dict


def save(folder: Path, checkpoint: Checkpoint) -> list[dict]:
    """Write ``checkpoint`` under ``folder``, drop all but the last two; returns the kept ones' progress.

    Raises:
        OSError: if it cannot be written; the earlier checkpoints stay as they are.
    """
    final = folder / _name(checkpoint.step)
    part = folder / f"{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        files.require_space(
            folder, sum(value.nbytes for value in [*checkpoint.weights.values(), *checkpoint.optimizer.values()])
        )
        for name, tensors in zip(TENSORS, (checkpoint.weights, checkpoint.optimizer), strict=True):
            save_file(tensors, part / name)
        digests = {name: file_digest(part / name) for name in TENSORS}
        digests["progress"] = _digest(checkpoint.progress)
        state = {"step": checkpoint.step, "progress": checkpoint.progress, "sha256": digests}
        (part / "state.json").write_text(json.dumps(state))
        for path in part.iterdir():
            flush(path)
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # a full disk needs the space back
        raise
    # Later steps are there only if they were found damaged: the loop went on from before them.
    kept = [path for path in _folders(folder) if path.name <= final.name][-KEPT:]
    for other in set(_folders(folder)) - set(kept):
        shutil.rmtree(other)
    return [state["progress"] for state in map(_state_if_whole, kept) if state]


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _digest(progress: dict) -> str:
    return hashlib.sha256(json.dumps(progress, sort_keys=True).encode()).hexdigest()


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.suffix != ".part")


def latest(folder: Path, problem: Callable[[dict], str | None] = lambda progress: None) -> Checkpoint | None:
    """The newest whole checkpoint under ``folder``, or None; damaged ones are named and passed over.

    Args:
        problem: what is wrong with a checkpoint of this progress, if anything: files that it refers to, for instance.
    """
    folders = _folders(folder)
    for path in reversed(folders):
        try:
            state = _state(path)
            for name in TENSORS:
                if file_digest(path / name) != state["sha256"][name]:
                    raise ValueError(f"{name} does not match its checksum")
            wrong = problem(state["progress"])
            if wrong:
                raise ValueError(wrong)
            weights, optimizer = (load_file(path / name) for name in TENSORS)
            return Checkpoint(state["step"], weights, optimizer, state["progress"])
        except (*UNREADABLE, SafetensorError) as error:
            then = "starting afresh" if path == folders[0] else "trying the one before it"
            log.warning("Checkpoint %s is damaged (%s); %s.", path.name, error, then)
    return None


def _state(path: Path) -> dict[str, Any]:
    """What ``state.json`` of a checkpoint holds.

    Raises:
        ValueError: if it is not what was written; of ``UNREADABLE``, too, what reading such a file raises.
    """
    state = json.loads((path / "state.json").read_text())
    if state["sha256"].keys() != {*TENSORS, "progress"}:
        raise ValueError("state.json lacks checksums")
    if type(state["step"]) is not int or path.name != _name(state["step"]):
        raise ValueError(f"state.json is of step {state['step']!r}")
    if state["sha256"]["progress"] != _digest(state["progress"]):
        raise ValueError("the progress in state.json does not match its checksum")
    return state


def _state_if_whole(path: Path) -> dict[str, Any] | None:
    try:
        return _state(path)
    except UNREADABLE:
        return None


@dataclass
class BestNetworks:
    """The best weights of each network trained by a loop, kept as folders ``<name>@<step>``.

    Attributes:
        found: ``step`` and ``score`` of the best so far, and ``rank`` where something else decided.
        manifests: what is in each of their folders.
    """

    folder: Path
    found: dict[str, dict[str, float]] = field(default_factory=dict)
    manifests: dict[str, dict] = field(default_factory=dict)

    def update(
        self, name: str, step: int, score: float, save: Callable[[Path], None], rank: float | None = None
    ) -> None:
        """Keep what ``save(folder)`` writes if ``rank`` (left out: its ``score``) beats the best so far."""
        rank = score if rank is None else rank
        if name in self.found and rank <= self.found[name].get("rank", self.found[name]["score"]):
            return
        target = self.folder / f"{name}@{step}"
        if ranks.is_main():
            shutil.rmtree(target, ignore_errors=True)
            save(target)
            self.manifests[name] = files.manifest(target)
        self.found[name] = {"step": step, "score": score, **({} if rank == score else {"rank": rank})}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}@{self.found[name]['step']}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep: which networks are the best, and what is in their folders."""
        return {"best": self.found, "manifests": self.manifests}

    def restore(self, state: dict[str, Any]) -> None:
        self.found, self.manifests = state["best"], state["manifests"]

    def damage(self, state: dict[str, Any]) -> str | None:
        """How the folders that ``state`` refers to differ from what was written, in words; None if they do not."""
        for name, manifest in state["manifests"].items():
            folder = self.folder / f"{name}@{state['best'][name]['step']}"
            problem = files.damage(folder, manifest)
            if problem:
                return f"{folder.name}: {problem}"
        return None

    def prune(self, records: list[dict]) -> None:
        """Drop folders that neither the present nor any of ``records`` (earlier ``found``) refers to."""
        wanted = {f"{name}@{best['step']}" for record in [self.found, *records] for name, best in record.items()}
        for path in self.folder.glob("*@*"):
            if path.name not in wanted:
                shutil.rmtree(path)

"""Checkpoints of a training loop: everything that is needed to go on as if nothing had happened.

A checkpoint is a folder ``step-00000500`` with the weights, the optimizer's state and ``state.json``
(step, progress, and the SHA-256 of the other files). It is written beside and renamed, so it is
whole or absent; the last two are kept, and if the latest is corrupt, the previous one is used.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ofa.system import files, ranks
from ofa.system.files import file_digest, flush

log = logging.getLogger(__name__)
KEPT = 2


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
    final = folder / f"step-{checkpoint.step:08d}"
    part = folder / f"{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        files.require_space(
            folder, sum(value.nbytes for value in [*checkpoint.weights.values(), *checkpoint.optimizer.values()])
        )
        save_file(checkpoint.weights, part / "weights.safetensors")
        save_file(checkpoint.optimizer, part / "optimizer.safetensors")
        digests = {p.name: file_digest(p) for p in sorted(part.iterdir())}
        state = {"step": checkpoint.step, "progress": checkpoint.progress, "sha256": digests}
        (part / "state.json").write_text(json.dumps(state))
        for path in part.iterdir():
            flush(path)
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # a full disk needs the space back
        raise
    kept = _folders(folder)[-KEPT:]
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old)
    return [json.loads((path / "state.json").read_text())["progress"] for path in kept]


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.suffix != ".part")


def latest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint under ``folder``, or None; damaged ones are named and passed over."""
    for path in reversed(_folders(folder)):
        try:
            state = json.loads((path / "state.json").read_text())
            for name, digest in state["sha256"].items():
                if file_digest(path / name) != digest:
                    raise ValueError(f"{name} does not match its checksum")
            return Checkpoint(
                state["step"],
                load_file(path / "weights.safetensors"),
                load_file(path / "optimizer.safetensors"),
                state["progress"],
            )
        except (OSError, ValueError, KeyError) as error:
            log.warning("Checkpoint %s is damaged (%s); trying the one before it.", path.name, error)
    return None


@dataclass
class BestNetworks:
    """The best weights of each network trained by a loop, kept as folders ``<name>@<step>``."""

    folder: Path
    found: dict[str, dict[str, float]] = field(default_factory=dict)

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
        self.found[name] = {"step": step, "score": score, **({} if rank == score else {"rank": rank})}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}@{self.found[name]['step']}"

    def prune(self, records: list[dict]) -> None:
        """Drop folders that neither the present nor any of ``records`` (earlier ``found``) refers to."""
        wanted = {f"{name}@{best['step']}" for record in [self.found, *records] for name, best in record.items()}
        for path in self.folder.glob("*@*"):
            if path.name not in wanted:
                shutil.rmtree(path)

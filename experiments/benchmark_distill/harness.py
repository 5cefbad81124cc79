"""What the scripts of this benchmark share: rows prepared once, one process per loop, one results.json."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPO = HERE.parent.parent
RESULTS = HERE / "results.json"
sys.path[:0] = [str(REPO), str(HERE.parent)]

import claiming
from common import Rows, write_rows

from ofa.data.sources import load_splits
from ofa.data.tokenizer import plain
from ofa.data.tokens import tokenize
from ofa.settings.schema import TaskConfig

PYTHON = sys.executable
OFA = [PYTHON, str(HERE / "ofa_loop.py")]
PADDLESLIM = [PYTHON, str(HERE / "paddleslim_loop.py")]
PADDLESLIM_TUNED = [*PADDLESLIM, "--tuned"]


def task_of(name: str) -> TaskConfig:
    """A task as ``conf/task`` describes it."""
    from omegaconf import OmegaConf

    settings = OmegaConf.load(REPO / "conf" / "task" / f"{name}.yaml")
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TaskConfig), settings))  # type: ignore[return-value]


def prepare(task: str, data_dir: str, vocab: str, max_seq_length: int, folder: Path) -> None:
    """Write ``train.npz`` and ``dev.npz`` of ``task`` into ``folder``, the rows that every loop reads."""
    settings = task_of(task)
    settings.data_dir = data_dir
    for split, rows in load_splits(settings, folder).items():
        found = tokenize(rows, plain(Path(vocab)), max_seq_length, folder)
        position = np.arange(len(found.input_ids)) - np.repeat(found.offsets[:-1], found.lengths)
        types = (position >= np.repeat(found.first_lengths, found.lengths)).astype(np.int32)
        write_rows(folder / f"{split}.npz", Rows(found.input_ids, types, found.offsets, found.labels))


def run(command: list[str], teacher: str, folder: Path, *options: object) -> dict[str, Any]:
    """One process of one loop on the rows in ``folder``; its result file.

    Raises:
        SystemExit: with the end of what it wrote, if the loop failed.
    """
    out = folder / f"out-{os.getpid()}.json"
    rows = ["--train", str(folder / "train.npz"), "--dev", str(folder / "dev.npz")]
    # A launcher's thread settings must not reach the loop that is measured as shipped.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "FLAGS_", "OFA_"))}
    env["PYTHONPATH"] = str(REPO)
    call = [*command, "--teacher", teacher, *rows, "--out", str(out), *map(str, options)]
    done = subprocess.run(call, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(call)} failed:\n{done.stderr[-2000:]}")
    return json.loads(out.read_text())


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Median, spread and memory of one loop's rounds."""
    speeds = [found["examples_per_second"] for found in rounds]
    return {
        "examples_per_second": statistics.median(speeds),
        "lowest": min(speeds),
        "highest": max(speeds),
        "rounds": len(speeds),
        "cores_used": statistics.median(found["cores_used"] for found in rounds),
        "peak_rss_mb": statistics.median(found["peak_rss_mb"] for found in rounds),
    }


def recorded() -> dict[str, Any]:
    """What results.json holds."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def record(**sections: Any) -> None:
    """Replace ``sections`` of results.json; the others stay, and the claims are made anew."""
    claiming.write(HERE, {**recorded(), **sections})

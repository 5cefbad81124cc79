"""Whole commands, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys

from helpers.toys import REPO

SMALL = [
    "experiment=quickstart",
    "task.max_train_rows=600",
    "task.max_dev_rows=100",
    "ofa.importance.rows=64",
    "trainer.finetune.max_steps=12",
    "trainer.distill.max_steps=8",
    "latency.batch_sizes=[2]",
    "latency.repeats=3",
    "latency.engines=[paddle]",
]


def places(folder):
    return [f"output_dir={folder / 'out'}", f"cache_dir={folder / 'cache'}"]


def run(folder, *arguments, **options):
    flags = [argument for argument in arguments if argument.startswith("-")]  # Hydra takes them first
    settings = [argument for argument in arguments if argument not in flags]
    command = [sys.executable, "main.py", *flags, *SMALL, *places(folder), *settings]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, **{"timeout": 300, **options})


def sweep_results(folder):
    (path,) = (folder / "out" / "sweeps").glob("*/results.json")
    return json.loads(path.read_text())

"""A store with folders of several ages; none of them was made by a stage."""

import json
import os
import time
from pathlib import Path

from ofa.store import Store


def make(root, name, age_days, size=1000, complete=True):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * size)
    if complete:
        (folder / "stage.json").write_text(json.dumps({"task": "sst2", "model": "toy"}))
    for path in folder.iterdir():
        os.utime(path, (time.time() - 86400 * age_days,) * 2)
    return folder


def aged_store(root: Path) -> Store:
    """Two finished stages that are old, a new one, and one that was never finished."""
    make(root, "finetune-a", 40)
    make(root, "distill-b", 10, size=5000)
    make(root, "evaluate-c", 1)
    make(root, "distill-d.part", 50, complete=False)
    return Store(root)


def names(entries):
    return [entry.path.name for entry in entries]

"""Drill: the same seed gives the same bits twice, with length buckets, on one CPU thread and on two.

    python experiments/drills/same_seed.py        (four minutes)

The task's rows differ in length, so batches are bucketed. Compared are every tensor and every file of results in
the stores of two runs from empty folders; whether one thread and two agree as well is recorded, not asked.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracking_common import REPO, SMALL, conclude

from ofa.system.files import file_digest

COMPARED = (".safetensors", ".npz", "scores.json", "finetune.json", "distill.json", "parity.json", ".pdiparams")


def digests(folder: Path, threads: int) -> dict[str, str]:
    """One job from empty folders; the digest of each file that holds numbers, by its path in the store."""
    settings = [f"hardware.threads={threads}", f"output_dir={folder / 'out'}", f"cache_dir={folder / 'cache'}"]
    command = [sys.executable, "main.py", *SMALL, "tracking=none", *settings]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True)
    store = folder / "out" / "store"
    return {str(p.relative_to(store)): file_digest(p) for p in store.rglob("*") if p.name.endswith(COMPARED)}


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # any argument would be a mistake
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        found = {
            threads: [digests(Path(name) / f"{threads}-{turn}", threads) for turn in ("first", "second")]
            for threads in (1, 2)
        }
    record: dict = {"passed": all(first == second and first for first, second in found.values())}
    record |= {f"identical_with_{threads}_threads": first == second for threads, (first, second) in found.items()}
    record |= {"files_compared": len(found[1][0]), "one_thread_as_two": found[1][0] == found[2][0]}
    return conclude("same_seed", record | {"seconds": round(time.monotonic() - started)})


if __name__ == "__main__":
    sys.exit(main())

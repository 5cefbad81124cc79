"""Drill: a run is killed (kill -9) at random moments and started again; it ends as one never interrupted.

    python experiments/drills/kill.py [--runs 20] [--seed 0]

One run is never interrupted; each of the others is killed once or twice at moments drawn over its whole
length (start-up, finetuning, reordering, distillation, evaluation), and then left to finish. The files
``results.json`` must be the same to the byte, and MLflow must hold the job's run and a child for each width:
once, FINISHED, with every point.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracking_common import REPO, compare, conclude, count_runs

SETTINGS = (
    "experiment=quickstart",
    "stages=[evaluate]",  # measured latencies differ from run to run, scores do not
    "task.max_train_rows=2000",
    "task.max_dev_rows=400",
    "trainer.finetune.max_steps=50",
    "trainer.finetune.eval_steps=20",
    "trainer.finetune.save_steps=8",
    "trainer.distill.max_steps=30",
    "trainer.distill.eval_steps=12",
    "trainer.distill.save_steps=6",
)


def command(folder: Path) -> list[str]:
    return [sys.executable, "main.py", *SETTINGS, f"output_dir={folder / 'out'}", f"cache_dir={folder / 'cache'}"]


def finish(folder: Path) -> str:
    """Run to the end; the text of results.json."""
    done = subprocess.run(command(folder), cwd=REPO, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{folder}: the run after the kill failed:\n{done.stderr[-2000:]}")
    found = list((folder / "out" / "runs").glob("*/results.json"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: {len(found)} run folders instead of one")
    return found[0].read_text()


def killed_after(folder: Path, seconds: float) -> str | None:
    """Start, kill after ``seconds``; the stage it was in, or None if it had finished."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command(folder), cwd=REPO, stdout=log, stderr=subprocess.STDOUT)
        try:
            process.wait(seconds)
            return None
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    begun = re.findall(r"ofa\.pipeline\]\[INFO\] - (\w+): [A-Z]", (folder / "log").read_text())
    return begun[-1] if begun else "start-up"


def kill_sometimes(folder: Path, length: float, rng: random.Random) -> list[str]:
    """Kill a run once or twice on its way; one that was faster than its moment starts over."""
    kills: list[str] = []
    wanted = rng.choice((1, 1, 2))
    while len(kills) < wanted:
        seconds = rng.uniform(0.1, 1.0) * length
        stage = killed_after(folder, seconds)
        if stage is not None:
            kills.append(f"{stage}, after {seconds:.1f} s")
        elif kills:
            break
        else:
            shutil.rmtree(folder)
            folder.mkdir()
    return kills


def tracked_once(folder: Path) -> bool:
    """Whether MLflow holds the run and its three widths, once each, finished and complete."""
    uri = f"sqlite:///{folder / 'out' / 'mlflow.db'}"
    found = compare(next((folder / "out" / "runs").iterdir()), uri)
    return found["runs"] == count_runs(uri) == 4 and found["lost"] == found["doubled"] == found["not_finished"] == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, kills, identical, tracked = random.Random(args.seed), [], 0, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "whole").mkdir()
        started = time.monotonic()
        expected = finish(root / "whole")
        length = time.monotonic() - started
        print(f"uninterrupted: {length:.0f} s", flush=True)
        for number in range(args.runs):
            folder = root / f"run{number}"
            folder.mkdir()
            kills.append(kill_sometimes(folder, length, rng))
            same, once = finish(folder) == expected, tracked_once(folder)
            identical, tracked = identical + same, tracked + once
            words = f"{'identical' if same else 'DIFFERENT'}, MLflow {'sound' if once else 'NOT SOUND'}"
            print(f"run {number}: {words}; killed in {'; '.join(kills[-1])}", flush=True)
    record = {"passed": identical == tracked == args.runs, "runs": args.runs, "identical": identical}
    record |= {"tracked_once": tracked, "seconds_uninterrupted": round(length), "kills": kills}
    return conclude("kill", record)


if __name__ == "__main__":
    sys.exit(main())

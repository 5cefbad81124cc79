"""Kill -9 a run at random moments, start the same command again, and compare its results.

    python experiments/drills/kill.py [--runs 20] [--seed 0]

One run is never interrupted; each of the others is killed once or twice at moments drawn over its whole
length (start-up, finetuning, reordering, distillation, evaluation), and then left to finish. The files
``results.json`` must be the same to the byte. Writes the outcome under ``kill`` into results.json here.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parent.parent
SETTINGS = (
    "experiment=quickstart",
    "stages=[evaluate]",  # measured latencies differ from run to run, scores do not
    "task.max_train_rows=2000",
    "trainer.finetune.max_steps=60",
    "trainer.finetune.eval_steps=25",
    "trainer.finetune.save_steps=8",
    "trainer.distill.max_steps=40",
    "trainer.distill.eval_steps=15",
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


def killed_after(folder: Path, seconds: float) -> str:
    """Start, kill after ``seconds``; what it was doing (its last log line), or that it had finished."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command(folder), cwd=REPO, stdout=log, stderr=subprocess.STDOUT)
        try:
            process.wait(seconds)
            return "finished before"
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    lines = [line for line in (folder / "log").read_text().replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:60] if lines else "start-up"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, kills, identical = random.Random(args.seed), [], 0
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
            moments = [rng.uniform(0.1, 1.0) * length for _ in range(rng.choice((1, 1, 2)))]
            kills.append([f"{moment:.1f} s: {killed_after(folder, moment)}" for moment in moments])
            same = finish(folder) == expected
            identical += same
            print(f"run {number}: {'identical' if same else 'DIFFERENT'}; killed at {'; '.join(kills[-1])}", flush=True)
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["kill"] = {
        "runs": args.runs,
        "identical": identical,
        "seconds_uninterrupted": round(length),
        "kills": kills,
    }
    path.write_text(json.dumps(results, indent=1) + "\n")
    raise SystemExit(0 if identical == args.runs else 1)


if __name__ == "__main__":
    main()

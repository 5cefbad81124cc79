"""Drill: a job is killed (kill -9) in its quantize stage and started again; all it deploys is the same to the byte.

    python experiments/drills/kill_quantize.py [--runs 6] [--seed 0]

One job is never interrupted. Each of the others begins from the same export, is killed at a moment drawn over the
length of the stage, and is started again with the same command.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kill import SETTINGS
from tracking_common import REPO, conclude

from ofa.system.files import file_digest

ENGINES = "onnxruntime,openvino" if find_spec("openvino") else "onnxruntime"
FIXED = [
    *(setting for setting in SETTINGS if not setting.startswith("stages=")),
    *("tracking.backend=none", "int8.gpu_graphs=[tensorrt_int8,onnxruntime_fp16]", f"latency.engines=[{ENGINES}]"),
]
BEGINS, ENDS = "quantize: Quantise", "quantize: done"


def start(folder: Path, stage: str) -> subprocess.Popen[str]:
    command = [sys.executable, "main.py", *FIXED, f"stages=[{stage}]", f"output_dir={folder / 'out'}"]
    command.append(f"cache_dir={folder / 'cache'}")
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(job: subprocess.Popen[str], words: str) -> float:
    """Wait until a job says this; the time, by this process's clock."""
    assert job.stdout is not None
    for line in job.stdout:
        if words in line:
            return time.monotonic()
    raise SystemExit(f"the job ended before it said {words!r}")


def finish(folder: Path, stage: str = "quantize") -> None:
    words, _ = (job := start(folder, stage)).communicate()
    if job.returncode:
        raise SystemExit(f"{folder}: {stage} failed:\n{words[-2000:]}")


def digests(folder: Path) -> dict[str, str]:
    """Of all that the stage keeps, but for the record of when it was made."""
    (stage,) = (folder / "out" / "store").glob("quantize-*")
    files = (path for path in stage.rglob("*") if path.is_file() and path.name != "stage.json")
    return {str(path.relative_to(stage)): file_digest(path) for path in files}


def killed_in_stage(base: Path, folder: Path, seconds: float) -> dict[str, Any] | None:
    """Kill a job that begins from ``base`` so long after its stage began; what lay unfinished, None if nothing did."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    job = start(folder, "quantize")
    said(job, BEGINS)
    time.sleep(seconds)
    job.kill()
    job.communicate()
    parts = list((folder / "out" / "store").glob("quantize-*.part"))
    left = sorted(str(path.relative_to(parts[0])) for path in parts[0].rglob("*.onnx")) if parts else []
    return {"seconds": round(seconds, 1), "graphs_left": left} if parts else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, identical, killed = random.Random(args.seed), 0, []
    with tempfile.TemporaryDirectory() as name:
        base, whole = Path(name) / "base", Path(name) / "whole"
        finish(base, "export")
        shutil.copytree(base, whole)
        job = start(whole, "quantize")
        started = said(job, BEGINS)
        length = said(job, ENDS) - started
        job.communicate()
        expected = digests(whole)
        print(f"uninterrupted: {length:.1f} s in the stage, {len(expected)} files", flush=True)
        for number in range(args.runs):
            folder, seconds = Path(name) / f"run{number}", rng.uniform(0.05, 0.9) * length
            while (kill := killed_in_stage(base, folder, seconds)) is None:
                seconds /= 2  # it was faster than its moment
            killed.append(kill)
            finish(folder)
            same = digests(folder) == expected
            identical += same
            print(f"run {number}: {'identical' if same else 'DIFFERENT'}; killed {killed[-1]}", flush=True)
    record = {"passed": identical == args.runs, "runs": args.runs, "identical": identical, "files": len(expected)}
    return conclude("kill_quantize", {**record, "engines": ENGINES.split(","), "kills": killed})


if __name__ == "__main__":
    sys.exit(main())

"""Drill: the disk fills up in the middle of a run; its end is clear, its checkpoint whole, and it goes on.

    python experiments/drills/disk_full.py        (about four minutes; mounts a small tmpfs, so as root on Linux)

Ballast on a file system of 48 MB takes the space away while the job finetunes, distils (in one case every free
byte, the journal's and MLflow's too), exports, or registers its models. The job must end with two lines and
status 1; where only MLflow lacks space, with its results and status 0. Without the ballast, the same command must
end with the same ``results.json`` as a job never disturbed, and MLflow must hold the runs and models once,
finished, with every point.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tracking_common import REPO, SMALL, compare, conclude, count_runs, wait_for

from ofa.system.files import file_digest

SIZE_MB = 48
# What of the job's folder to wait for before the disk fills up, the megabytes left then, the exit status.
CASES = {
    "finetune": ("store", 7, 1),
    "distill": ("store/reorder-*/stage.json", 12, 1),
    "every_byte": ("store/distill-*/work/step-*", 0, 1),
    "export": ("store/distill-*/stage.json", 3, 1),
    "models": ("store/export-*/stage.json", 1, 0),
}
SAVING = ["trainer.finetune.eval_steps=10", "trainer.finetune.save_steps=5", "trainer.distill.save_steps=5"]
LIMIT_S = 300.0


def start(out: Path, cache: Path) -> subprocess.Popen:
    command = [sys.executable, "main.py", *SMALL, *SAVING, f"output_dir={out}", f"cache_dir={cache}"]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process: subprocess.Popen) -> tuple[int, str]:
    said = process.communicate(timeout=LIMIT_S)[0]
    return process.returncode, said


def fill(disk: Path, room_mb: int) -> Path:
    """Ballast that leaves ``room_mb``."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(disk).free > room_mb * 1_000_000:  # or until a write is refused
            file.write(b"\0" * 65536)
    return ballast


def whole_checkpoints(out: Path) -> tuple[int, int]:
    """How many checkpoints there are, and how many of them have the content their checksums say."""
    states = list(out.glob("store/*.part/work/step-*/state.json"))
    sound = [
        all(
            file_digest(path.with_name(name)) == digest
            for name, digest in json.loads(path.read_text())["sha256"].items()
        )
        for path in states
    ]
    return len(states), sum(sound)


def case(out: Path, cache: Path, expected: str, sign: str, room_mb: int) -> dict:
    """A job that meets a full disk, and the same command with space; returns what became of both."""
    process = start(out, cache)
    wait_for(sign, lambda: list(out.glob(sign)) or process.poll() is not None, LIMIT_S)
    ballast = fill(out.parent, room_mb)
    status, said = end(process)
    last = said.strip().splitlines()[-2:]
    found, sound = whole_checkpoints(out)
    record = {"exit_status": status, "said": [line.replace(str(out.parent), "<disk>") for line in last]}
    record |= {"traceback": "Traceback" in said or "Logging error" in said, "checkpoints": found, "whole": sound}
    ballast.unlink()
    status, said = end(start(out, cache))
    uri = f"sqlite:///{out / 'mlflow.db'}"
    record |= {"second_status": status, "went_on": "from the checkpoint" in said or "taken from the store" in said}
    folder = next((out / "runs").iterdir())
    record["identical"] = (folder / "results.json").read_text() == expected
    record |= compare(folder, uri) | {"runs_in_all": count_runs(uri)}
    shutil.rmtree(out)
    print(out.name, json.dumps(record, indent=1), flush=True)
    return record


def good(record: dict, status: int) -> bool:
    ended = record["exit_status"] == status
    ended = ended and (status == 0 or record["said"][0].startswith("The disk is full: <disk>"))
    same = record["identical"] and record["went_on"] and record["second_status"] == 0
    tracked = record["lost"] == record["doubled"] == record["not_finished"] == 0
    tracked = tracked and record["runs"] == record["runs_in_all"] == 4 and record["models"] == 3
    return ended and same and tracked and not record["traceback"] and record["whole"] == record["checkpoints"]


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # any argument would be a mistake
    base = Path(tempfile.mkdtemp(prefix="drill-disk-"))
    disk = base / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        print(f"not run: a small file system cannot be mounted here ({mounted.stderr.strip()})")
        shutil.rmtree(base)
        return 2
    started = time.monotonic()
    try:
        status, said = end(start(disk / "out", base / "cache"))
        if status:
            raise SystemExit(f"the undisturbed job failed:\n{said[-2000:]}")
        expected = next((disk / "out" / "runs").glob("*/results.json")).read_text()
        shutil.rmtree(disk / "out")
        cases = {name: case(disk / name, base / "cache", expected, *how[:2]) for name, how in CASES.items()}
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        shutil.rmtree(base)
    seconds = round(time.monotonic() - started)
    passed = all(good(cases[name], status) for name, (_, _, status) in CASES.items())
    return conclude("disk_full", {"passed": passed, "seconds": seconds, "size_mb": SIZE_MB, **cases})


if __name__ == "__main__":
    sys.exit(main())

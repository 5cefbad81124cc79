"""Drill: eight jobs at once into one SQLite store that does not exist yet; nothing is lost or doubled.

python experiments/drills/eight_jobs_one_store.py        (minutes: eight processes share the cores)
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from tracking_common import compare, conclude, start_job

JOBS = 8
LIMIT_S = 900.0


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()  # any argument would be a mistake
    out = Path(tempfile.mkdtemp(prefix="drill-eight-")) / "out"
    started = time.monotonic()
    processes = [start_job(out, f"trainer.seed={seed}") for seed in range(1, JOBS + 1)]
    try:
        statuses = [process.wait(max(1.0, LIMIT_S - (time.monotonic() - started))) for process in processes]
    finally:
        for process in processes:
            process.kill()
    seconds = round(time.monotonic() - started, 1)
    uri = f"sqlite:///{out / 'mlflow.db'}"
    counts = [compare(folder, uri) for folder in sorted((out / "runs").iterdir())]
    total = {key: sum(count[key] for count in counts) for key in counts[0]}
    found = sqlite3.connect(out / "mlflow.db")
    sound = found.execute("pragma integrity_check").fetchone() == ("ok",)
    experiments = found.execute(
        "select count(*) from experiments where name = 'ofa' or name = 'quickstart'"
    ).fetchone()[0]
    warned = sum("Tracking" in path.read_text() for path in out.glob("*.log"))
    good = not any(statuses) and sound and experiments == 1 and len(counts) == JOBS
    good = good and total["runs"] == 4 * JOBS and total["models"] == 3 * JOBS
    good = good and total["lost"] == total["doubled"] == total["not_finished"] == 0
    record = {"passed": good, "jobs": len(counts), "seconds": seconds, "exit_statuses": statuses, **total}
    record |= {"database_sound": sound, "experiments": experiments, "jobs_with_a_warning": warned}
    if good:
        shutil.rmtree(out.parent)
    else:
        print(f"kept for a look: {out}")
    return conclude("eight_jobs_one_store", record)


if __name__ == "__main__":
    sys.exit(main())

"""What the drills of tracking share: small real jobs, and a count of what of them is in MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO), str(REPO / "tests"), str(REPO / "experiments")]

import claiming
from filelock import FileLock
from helpers.servers import Server

from ofa.tracking.server import ENVIRONMENT

os.environ.update(ENVIRONMENT, MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

__all__ = ["REPO", "Server", "compare", "conclude", "count_runs", "start_job", "wait_for"]
RESULTS = Path(__file__).with_name("results.json")
# A real job of a minute: every stage but the timing, on the task the project writes itself.
SMALL = [
    "experiment=quickstart",
    "stages=[evaluate,export]",
    "task.max_train_rows=600",
    "task.max_dev_rows=200",
    "trainer.finetune.max_steps=40",
    "trainer.finetune.log_steps=2",
    "trainer.distill.max_steps=40",
    "trainer.distill.log_steps=2",
    "trainer.distill.eval_steps=10",
    "hardware.threads=1",
]


def start_job(out: Path, *overrides: str) -> subprocess.Popen:
    """Start a small job in a process of its own; what it says goes to ``out/<number>.log``."""
    out.mkdir(parents=True, exist_ok=True)
    log = out / f"{len(list(out.glob('*.log')))}.log"
    command = [sys.executable, "main.py", *SMALL, f"output_dir={out}", f"cache_dir={out / 'cache'}", *overrides]
    with log.open("w") as output:
        return subprocess.Popen(command, cwd=REPO, stdout=output, stderr=subprocess.STDOUT)


def wait_for(what: str, ready, seconds: float) -> None:
    """Wait until ``ready()`` is true; a drill has an end.

    Raises:
        TimeoutError: naming ``what`` did not come.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.2)
    raise TimeoutError(f"{what} did not come within {seconds:g} s")


def compare(run_folder: Path, uri: str) -> dict[str, int]:
    """Count what a job reported and what of it is lost or doubled in MLflow.

    What was reported is read from the job's journal, which holds every point, file and model.
    """
    entries = [json.loads(line) for line in (run_folder / "tracking.jsonl").read_text().splitlines()]
    runs = json.loads((run_folder / "tracking.json").read_text())["runs"]
    client = MlflowClient(uri)
    experiment = client.get_run(runs["job"]).info.experiment_id
    count = {"runs": 0, "points": 0, "artifacts": 0, "models": 0, "lost": 0, "doubled": 0, "not_finished": 0}
    for run_id in runs.values():
        run = client.get_run(run_id)
        count["runs"] += 1
        count["not_finished"] += run.info.status != "FINISHED"
        same = client.search_runs([experiment], f"tags.`ofa.run` = '{run.data.tags['ofa.run']}'")
        count["doubled"] += len(same) - 1
    histories: dict[tuple[str, str], list] = {}
    for entry in entries:
        run_id = runs.get(entry.get("run", ""), "")
        for key, value in entry["values"].items() if entry["op"] == "metrics" else ():
            if (run_id, key) not in histories:
                histories[run_id, key] = [(m.step, m.value) for m in client.get_metric_history(run_id, key)]
            found = histories[run_id, key].count((entry["step"], value))
            count["points"] += 1
            count["lost"] += found == 0
            count["doubled"] += max(0, found - 1)
        if entry["op"] == "artifact":
            count["artifacts"] += 1
            count["lost"] += not _same_file(uri, run_id, entry)
        if entry["op"] == "model":
            count["models"] += 1
            versions = client.search_model_versions(f"name = '{entry['name']}' AND run_id = '{run_id}'")
            count["lost"] += len(versions) == 0
            count["doubled"] += max(0, len(versions) - 1)
    return count


def count_runs(uri: str) -> int:
    """All runs of all experiments, of whatever status."""
    client = MlflowClient(uri)
    return len(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def _same_file(uri: str, run_id: str, entry: dict) -> bool:
    name = Path(entry["path"]).name
    path = download_artifacts(run_id=run_id, artifact_path=name, tracking_uri=uri)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() == entry["digest"]


def conclude(drill: str, record: dict) -> int:
    """Print the verdict, put it beside those of the other drills, and return the exit status."""
    with FileLock(f"{RESULTS}.lock"):
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[drill] = record
        claiming.write(RESULTS.parent, dict(sorted(known.items())))
    Path(f"{RESULTS}.lock").unlink(missing_ok=True)
    print(json.dumps(record, indent=1))
    print(f"{drill}: {'passed' if record['passed'] else 'FAILED'}")
    return 0 if record["passed"] else 1

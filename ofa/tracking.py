"""MLflow: one run per job, one child run per width. The only file that imports mlflow.

What a job says is first written to a journal in its own folder, then sent. If the server is away,
the work goes on; the journal keeps what could not be sent and the next send, from this job, a later
start of it or ``python -m ofa.tracking``, begins where the last one ended.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from ofa.config import TrackingConfig
from ofa.errors import UserError

log = logging.getLogger(__name__)
JOB = "job"  # the key of a job's own run; widths have theirs as key
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql")
RETRY_S = 30.0  # how long a server that did not answer is left alone
BATCH = 500  # entries per request, below MLflow's limit of 1,000


class Tracker:
    """Journals what a job reports and sends it to MLflow as the server allows.

    With ``backend=none`` nothing is kept and nothing sent.
    """

    def __init__(self, settings: TrackingConfig, output_dir: Path, folder: Path) -> None:
        self.enabled = settings.backend == "mlflow"
        if not self.enabled:
            return
        self.journal = Journal(folder)
        self.sender = Sender(self.journal, tracking_uri(settings, output_dir), settings.experiment, output_dir)

    def start(self, name: str, tags: dict[str, str], params: dict[str, Any]) -> None:
        """Open the job's run, or go on with the one an earlier start of this job opened."""
        if self.enabled:
            self.journal.add({"op": "run", "run": JOB, "name": name, "tags": tags})
            self.journal.add({"op": "params", "run": JOB, "params": params})
            self.sender.send()

    def width(self, width: float, name: str, params: dict[str, Any]) -> None:
        """Open the child run of a width."""
        if self.enabled:
            self.journal.add({"op": "run", "run": str(width), "name": name, "tags": {"width": f"{width:.4g}"}})
            self.journal.add({"op": "params", "run": str(width), "params": params})

    def metrics(self, values: dict[str, float], step: int, width: float | None = None) -> None:
        """Points of curves; a point that an earlier start of this job logged is not logged again."""
        if self.enabled:
            run = JOB if width is None else str(width)
            self.journal.add({"op": "metrics", "run": run, "values": values, "step": step, "ms": _now_ms()})
            self.sender.send()

    def artifacts(self, paths: list[Path], width: float | None = None, folder: str | None = None) -> None:
        """Files to show on the page of a run."""
        if self.enabled:
            run = JOB if width is None else str(width)
            for path in paths:
                self.journal.add({"op": "artifact", "run": run, "path": str(path.absolute()), "folder": folder})

    def finish(self, status: str) -> str | None:
        """Close all runs of the job as FINISHED, FAILED or KILLED; returns where to look, or None."""
        if not self.enabled:
            return None
        self.journal.add({"op": "end", "status": status})
        self.sender.send(now=True)
        if self.journal.unsent():
            log.warning(
                "Tracking server %s is not answering: %d entries kept in %s; send them with\n"
                "  python -m ofa.tracking %s",
                _without_secrets(self.sender.uri),
                self.journal.unsent(),
                self.journal.path,
                self.journal.path.parent,
            )
        return self.sender.uri


class Journal:
    """An append-only file of what to send, with a mark of what has been sent."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "tracking.jsonl"
        self.mark = folder / "tracking.json"
        self.entries: list[dict[str, Any]] = []
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    self.entries.append(json.loads(line))
                except ValueError:  # the last line of a job that was killed while writing it
                    break
            self._write_all()
        state = json.loads(self.mark.read_text()) if self.mark.exists() else {}
        self.sent: int = min(state.get("sent", 0), len(self.entries))
        self.runs: dict[str, str] = state.get("runs", {})
        self._points = {self._point(e, key) for e in self.entries if e["op"] == "metrics" for key in e["values"]}

    @staticmethod
    def _point(entry: dict[str, Any], key: str) -> tuple[str, str, int]:
        return entry["run"], key, entry["step"]

    def _write_all(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text("".join(json.dumps(entry) + "\n" for entry in self.entries))
        part.replace(self.path)

    def add(self, entry: dict[str, Any]) -> None:
        if entry["op"] == "metrics":
            new = {k: v for k, v in entry["values"].items() if self._point(entry, k) not in self._points}
            if not new:
                return
            entry = {**entry, "values": new}
            self._points.update(self._point(entry, key) for key in new)
        self.entries.append(entry)
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def unsent(self) -> int:
        return len(self.entries) - self.sent

    def save_mark(self, **more: Any) -> None:
        part = self.mark.with_suffix(".json.part")
        part.write_text(json.dumps({"sent": self.sent, "runs": self.runs, **more}))
        part.replace(self.mark)


class Sender:
    """Sends a journal to one MLflow experiment, in order, from where it ended last."""

    def __init__(self, journal: Journal, uri: str, experiment: str, output_dir: Path) -> None:
        self.journal, self.uri, self.experiment, self.output_dir = journal, uri, experiment, output_dir
        self._client: Any = None
        self._experiment_id = ""
        self._not_before = 0.0

    def send(self, now: bool = False) -> None:
        """Send what is unsent; a server that does not answer is tried again after a while."""
        if not self.journal.unsent() or (not now and time.monotonic() < self._not_before):
            return
        try:
            self._connect()
            while self.journal.unsent():
                self._send_one()
        except UserError:
            raise
        except Exception as error:  # whatever goes wrong with tracking, the work goes on
            if not self._not_before:
                reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
                log.warning("Tracking is not possible now (%s); the job goes on and sends later.", reason)
            self._not_before = time.monotonic() + RETRY_S
            self._client = None

    def _connect(self) -> None:
        if self._client is not None:
            return
        # MLflow's own retries take minutes; the journal makes them needless.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self.output_dir.mkdir(parents=True, exist_ok=True)
        # Several jobs may meet an empty database at once: one creates tables and experiment.
        with FileLock(self.output_dir / "mlflow.lock"):
            client = MlflowClient(tracking_uri=self.uri)
            found = client.get_experiment_by_name(self.experiment)
            if found is None:
                try:
                    self._experiment_id = client.create_experiment(self.experiment, self._artifact_location())
                except MlflowException:  # made meanwhile on another machine
                    found = client.get_experiment_by_name(self.experiment)
            if found is not None:
                self._experiment_id = found.experiment_id
        self._client = client

    def _artifact_location(self) -> str | None:
        """Beside a local database; a server decides for itself."""
        return (self.output_dir / "artifacts").absolute().as_uri() if self.uri.startswith("sqlite") else None

    def _send_one(self) -> None:
        """Send the next entry, or the next run of metrics as one request."""
        journal = self.journal
        entry = journal.entries[journal.sent]
        count = 1
        if entry["op"] == "run":
            self._open_run(entry)
        elif entry["op"] == "params":
            self._log_params(entry)
        elif entry["op"] == "metrics":
            count = self._log_metrics(entry["run"])
        elif entry["op"] == "artifact" and Path(entry["path"]).exists():
            self._client.log_artifact(journal.runs[entry["run"]], entry["path"], entry["folder"])
        elif entry["op"] == "end":
            for run_id in reversed(journal.runs.values()):
                self._client.set_terminated(run_id, entry["status"])
        journal.sent += count
        journal.save_mark(uri=self.uri, experiment=self.experiment, output_dir=str(self.output_dir.absolute()))

    def _open_run(self, entry: dict[str, Any]) -> None:
        runs = self.journal.runs
        if entry["run"] in runs:
            self._client.update_run(runs[entry["run"]], status="RUNNING", name=entry["name"])
            for key, value in entry["tags"].items():
                self._client.set_tag(runs[entry["run"]], key, value)
            return
        tags = dict(entry["tags"])
        if entry["run"] != JOB:
            tags["mlflow.parentRunId"] = runs[JOB]
        run = self._client.create_run(self._experiment_id, run_name=entry["name"], tags=tags)
        runs[entry["run"]] = run.info.run_id

    def _log_params(self, entry: dict[str, Any]) -> None:
        from mlflow.entities import Param

        run_id = self.journal.runs[entry["run"]]
        known = self._client.get_run(run_id).data.params  # a parameter cannot be logged twice
        new = [Param(key, str(value)) for key, value in entry["params"].items() if key not in known]
        for start in range(0, len(new), 100):
            self._client.log_batch(run_id, params=new[start : start + 100])

    def _log_metrics(self, run: str) -> int:
        from mlflow.entities import Metric

        points: list[Metric] = []
        count = 0
        for entry in self.journal.entries[self.journal.sent :]:
            if entry["op"] != "metrics" or entry["run"] != run or len(points) > BATCH:
                break
            points += [Metric(key, value, entry["ms"], entry["step"]) for key, value in entry["values"].items()]
            count += 1
        self._client.log_batch(self.journal.runs[run], metrics=points)
        return count


def tracking_uri(settings: TrackingConfig, output_dir: Path) -> str:
    """The tracking URI of the settings; by default SQLite in ``output_dir``, by absolute path.

    Raises:
        UserError: if its scheme is none that MLflow's tracking has.
    """
    if not settings.uri:
        return f"sqlite:///{(output_dir / 'mlflow.db').absolute()}"
    scheme = settings.uri.split(":", 1)[0].split("+", 1)[0]
    if "://" not in settings.uri or scheme not in SCHEMES:
        raise UserError(
            f"tracking.uri: {_without_secrets(settings.uri)!r} is not usable; allowed: {'://, '.join(SCHEMES)}://"
        )
    return settings.uri


def _without_secrets(uri: str) -> str:
    """``uri`` without a user name and password."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else uri


def _now_ms() -> int:
    return int(time.time() * 1000)


def resend(folder: Path) -> int:
    """Send what the journal under a run's ``folder`` still holds; returns how much is left."""
    journal = Journal(folder)
    state = json.loads(journal.mark.read_text()) if journal.mark.exists() else {}
    if "uri" not in state:
        raise UserError(f"{folder}: nothing was ever sent from here, so no server is known; run the job again")
    sender = Sender(journal, state["uri"], state["experiment"], Path(state["output_dir"]))
    sender.send(now=True)
    return journal.unsent()


def main(arguments: list[str]) -> int:
    if not arguments:
        print("usage: python -m ofa.tracking RUN_FOLDER [...]   send what a tracking server missed", file=sys.stderr)
        return 2
    left = 0
    for argument in arguments:
        try:
            remaining = resend(Path(argument))
        except UserError as error:
            print(error, file=sys.stderr)
            remaining = 1
        else:
            print(f"{argument}: {remaining} entries left" if remaining else f"{argument}: all sent")
        left += remaining
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

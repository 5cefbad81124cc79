"""Send journals to MLflow. With :mod:`ofa.serving` the only place that imports mlflow, and late."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from ofa.errors import UserError
from ofa.system.process import is_dead
from ofa.system.redact import without_secrets
from ofa.tracking.journal import Journal
from ofa.tracking.server import Unreachable, reach

log = logging.getLogger(__name__)
PROCESS = "ofa.process"  # the tag that says which process reports to a run
HERE = "{experiment}"  # stands in a text for the number of the experiment, which is known late
JOB = "job"  # the journal's name of a job's own run; a sub-network's is its name
RETRY_S, RETRY_MOST_S = 15.0, 300.0  # how long a server that does not answer is left alone, at first and at most
POINTS, PAIRS = 1000, 100  # metrics, and parameters or tags, of one request: MLflow's limits
PARAM_CHARS, TAG_CHARS = 6000, 8000  # longer values are cut
# MLflow retries for minutes, which the journal makes needless; it chatters; and it would call home.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
RESTARTS = 3  # times one job starts afresh because the server has lost its runs


class Sender:
    """Sends a journal to one MLflow experiment, in order, from where it ended last.

    Attributes:
        away: whether the last attempt found no server.
    """

    def __init__(self, journal: Journal, uri: str, experiment: str, output_dir: Path) -> None:
        self.journal, self.uri, self.experiment, self.output_dir = journal, uri, experiment, output_dir
        self.away = False
        self.experiment_id = ""
        self._client: Any = None
        self._sending = threading.Lock()
        self._not_before, self._pause = 0.0, RETRY_S
        self._restarts = 0
        self._unsure = journal.resumed  # whether a run may be at the server although its id is not here
        place = {"uri": without_secrets(uri), "experiment": experiment}
        if any(journal.state.get(key, value) != value for key, value in place.items()):
            journal.restart()  # the settings name another place now
        # Kept even if nothing is ever sent, so that `resend` knows where to; without the password.
        journal.state |= {**place, "output_dir": str(output_dir.absolute()), "secret": without_secrets(uri) != uri}
        journal.advance(0)

    def known_server(self) -> bool:
        """Whether this server has answered a job of this output folder before."""
        seen = self.output_dir / "tracking.servers"
        return seen.exists() and without_secrets(self.uri) in seen.read_text().splitlines()

    def open(self, must_answer: bool) -> None:
        """Connect, or leave it for later if this server has answered before.

        Raises:
            UserError: if the server ``must_answer``, does not and never did; or it refuses the experiment.
        """
        try:
            self.connect()
        except UserError:
            raise
        except Exception as error:
            if must_answer and not self.known_server():
                raise UserError(
                    f"tracking.uri: {_reason(error)}\n"
                    "start the server, track without one (tracking=none), or go on and send later "
                    "(tracking.must_answer=false)"
                ) from None
            self._failed(error)

    def connect(self) -> None:
        """Find the server and the experiment, or make the experiment.

        Raises:
            Exception: of many kinds, if that cannot be done now.
        """
        reach(self.uri)
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        from mlflow import MlflowClient

        with self._alone():
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.experiment_id = self._experiment(client)
        self._client, self.away = client, False
        if not self.known_server():
            self.output_dir.mkdir(parents=True, exist_ok=True)
            with (self.output_dir / "tracking.servers").open("a") as file:
                file.write(without_secrets(self.uri) + "\n")
        self._close_dead_runs()

    def _alone(self) -> Any:
        """Jobs that meet an empty SQLite database at once must not all create its tables."""
        return (
            FileLock(f"{self.uri.removeprefix('sqlite:///')}.lock") if self.uri.startswith("sqlite") else nullcontext()
        )

    def _experiment(self, client: Any) -> str:
        from mlflow.exceptions import MlflowException

        # Beside a local database; a server decides for itself. Absolute: a job may change its folder.
        place = (self.output_dir / "artifacts").absolute().as_uri() if self.uri.startswith("sqlite") else None
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return client.create_experiment(self.experiment, place)
            except MlflowException:  # made meanwhile by another job
                found = client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage != "active":
            raise UserError(
                f"tracking.experiment: {self.experiment!r} was deleted in MLflow; "
                "restore it there (mlflow experiments restore) or choose another name"
            )
        return found.experiment_id

    def _close_dead_runs(self) -> None:
        """Close what jobs that were killed on this machine left RUNNING, in every experiment."""
        try:
            ids = [found.experiment_id for found in self._client.search_experiments(max_results=1000)]
            running = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{socket.gethostname()} %'"
            for run in self._client.search_runs(ids, running, max_results=1000):
                own = run.info.run_id in self.journal.runs.values()
                if not own and is_dead(run.data.tags[PROCESS]):
                    self._client.set_terminated(run.info.run_id, "KILLED")
        except Exception as error:  # a courtesy to others; the job's own runs come first
            log.debug("Runs of dead processes were not looked for: %s", _reason(error))

    def send(self, now: bool = False) -> None:
        """Send what is unsent; never raises. A server that does not answer is left alone for a while.

        Args:
            now: try even if the server did not answer a moment ago.
        """
        with self._sending:
            if not self.journal.unsent or (not now and time.monotonic() < self._not_before):
                return
            try:
                if self._client is None:
                    self.connect()
                while self.journal.unsent:
                    self._send_next()
                self._pause = RETRY_S
            except Exception as error:  # whatever goes wrong with tracking, the work goes on
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        try:  # most failures are a server that is gone, which MLflow says at length
            reach(self.uri)
        except Unreachable as gone:
            error = gone
        self.away = isinstance(error, Unreachable)
        if self._pause == RETRY_S:
            log.warning("Tracking is not possible now (%s); the job goes on and sends later.", _reason(error))
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, RETRY_MOST_S)
        self._client, self._unsure = None, True

    def _send_next(self) -> None:
        """Send the next entry, or the next metrics of one run as one request."""
        from mlflow.exceptions import MlflowException

        journal = self.journal
        entry = journal.entries[journal.sent]
        count = 1
        try:
            count = getattr(self, f"_send_{entry['op']}")(entry) or 1
        except MlflowException as error:
            gone = error.error_code == "RESOURCE_DOES_NOT_EXIST" or "'active' state" in str(error)
            if gone and self._restarts < RESTARTS:
                self._restarts += 1
                log.warning("Tracking: the server no longer has this job's runs; they are sent afresh.")
                journal.restart()
                self._unsure = True  # some of them may still be there
                self.experiment_id = self._experiment(self._client)
                return
            if error.error_code not in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"):
                raise
            # Sent again it would be refused again, and all behind it would wait for ever.
            log.warning("Tracking: the server refused %s (%s).", entry["op"], _reason(error))
        journal.advance(count)

    def _send_journal(self, entry: dict[str, Any]) -> None:
        """The first line: nothing to send."""

    def _send_run(self, entry: dict[str, Any]) -> None:
        """Open a run, or take up the one that was opened before, be its id noted or not."""
        runs, name = self.journal.runs, f"{self.journal.id}/{entry['run']}"
        tags = {**entry["tags"], "ofa.run": name}
        if entry["run"] != JOB:
            tags["mlflow.parentRunId"] = runs[JOB]
        if entry["run"] not in runs and self._unsure:
            for run in self._client.search_runs([self.experiment_id], f"tags.`ofa.run` = '{name}'", max_results=1):
                runs[entry["run"]] = run.info.run_id
        if entry["run"] in runs:
            self._client.update_run(runs[entry["run"]], status="RUNNING", name=entry["name"])
            self._log(runs[entry["run"]], tags=tags)
            return
        run = self._client.create_run(self.experiment_id, entry["ms"], tags, entry["name"])
        runs[entry["run"]] = run.info.run_id

    def _send_params(self, entry: dict[str, Any]) -> None:
        run_id = self.journal.runs[entry["run"]]
        known = self._client.get_run(run_id).data.params  # a parameter cannot be given another value
        self._log(run_id, params={key: value for key, value in entry["values"].items() if key not in known})

    def _send_tags(self, entry: dict[str, Any]) -> None:
        self._log(self.journal.runs[entry["run"]], tags=entry["values"])

    def _send_experiment(self, entry: dict[str, Any]) -> None:
        """Tags of the experiment; what is there stays, since somebody may have written it by hand."""
        known = self._client.get_experiment(self.experiment_id).tags
        for key, value in entry["values"].items():
            if key not in known:
                self._client.set_experiment_tag(self.experiment_id, key, self._placed(value))

    def _send_metrics(self, entry: dict[str, Any]) -> int:
        """All metrics of the run up to the next entry of another kind; the server drops a point it has."""
        from mlflow.entities import Metric

        points: list[Metric] = []
        count = 0
        for next_one in self.journal.entries[self.journal.sent :]:
            if next_one["op"] != "metrics" or next_one["run"] != entry["run"] or len(points) > POINTS:
                break
            points += [
                Metric(key, value, next_one["ms"], next_one["step"]) for key, value in next_one["values"].items()
            ]
            count += 1
        for some in _slices(points, POINTS):
            self._client.log_batch(self.journal.runs[entry["run"]], metrics=some)
        return count

    def _log(self, run_id: str, params: dict[str, Any] | None = None, tags: dict[str, Any] | None = None) -> None:
        from mlflow.entities import Param, RunTag

        for some in _slices([Param(key, _cut(value, PARAM_CHARS)) for key, value in (params or {}).items()], PAIRS):
            self._client.log_batch(run_id, params=some)
        for some in _slices(
            [RunTag(key, _cut(self._placed(value), TAG_CHARS)) for key, value in (tags or {}).items()], PAIRS
        ):
            self._client.log_batch(run_id, tags=some)

    def _placed(self, text: Any) -> str:
        return str(text).replace(HERE, self.experiment_id)

    def _send_artifact(self, entry: dict[str, Any]) -> None:
        if not Path(entry["path"]).exists():
            log.warning("Tracking: %s is gone before it was sent.", entry["path"])
            return
        self._client.log_artifact(self.journal.runs[entry["run"]], entry["path"], entry["folder"])

    def _send_model(self, entry: dict[str, Any]) -> None:
        from ofa.tracking import registry

        run_id = self.journal.runs[entry["run"]]
        try:
            registry.register(self._client, self.experiment_id, run_id, entry, self.output_dir)
        except registry.NotSaved as error:
            log.warning("Tracking: no model was registered (%s).", error)

    def _send_end(self, entry: dict[str, Any]) -> None:
        for run_id in reversed(self.journal.runs.values()):
            self._client.set_terminated(run_id, entry["status"], entry["ms"])


def _reason(error: Exception) -> str:
    """The first line of an error's message, without secrets; of a database's error, the driver's own words."""
    error = getattr(error.__cause__, "orig", None) or error
    return without_secrets((str(error).splitlines() or [type(error).__name__])[0])[:200]


def _slices(values: list[Any], size: int) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _cut(value: Any, most: int) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."

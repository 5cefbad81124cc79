"""Deliver a job's journal to its MLflow server, in order and without ever ending the job."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.system.redact import without_secrets
from ofa.tracking.address import Unreachable, reach
from ofa.tracking.journal import Journal
from ofa.tracking.server import Server, reason

log = logging.getLogger(__name__)
EXPERIMENT_ID = "{experiment}"  # stands in a text for the number of the experiment, which is known late
JOB = "job"  # the journal's name of a job's own run; a sub-network's is its name
RETRY_S, RETRY_MOST_S = 15.0, 300.0  # how long a server that does not answer is left alone, at first and at most
POINTS, PAIRS = 1000, 100  # metrics, and parameters or tags, of one request: MLflow's limits
PARAM_CHARS, TAG_CHARS = 6000, 8000  # longer values are cut
REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE")  # sent again, it would be again
RESTARTS = 3  # times one job starts afresh because the server has lost its runs


class Sender:
    """Sends a journal to its server, from where the last send ended.

    Attributes:
        away: whether the last attempt found no server.
    """

    def __init__(self, journal: Journal, server: Server) -> None:
        self.journal, self.server = journal, server
        self.away = False
        self._uploader = Uploader(journal, server)
        self._sending = threading.Lock()
        self._not_before, self._pause = 0.0, RETRY_S
        self._restarts = 0
        place = {"uri": without_secrets(server.uri), "experiment": server.experiment}
        if any(journal.state.get(key, value) != value for key, value in place.items()):
            journal.restart()  # the settings name another place now
        # Kept even if nothing is ever sent, so that `resend` knows where to; without the password.
        secret = without_secrets(server.uri) != server.uri
        journal.state |= {**place, "output_dir": str(server.output_dir.absolute()), "secret": secret}
        journal.advance(0)

    def open(self, must_answer: bool) -> None:
        """Connect, or leave it for later if this server has answered before.

        Raises:
            UserError: if the server ``must_answer``, does not and never did; or it refuses the experiment.
        """
        try:
            self._connect()
        except (UserError, Warning):  # a warning is an error under python -W error; it is not the server's
            raise
        except Exception as error:
            if must_answer and not self.server.known:
                raise UserError(
                    f"tracking.uri: {reason(error)}\n"
                    "start the server, track without one (tracking=none), or go on and send later "
                    "(tracking.must_answer=false)"
                ) from None
            self._failed(error)

    def _connect(self) -> None:
        self.server.connect(self.journal.runs.values())
        self.away = False

    def send(self, now: bool = False) -> None:
        """Send what is unsent; never raises. A server that does not answer is left alone for a while.

        Args:
            now: try even if the server did not answer a moment ago.
        """
        with self._sending:
            if not self.journal.unsent or (not now and time.monotonic() < self._not_before):
                return
            try:
                if self.server.client is None:
                    self._connect()
                while self.journal.unsent:
                    self._send_next()
                self._pause = RETRY_S
            except Exception as error:  # whatever goes wrong with tracking, the work goes on
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        try:  # most failures are a server that is gone, which MLflow says at length
            reach(self.server.uri)
        except Unreachable as gone:
            error = gone
        self.away = isinstance(error, Unreachable)
        if self._pause == RETRY_S:
            log.warning("The tracking server is not available (%s); what it misses is kept for later.", reason(error))
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, RETRY_MOST_S)
        self.server.client, self._uploader.unsure = None, True

    def _send_next(self) -> None:
        """Send the next entry, or the next metrics of one run as one request."""
        from mlflow.exceptions import MlflowException

        journal = self.journal
        entry = journal.entries[journal.sent]
        count = 1
        try:
            count = self._uploader.upload(entry)
        except MlflowException as error:
            gone = error.error_code == "RESOURCE_DOES_NOT_EXIST" or "'active' state" in str(error)
            if gone and self._restarts < RESTARTS:
                self._restarts += 1
                log.warning("Tracking: the server has lost this job's runs; sending them again.")
                journal.restart()
                self._uploader.unsure = True  # some of them may still be there
                self.server.find_experiment(self.server.client)
                return
            if error.error_code not in REFUSED:
                raise
            # Sent again it would be refused again, and all behind it would wait for ever.
            log.warning("Tracking: the server refused %s (%s).", entry["op"], reason(error))
        journal.advance(count)


class Uploader:
    """Makes of a journal's entry the requests to MLflow that it stands for; one method for each ``op``.

    Attributes:
        unsure: whether a run may be at the server although its id is not in the journal.
    """

    def __init__(self, journal: Journal, server: Server) -> None:
        self.journal, self.server = journal, server
        self.unsure = journal.resumed

    def upload(self, entry: dict[str, Any]) -> int:
        """Send ``entry``, the next one of the journal; returns how many entries that was.

        Raises:
            MlflowException: if the server refuses it; anything else if it cannot be sent now.
        """
        return getattr(self, f"_{entry['op']}")(entry) or 1

    def _journal(self, entry: dict[str, Any]) -> None:
        """The first line: nothing to send."""

    def _run(self, entry: dict[str, Any]) -> None:
        """Open a run, or take up the one that was opened before, be its id noted or not."""
        client, runs, name = self.server.client, self.journal.runs, f"{self.journal.id}/{entry['run']}"
        tags = {**entry["tags"], "ofa.run": name}
        if entry["run"] != JOB:
            tags["mlflow.parentRunId"] = runs[JOB]
        if entry["run"] not in runs and self.unsure:
            for run in client.search_runs([self.server.experiment_id], f"tags.`ofa.run` = '{name}'", max_results=1):
                runs[entry["run"]] = run.info.run_id
        if entry["run"] in runs:
            client.update_run(runs[entry["run"]], status="RUNNING", name=entry["name"])
            self._log(runs[entry["run"]], tags=tags)
            return
        run = client.create_run(self.server.experiment_id, entry["ms"], tags, entry["name"])
        runs[entry["run"]] = run.info.run_id

    def _params(self, entry: dict[str, Any]) -> None:
        run_id = self.journal.runs[entry["run"]]
        known = self.server.client.get_run(run_id).data.params  # a parameter cannot be given another value
        self._log(run_id, params={key: value for key, value in entry["values"].items() if key not in known})

    def _tags(self, entry: dict[str, Any]) -> None:
        self._log(self.journal.runs[entry["run"]], tags=entry["values"])

    def _experiment(self, entry: dict[str, Any]) -> None:
        """Tags of the experiment; what is there stays, since somebody may have written it by hand."""
        client, experiment_id = self.server.client, self.server.experiment_id
        known = client.get_experiment(experiment_id).tags
        for key, value in entry["values"].items():
            if key not in known:
                client.set_experiment_tag(experiment_id, key, self._placed(value))

    def _metrics(self, entry: dict[str, Any]) -> int:
        """All metrics of the run up to the next entry of another kind; the server drops a point it has."""
        from mlflow.exceptions import MlflowException

        together, points = [], 0
        for next_one in self.journal.entries[self.journal.sent :]:
            if next_one["op"] != "metrics" or next_one["run"] != entry["run"] or points > POINTS:
                break
            together.append(next_one)
            points += len(next_one["values"])
        try:
            self._points(together)
        except MlflowException as error:
            if len(together) == 1 or error.error_code not in REFUSED:
                raise
            together = [entry]  # the others are not at fault, and go on their own
            self._points(together)
        return len(together)

    def _points(self, entries: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        points = [Metric(key, value, one["ms"], one["step"]) for one in entries for key, value in one["values"].items()]
        for some in _slices(points, POINTS):
            self.server.client.log_batch(self.journal.runs[entries[0]["run"]], metrics=some)

    def _log(self, run_id: str, params: dict[str, Any] | None = None, tags: dict[str, Any] | None = None) -> None:
        from mlflow.entities import Param, RunTag

        for some in _slices([Param(key, _cut(value, PARAM_CHARS)) for key, value in (params or {}).items()], PAIRS):
            self.server.client.log_batch(run_id, params=some)
        for some in _slices(
            [RunTag(key, _cut(self._placed(value), TAG_CHARS)) for key, value in (tags or {}).items()], PAIRS
        ):
            self.server.client.log_batch(run_id, tags=some)

    def _placed(self, text: Any) -> str:
        return str(text).replace(EXPERIMENT_ID, self.server.experiment_id)

    def _dataset(self, entry: dict[str, Any]) -> None:
        """Name the rows that a run was made from, or scored on; the server keeps one that it has."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = [{"name": name, "type": kind} for name, kind in entry["columns"].items()]
        dataset = Dataset(
            entry["name"],
            entry["digest"],
            entry["source_type"],
            json.dumps(entry["source"]),
            json.dumps({"mlflow_colspec": columns}),
            json.dumps(entry["rows"]),
        )
        given = DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])
        self.server.client.log_inputs(self.journal.runs[entry["run"]], [given])

    def _artifact(self, entry: dict[str, Any]) -> None:
        if not Path(entry["path"]).exists():
            log.warning("Tracking: %s is gone before it was sent.", entry["path"])
            return
        self.server.client.log_artifact(self.journal.runs[entry["run"]], entry["path"], entry["folder"])

    def _model(self, entry: dict[str, Any]) -> None:
        from ofa.tracking import registry

        server, run_id = self.server, self.journal.runs[entry["run"]]
        try:
            registry.register(server.client, server.experiment_id, run_id, entry, server.output_dir)
        except registry.NotSaved as error:
            log.warning("Tracking: no model was registered (%s).", error)

    def _end(self, entry: dict[str, Any]) -> None:
        for run_id in reversed(self.journal.runs.values()):
            self.server.client.set_terminated(run_id, entry["status"], entry["ms"])


def _slices(values: list[Any], size: int) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _cut(value: Any, most: int) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."

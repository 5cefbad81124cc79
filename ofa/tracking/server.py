"""The MLflow server: connecting to it, the experiment, and runs that dead processes left open."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import textwrap
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from ofa.errors import UserError
from ofa.system.process import is_dead, quiet
from ofa.system.redact import without_secrets
from ofa.tracking.address import database_path, default_uri, reach

log = logging.getLogger(__name__)
PROCESS = "ofa.process"  # the tag that says which process reports to a run
# MLflow retries for minutes, which the journal makes needless; it logs too much; and it would send usage data.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
MODE = "workflowType=machine_learning"  # pages of runs, not those of prompts and traces, which are the default
REASON_CHARS = 300  # of an error's message


class Page(NamedTuple):
    """Where a run is shown: the command that serves the pages (None where a server does already), and the address."""

    command: str | None
    address: str


class Server:
    """One MLflow server or database, and one experiment on it.

    Attributes:
        output_dir: of the jobs that report; holds the artifacts of a local database.
        client: MLflow's client; None while there is no connection.
        experiment_id: "" before the first connection.
    """

    def __init__(self, uri: str, experiment: str, output_dir: Path) -> None:
        self.uri, self.experiment, self.output_dir = uri, experiment, output_dir
        self.client: Any = None
        self.experiment_id = ""

    @classmethod
    def of_journal(cls, state: dict[str, Any]) -> Server | None:
        """The server that a journal's ``state`` names; None if it names none, or one whose address had secrets,
        which MLFLOW_TRACKING_URI does not give back.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI") if state.get("secret") else state.get("uri")
        return cls(uri, state["experiment"], Path(state["output_dir"])) if uri else None

    @property
    def known(self) -> bool:
        """Whether it has answered a job of this output folder before."""
        seen = self.output_dir / "tracking.servers"
        return seen.exists() and without_secrets(self.uri) in seen.read_text(encoding="utf-8").splitlines()

    def connect(self, own_runs: Collection[str]) -> None:
        """Find the server and the experiment, or make the experiment; close what dead processes left open.

        Args:
            own_runs: ids of the caller's runs, which stay open.

        Raises:
            UserError: if the experiment was deleted, or the database has the tables of another MLflow.
            Exception: of many kinds, if that cannot be done now.
        """
        reach(self.uri)
        quiet()
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        with self._alone():
            try:
                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            except MlflowException as error:
                raise self._upgrade(error) if "database schema" in str(error) else error from None
            self.find_experiment(client)
        self.client = client
        if not self.known:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            with (self.output_dir / "tracking.servers").open("a", encoding="utf-8") as file:
                file.write(without_secrets(self.uri) + "\n")
        self._close_dead_runs(own_runs)

    def _alone(self) -> AbstractContextManager[Any]:
        """Jobs that meet an empty SQLite database at once must not all create its tables."""
        database = database_path(self.uri)
        if database is None:
            return nullcontext()
        return FileLock(f"{database}.lock")

    def _upgrade(self, error: Exception) -> UserError:
        """MLflow's words for tables of another version, and its command with the address in it."""
        uri = without_secrets(self.uri)
        address = shlex.quote(uri) if uri == self.uri else "<the whole address>"
        return UserError(
            f"tracking.uri: {str(error).partition('. ')[0]}: {uri}\n"
            f"choose another tracking.uri, or back the database up and run: mlflow db upgrade {address}"
        )

    def find_experiment(self, client: Any) -> None:
        """Set ``experiment_id``, of a new experiment if there is none of that name.

        Raises:
            UserError: if it was deleted.
        """
        from mlflow.exceptions import MlflowException

        # Beside a local database; a server decides for itself. Absolute: a job may change its folder.
        place = (self.output_dir / "artifacts").absolute().as_uri() if self.uri.startswith("sqlite") else None
        found = client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                self.experiment_id = client.create_experiment(self.experiment, place)
                return
            except MlflowException:  # made meanwhile by another job
                found = client.get_experiment_by_name(self.experiment)
        if found is None or found.lifecycle_stage != "active":
            raise UserError(
                f"tracking.experiment: {self.experiment!r} was deleted in MLflow; "
                "restore it there (mlflow experiments restore) or choose another name"
            )
        self.experiment_id = found.experiment_id

    def page(self, run_id: str | None) -> Page:
        """Where a run is shown; the list of experiments for None."""
        page = f"#/experiments/{self.experiment_id}/runs/{run_id}?{MODE}" if run_id else f"#/experiments?{MODE}"
        uri = without_secrets(self.uri)
        if uri.startswith("http"):
            return Page(None, f"{uri.rstrip('/')}/{page}")
        show = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
        if self.uri == default_uri(self.output_dir):
            place = shlex.quote(str(self.output_dir))
            show = "ofa ui" if self.output_dir == Path("outputs") else f"ofa ui --output-dir {place}"
        return Page(show, f"http://127.0.0.1:5000/{page}")

    def _close_dead_runs(self, own_runs: Collection[str]) -> None:
        """Close what jobs that were killed on this machine left RUNNING, in every experiment."""
        try:
            ids = [found.experiment_id for found in self.client.search_experiments(max_results=1000)]
            running = f"attributes.status = 'RUNNING' and tags.`{PROCESS}` LIKE '{socket.gethostname()} %'"
            for run in self.client.search_runs(ids, running, max_results=1000):
                if run.info.run_id not in own_runs and is_dead(run.data.tags[PROCESS]):
                    self.client.set_terminated(run.info.run_id, "KILLED")
        except Exception as error:  # best effort: a failure here must not affect this job
            log.debug("Runs of dead processes were not looked for: %s", reason(error))


def reason(error: Exception) -> str:
    """The first line of an error's message, without secrets; of a database's error, the driver's own words."""
    if isinstance(error, UserError):
        return str(error)
    error = getattr(error.__cause__, "orig", None) or error
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return textwrap.shorten(without_secrets(first), REASON_CHARS, placeholder=" ...")

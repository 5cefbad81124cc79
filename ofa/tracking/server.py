"""The MLflow server: its address, whether it answers, the experiment, and runs that dead processes left open."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from ofa.errors import UserError
from ofa.settings.schema import TrackingConfig
from ofa.system.process import is_dead
from ofa.system.redact import without_secrets

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
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql")
PORTS = {"postgresql": 5432, "mysql": 3306}
REACH_S = 3.0  # how long a server may take to say that it is there


class Unreachable(Exception):
    """Nothing that could keep a run answers; the message says why, without secrets."""


def tracking_uri(settings: TrackingConfig, output_dir: Path) -> str:
    """The tracking URI of the settings; by default SQLite in ``output_dir``, by absolute path.

    Raises:
        UserError: if its scheme is none that MLflow's tracking has.
    """
    if not settings.uri:
        return default_uri(output_dir)
    scheme = settings.uri.split(":", 1)[0].split("+", 1)[0]
    if "://" not in settings.uri or scheme not in SCHEMES:
        raise UserError(
            f"tracking.uri: {without_secrets(settings.uri)!r} is not usable; allowed: {'://, '.join(SCHEMES)}://"
        )
    return settings.uri


def default_uri(output_dir: Path) -> str:
    """SQLite in ``output_dir``, by absolute path."""
    return f"sqlite:///{(output_dir / 'mlflow.db').absolute()}"


def reach(uri: str) -> None:
    """Ask quickly whether there is a server or a database; MLflow itself would try for minutes.

    Raises:
        Unreachable: if there is none, in one line.
    """
    if uri.startswith("http"):
        _reach_server(uri)
    else:
        _reach_database(uri)


def _reach_server(uri: str) -> None:
    import requests

    try:  # not a bare socket: the way there may lead through a proxy
        status = requests.get(f"{uri.rstrip('/')}/health", timeout=REACH_S).status_code
    except requests.Timeout:
        raise Unreachable(f"{without_secrets(uri)} does not answer within {REACH_S:g} s") from None
    except (requests.RequestException, ValueError):
        raise Unreachable(f"{without_secrets(uri)} does not answer") from None
    if status in (502, 503, 504):
        raise Unreachable(f"{without_secrets(uri)} answers with HTTP status {status}")


def _reach_database(uri: str) -> None:
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(uri)
        if url.host:
            scheme = url.drivername.partition("+")[0]
            socket.create_connection((url.host, url.port or PORTS[scheme]), REACH_S).close()
        elif url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sqlalchemy.create_engine(url)
        try:
            sqlalchemy.inspect(engine).get_table_names()  # a wrong password or a file of another kind shows here
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise Unreachable(f"{without_secrets(uri)} needs the Python package {error.name!r}") from None
    except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        raise Unreachable(f"{without_secrets(uri)} cannot be opened ({without_secrets(reason[0])[:160]})") from None


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
        """The server that a journal's ``state`` names; None if its address had secrets, which only
        MLFLOW_TRACKING_URI can give back, and does not.
        """
        uri = os.environ.get("MLFLOW_TRACKING_URI", "") if state["secret"] else state["uri"]
        return cls(uri, state["experiment"], Path(state["output_dir"])) if uri else None

    @property
    def known(self) -> bool:
        """Whether it has answered a job of this output folder before."""
        seen = self.output_dir / "tracking.servers"
        return seen.exists() and without_secrets(self.uri) in seen.read_text().splitlines()

    def connect(self, own_runs: Collection[str]) -> None:
        """Find the server and the experiment, or make the experiment; close what dead processes left open.

        Args:
            own_runs: ids of the caller's runs, which stay open.

        Raises:
            UserError: if the experiment was deleted.
            Exception: of many kinds, if that cannot be done now.
        """
        reach(self.uri)
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        from mlflow import MlflowClient

        with self._alone():
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.find_experiment(client)
        self.client = client
        if not self.known:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            with (self.output_dir / "tracking.servers").open("a") as file:
                file.write(without_secrets(self.uri) + "\n")
        self._close_dead_runs(own_runs)

    def _alone(self) -> AbstractContextManager[Any]:
        """Jobs that meet an empty SQLite database at once must not all create its tables."""
        if not self.uri.startswith("sqlite"):
            return nullcontext()
        return FileLock(f"{self.uri.removeprefix('sqlite:///')}.lock")

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

    def page(self, run_id: str | None) -> str:
        """The command and the page that show a run; the list of experiments for None."""
        page = f"#/experiments/{self.experiment_id}/runs/{run_id}?{MODE}" if run_id else f"#/experiments?{MODE}"
        uri = without_secrets(self.uri)
        if uri.startswith("http"):
            return f"{uri.rstrip('/')}/{page}"
        show = f"mlflow ui --backend-store-uri {uri}"
        if self.uri == default_uri(self.output_dir) and Path("Makefile").is_file():
            show = "make ui" if self.output_dir == Path("outputs") else f"make ui OUTPUT={self.output_dir}"
        return f"{show}, then http://127.0.0.1:5000/{page}"

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
    error = getattr(error.__cause__, "orig", None) or error
    return without_secrets((str(error).splitlines() or [type(error).__name__])[0])[:200]

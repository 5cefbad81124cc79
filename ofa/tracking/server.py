"""Where MLflow is: the address of the settings, whether anything answers there, and how to name it aloud."""

from __future__ import annotations

import socket
from pathlib import Path

from ofa.errors import UserError
from ofa.settings.schema import TrackingConfig
from ofa.system.redact import without_secrets

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
        return f"sqlite:///{(output_dir / 'mlflow.db').absolute()}"
    scheme = settings.uri.split(":", 1)[0].split("+", 1)[0]
    if "://" not in settings.uri or scheme not in SCHEMES:
        raise UserError(
            f"tracking.uri: {without_secrets(settings.uri)!r} is not usable; allowed: {'://, '.join(SCHEMES)}://"
        )
    return settings.uri


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

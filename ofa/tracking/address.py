"""The MLflow tracking URI: resolving it, checking that it is reachable, redacting credentials."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.settings.schema import TrackingConfig
from ofa.system.redact import QUOTING, UNCLEAR, is_clear, web_place, without_secrets

SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql")
PORTS = {"postgresql": 5432, "mysql": 3306}
REACH_S = 3.0  # how long a server may take to say that it is there


class Unreachable(Exception):
    """Nothing that could keep a run answers; the message says why, without secrets."""


def tracking_uri(settings: TrackingConfig, output_dir: Path) -> str:
    """The tracking URI of the settings; by default SQLite in ``output_dir``, by absolute path.

    Raises:
        UserError: if its scheme is none that MLflow's tracking has, or if it is not clear where its user name and
            password end; it is not in the message then.
    """
    uri = settings.uri
    if not uri:
        return default_uri(output_dir)
    key = "MLFLOW_TRACKING_URI" if from_environment(settings) else "tracking.uri"
    if not _is_clear(uri):
        raise UserError(
            f"{key}: {UNCLEAR}\n"
            f"allowed: sqlite:////absolute/path.db, or http://user:password@host:5000 and the like; {QUOTING}"
        )
    if _scheme(uri) not in SCHEMES:
        raise UserError(f"{key}: {without_secrets(uri)!r} is not usable; allowed: {'://, '.join(SCHEMES)}://")
    return uri


def from_environment(settings: TrackingConfig) -> bool:
    """Whether the tracking URI is the one that MLFLOW_TRACKING_URI names, as conf/tracking/mlflow.yaml has it."""
    return bool(settings.uri) and settings.uri == os.environ.get("MLFLOW_TRACKING_URI")


def _scheme(uri: str) -> str:
    """``postgresql`` of ``postgresql+psycopg2://...``; empty if there is none."""
    return uri.partition("://")[0].partition("+")[0] if "://" in uri else ""


def _is_clear(uri: str) -> bool:
    """Whether the library that will connect finds user name and password where ``without_secrets`` does."""
    if not uri.partition("://")[2]:
        return re.fullmatch(r"[\w./-]*", uri) is not None  # no address at all: a file, or a slip
    try:
        return _place(uri)[0] is None if _scheme(uri) == "sqlite" else is_clear(uri, _place)  # SQLite has no host
    except ValueError:
        return False


def _place(uri: str) -> tuple[Any, ...]:
    """Host, port and what follows, as read by the library that connects.

    Raises:
        ValueError: if it cannot read ``uri``.
    """
    if _scheme(uri) in (*PORTS, "sqlite"):
        import sqlalchemy

        try:
            url = sqlalchemy.make_url(uri)
        except sqlalchemy.exc.ArgumentError as error:
            raise ValueError(str(error)) from None
        return url.host, url.port, url.database, url.query
    return web_place(uri)


def default_uri(output_dir: Path) -> str:
    """SQLite in ``output_dir``, by absolute path."""
    path = str((output_dir / "mlflow.db").absolute())
    quoted = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    # MLflow makes the folder that follows sqlite:/// as it stands, %25 and all; with the driver's name it makes none.
    return f"sqlite:///{path}" if quoted == path else f"sqlite+pysqlite:///{quoted}"


def database_path(uri: str) -> Path | None:
    """The file of a SQLite address; None for other addresses, and for a database in memory."""
    if _scheme(uri) != "sqlite":
        return None
    database = _place(uri)[2]
    return Path(database.removeprefix("file:")).absolute() if database else None


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
        elif file := database_path(uri):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()  # as the umask says, for colleagues; SQLite would let the owner alone write
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

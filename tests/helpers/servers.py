"""MLflow's servers as real processes on loopback, for tests and drills."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

MLFLOW = [sys.executable, "-m", "mlflow"]
START_S = 60.0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """One ``mlflow server``, ``ui`` or ``models serve``; can be killed and started again on the same port."""

    def __init__(self, folder: Path, *arguments: str, health: str = "/health") -> None:
        self.folder, self.arguments, self.health = folder, arguments, health
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen | None = None

    @classmethod
    def tracking(cls, folder: Path) -> Server:
        """A remote tracking server: its own database, its own folder of artifacts."""
        where = ("--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder))
        return cls(folder, "server", *where, "--workers", "1")

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        # `models serve` starts uvicorn by name: this environment's, activated or not.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("a") as output:
            self._process = subprocess.Popen(
                [*MLFLOW, *self.arguments, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=self.folder,  # not the repository's: what is served must stand on its own
                env={key: value for key, value in {**os.environ, **quiet, "PATH": path}.items() if key != "PYTHONPATH"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                if requests.get(self.url + self.health, timeout=2).ok:
                    return self
            except requests.RequestException:
                time.sleep(0.2)
            if self._process.poll() is not None:
                break
        self.kill()
        raise RuntimeError((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def fresh_database(template: Path, target: Path) -> Path:
    """A copy of an empty store; making its tables anew takes seconds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(template, target))

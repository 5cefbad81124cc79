"""``ofa ui``: MLflow's pages of the output folder, for this machine alone."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ofa.errors import UserError
from ofa.system.command import as_command
from ofa.system.files import expanded
from ofa.system.output import output_dir
from ofa.system.ports import require_free
from ofa.tracking.address import default_uri

HOST = "127.0.0.1"  # MLflow asks nobody for a password
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",  # of its libraries to its developers
}


def command(folder: Path, port: int) -> list[str]:
    """What serves the database in ``folder``."""
    server = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1"]
    return [*server, "--backend-store-uri", default_uri(folder)]


@as_command
def main(arguments: list[str]) -> int:
    """Does not return once the server has begun: it takes this process over, and its exit status is the command's."""
    parser = argparse.ArgumentParser(prog="ofa ui", description="Show the runs of the output folder in MLflow.")
    parser.add_argument("--output-dir", type=Path, help="as output_dir of the runs; by default OFA_OUTPUT, or outputs")
    parser.add_argument("--port", type=int, default=5000, help="of this machine (5000)")
    options = parser.parse_args(arguments)
    folder = expanded(options.output_dir or output_dir())
    if not (folder / "mlflow.db").is_file():
        raise UserError(f"{folder}: no mlflow.db here, so no run was tracked in it; see --output-dir and OFA_OUTPUT")
    require_free(HOST, options.port)
    print(f"Open http://{HOST}:{options.port}/#/experiments?workflowType=machine_learning", flush=True)
    os.execve(sys.executable, command(folder, options.port), {**QUIET, **os.environ})

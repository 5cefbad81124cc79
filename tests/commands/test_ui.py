"""``ofa ui``: which server it becomes, and why it does not."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from ofa.commands import ui


def test_the_process_becomes_the_server_of_the_folder_s_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mlflow.db").touch()
    became: list = []
    monkeypatch.setattr(os, "execve", lambda *arguments: became.extend(arguments))
    with socket.socket() as free:
        free.bind((ui.HOST, 0))
        port = free.getsockname()[1]
    ui.main(["--output-dir", str(tmp_path), "--port", str(port)])
    assert became[1][1:5] == ["-m", "mlflow", "ui", "--host"] and became[1][5] == "127.0.0.1"
    assert became[1][-1] == f"sqlite:///{tmp_path / 'mlflow.db'}" and became[2]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert f"Open http://127.0.0.1:{port}/" in capsys.readouterr().out


def test_a_busy_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as busy:
        busy.bind((ui.HOST, 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        assert ui.main(["--output-dir", str(tmp_path), "--port", port]) == 1
    assert re.match(f"--port: {port} cannot be used .*; allowed: a free port", capsys.readouterr().err)

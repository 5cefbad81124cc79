"""``ofa serve``: the printed request works when it is pasted; mistakes are a line."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO

from ofa.commands import serve


@pytest.mark.process
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_printed_request_is_answered(served_folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ofa.commands.serve", str(served_folder), "--port", str(port)]
    server = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "*"})
    try:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(f"Serving {served_folder} (fp32)")
        pasted = shlex.split(server.stdout.readline())
        assert pasted[0] == "curl"
        said = subprocess.run(
            [*pasted, "--silent", "--noproxy", "*", "--retry", "30", "--retry-delay", "1", "--retry-connrefused"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (answer,) = json.loads(said)["predictions"]
        assert answer["label"] in ("no", "maybe", "yes") and 1 / 3 <= answer["probability"] <= 1
    finally:
        server.terminate()
        server.wait(20)


def test_mistakes_are_a_line(served_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for arguments, said in (
            ([str(tmp_path)], "no results.json"),
            ([str(served_folder), "--network", "w1"], "--network:"),
            ([str(served_folder), "--precision", "int8"], "not offered in int8"),
            ([str(served_folder), "--port", "70000"], "--port: 70000; allowed: a free port, 1 to 65535"),
            ([str(served_folder), "--port", str(taken.getsockname()[1])], "cannot be used on 127.0.0.1 (Addr"),
        ):
            assert serve.main(arguments) == 1
            err = capsys.readouterr().err
            assert said in err and err.count("\n") == 1, err


def test_the_example_of_a_task_of_pairs_has_both_columns() -> None:
    body = json.loads(shlex.split(serve.example(True, "127.0.0.1", 1))[-1])
    assert list(body["inputs"]) == ["text", "text_pair"]


@pytest.mark.parametrize(
    ("host", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("10.0.0.5", "10.0.0.5"), ("::1", "[::1]")],
)
def test_the_example_asks_where_the_server_listens(host, asked):
    assert f"curl http://{asked}:5001/invocations " in serve.example(False, host, 5001)

"""Downloading a task's files: only what is wanted, whole or not at all, inside the cache."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ofa.data.fetch import fetch_files
from ofa.data.sources import load_splits
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

PAIR = TaskConfig(name="pair", text=["a", "b"], label="y", labels=["no", "yes"], label_values=["0", "1"])
HEAD = b"a\tb\ty\nx\tz\t1\n"


def archive(path: Path, members: dict[str, bytes]) -> dict[str, str]:
    """Write a zip archive; its address and digest as settings of a task."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return {"url": path.as_uri(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


FILES = {name: HEAD + b"p\tq\t0\n" for name in ("train.tsv", "m.tsv", "mm.tsv")}


def remote(**settings) -> TaskConfig:
    task = dataclasses.replace(PAIR, folder="PAIR", dev={"matched": "m.tsv", "mismatched": "mm.tsv"})
    return dataclasses.replace(task, **settings)


def test_download_takes_only_the_files_wanted(tmp_path: Path) -> None:
    hostile = {"../evil.tsv": b"", "/tmp/evil.tsv": b"", "PAIR/../../evil.tsv": b"", "PAIR/original/raw.txt": b""}
    task = remote(**archive(tmp_path / "a.zip", {f"PAIR/{name}": text for name, text in FILES.items()} | hostile))
    assert len(load_splits(task, tmp_path / "cache")["train"]) == 2
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["a.zip", *(f"cache/glue/PAIR/{name}" for name in sorted(FILES))]
    (tmp_path / "a.zip").unlink()
    assert len(load_splits(task, tmp_path / "cache")["train"]) == 2  # from the cache


def test_download_completes_a_folder_and_overwrites_nothing(tmp_path: Path) -> None:
    task = remote(**archive(tmp_path / "a.zip", FILES))
    own = tmp_path / "cache" / "glue" / "PAIR" / "train.tsv"
    own.parent.mkdir(parents=True)
    own.write_bytes(HEAD + b"mine\tq\t0\n")
    assert load_splits(task, tmp_path / "cache")["train"].text_a == ["x", "mine"]
    fetch_files(str(task.url), task.sha256, ["train.tsv"], own.parent)  # another process was faster
    assert b"mine" in own.read_bytes()


def truncated(path: Path) -> dict:
    settings = archive(path, FILES)
    path.write_bytes(path.read_bytes()[:-40])
    return {**settings, "sha256": None}


BROKEN: dict[str, tuple[Callable[[Path], dict], str]] = {
    "no network": (lambda path: {"url": path.as_uri()}, "could not be fetched ("),
    "scheme": (lambda path: {"url": "gopher://host/a.zip"}, "could not be fetched (unknown url type: gopher)"),
    "other content": (
        lambda path: {**archive(path, FILES), "sha256": "0" * 64},
        f"task.sha256 is {'0' * 64}",
    ),
    "not a zip": (lambda path: {"url": path.as_uri(), "sha256": path.write_text("hello") and None}, "not a sound zip"),
    "truncated": (truncated, "not a sound zip archive"),
    "file not inside": (lambda path: archive(path, {"PAIR/m.tsv": b""}), "does not hold PAIR/train.tsv, PAIR/mm.tsv"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_failed_downloads_leave_nothing_behind(tmp_path: Path, case: str) -> None:
    make, message = BROKEN[case]
    with pytest.raises(UserError) as error:
        load_splits(remote(**make(tmp_path / "a.zip")), tmp_path / "cache")
    first, second = str(error.value).splitlines()
    assert first.startswith("task pair: train.tsv, m.tsv, mm.tsv missing in ") and message in first
    assert "task.data_dir=<folder>" in second and "experiment=quickstart" in second
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_archives_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = remote(**archive(tmp_path / "a.zip", FILES))
    for limit, value in (("MAX_FILE_BYTES", 10), ("MAX_ARCHIVE_BYTES", 100)):
        monkeypatch.setattr(f"ofa.data.fetch.{limit}", value)
        with pytest.raises(UserError, match=f"is larger than {value} bytes, the limit"):
            load_splits(task, tmp_path / "cache")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Answers ``/short`` with less than it announces, and to me:s3cret@ only; all else with 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = base64.b64encode(b"me:s3/cret").decode()
            if self.path.startswith("/mine") and self.headers["Authorization"] != f"Basic {known}":
                return self.send_error(401)
            if not self.path.startswith(("/short", "/mine")):
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x" * 10)

        def log_message(self, *args: object) -> None:
            """Nothing: the terminal is the test's."""

    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_over_http(server: str, tmp_path: Path) -> None:
    for path, message in (
        ("/short", "broke off after 10 of 1,000 bytes"),
        ("/a.zip", "could not be fetched .Not Found"),
    ):
        with pytest.raises(UserError, match=server + path + " " + message):
            load_splits(remote(url=server + path), tmp_path)


def test_a_password_reaches_the_server_and_nothing_else(server: str, tmp_path: Path, capfd) -> None:
    address = server.replace("://", "://me:s3%2Fcret@")
    for path, message in (("/mine?key=s3cret", "/mine broke off after 10 of"), ("/b?key=s3cret", "/b could not be")):
        with pytest.raises(UserError, match=server + message) as refused:
            load_splits(remote(url=address + path), tmp_path)
        assert "cret" not in str(refused.value)
    assert "cret" not in "".join(capfd.readouterr())


def test_names_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("../train.tsv", "/tmp/train.tsv"):
        with pytest.raises(UserError, match="is not a path inside the task's folder"):
            fetch_files("file:///a.zip", None, [name], tmp_path / "PAIR")

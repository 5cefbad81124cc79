"""Data sets of the hub; folders that ``load_dataset`` takes for one stand in for them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from helpers.toys import REPO

from ofa.data.arrow import splits_of
from ofa.data.hub import fetch, folder_of
from ofa.data.rows import read_rows, rows_digest
from ofa.data.sources import find_folder, load_splits
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig
from ofa.settings.task_rules import task_problems

TASK = TaskConfig("mine", hub="me/mine", text=["text"], label="y", labels=["no", "yes"], dev={"dev": "validation"})
TASK = replace(TASK, train="train")


ROWS = [{"text": "the first", "y": "no"}, {"text": "a tab\tand a\nline", "y": "yes"}, {"text": "\u7b2c", "y": "no"}]


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as a data set of files needs: ``me/mine`` has those of ``folder``."""

    COMMIT = "a" * 40

    def __init__(self, folder: Path, *given: object) -> None:
        self.folder = folder
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path, file = self.path.partition("?")[0], self.folder / self.path.rpartition("/")[2]
        if "/resolve/" in path and file.is_file():
            content = file.read_bytes()
            self.answer(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.COMMIT})
        elif path.endswith(f"/tree/{self.COMMIT}"):
            files = [{"type": "file", "path": one.name, "size": 1, "oid": "1"} for one in self.folder.iterdir()]
            self.answer(json.dumps(files).encode(), {})
        elif path.startswith("/api/datasets/me/mine") and "/tree/" not in path:
            self.answer(json.dumps({"id": "me/mine", "sha": self.COMMIT, "siblings": [], "tags": []}).encode(), {})
        else:
            self.answer(b"{}", {"X-Error-Code": "EntryNotFound" if "me/mine" in path else "RepoNotFound"}, 404)

    do_HEAD = do_GET

    def answer(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *given: object) -> None:
        """Nothing: the server's own way writes a line to stderr for each request."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for name, some in (("train", ROWS), ("validation", ROWS[1:])):
        (source / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return source


@pytest.fixture
def address(source: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, source)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.process
def test_a_data_set_comes_over_the_network(address: str, source: Path, tmp_path: Path) -> None:
    """In a process of its own, as the client reads where the hub is when it loads."""
    code = "import sys; from pathlib import Path; from ofa.data.hub import fetch; fetch(sys.argv[1], Path(sys.argv[2]))"
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
    for name, status in (("me/mine", 0), ("me/none", 1)):
        command = [sys.executable, "-c", code, name, str(folder_of(name, tmp_path))]
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
    assert "ofa.errors.UserError: task.hub: 'me/none' could not be fetched (" in done.stderr
    found = load_splits(TASK, tmp_path)["train"]
    assert rows_digest(found) == rows_digest(read_rows(source / "train.jsonl", TASK))


def test_what_is_fetched_are_the_rows_of_its_files(source: Path, tmp_path: Path) -> None:
    kept = folder_of("me/mine", tmp_path)
    for _ in range(2):  # as where two jobs start together
        fetch(str(source), kept)
    assert splits_of(kept) == ["train", "validation"] and [path.name for path in kept.parent.iterdir()] == [kept.name]
    found = load_splits(TASK, tmp_path)
    assert rows_digest(found["train"]) == rows_digest(read_rows(source / "train.jsonl", TASK))
    assert found["dev"].text_a == [row["text"] for row in ROWS[1:]]


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "y": ClassLabel(names=["no", "yes"])})
    split = Dataset.from_dict({"text": ["a", "b"], "y": [1, 0]}, features=features)
    kept = folder_of("me/mine:plain", tmp_path)
    DatasetDict({"train": split, "validation": split}).save_to_disk(kept)
    task = replace(TASK, hub="me/mine:plain")
    assert load_splits(task, tmp_path)["train"].labels.tolist() == [1, 0]
    with pytest.raises(UserError, match=r"splits train, validation: .* task.train=train task.dev.dev=validation"):
        find_folder(replace(task, train="train.tsv"), tmp_path)


def test_what_cannot_be_fetched_leaves_nothing(tmp_path: Path) -> None:
    kept = folder_of("me/mine", tmp_path)
    with pytest.raises(UserError, match=r"task.hub: '.*none' could not be fetched \(.*\nallowed: owner/name") as error:
        fetch(str(tmp_path / "none"), kept)
    assert len(str(error.value).splitlines()) == 2 and not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hub": "a/b/c"}, "task.hub: 'a/b/c' is no name; allowed: owner/name, owner/name:configuration, null"),
        ({"data_dir": "x"}, "task.hub: me/mine and task.data_dir are both set; allowed: one of them"),
        ({"generator": "negation"}, "task.hub: me/mine and task.generator are both set; allowed: one of them"),
    ],
)
def test_a_name_that_is_none_or_one_place_too_many(changes: dict, said: str) -> None:
    assert task_problems(replace(TASK, **changes)) == [said]
    assert task_problems(TASK) == task_problems(replace(TASK, hub="mine:plain")) == []


def test_a_folder_here_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``datasets`` would read it, and what it held once would be kept as the hub's."""
    (tmp_path / "me" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    said = "task.hub: 'me/mine' is a folder here; to read its files: task.data_dir=me/mine"
    assert task_problems(TASK) == task_problems(replace(TASK, hub="me/mine:plain")) == [said]


def test_rows_are_generated_or_read() -> None:
    task = replace(TASK, hub=None, generator="negation", data_dir="x")
    said = "task.generator: negation and task.data_dir are both set; for rows of your own choose task=custom"
    assert task_problems(task) == [said]

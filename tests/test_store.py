import os
import shutil
import signal
import subprocess
import sys

import pytest
from helpers.stores import aged_store, names

from ofa.errors import Interrupted
from ofa.store import Store, clean

HOLD = """
import sys, time
from pathlib import Path
from ofa.store import Store
store = Store(Path(sys.argv[1]))
lock = store.locked(store.root / "distill-1")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path):
    return aged_store(tmp_path / "store")


def test_the_same_key_is_the_same_folder():
    store = Store.__new__(Store)
    store.root = __import__("pathlib").Path("/s")
    assert store.path("distill", {"a": 1, "b": [1.0, 0.5]}) == store.path("distill", {"b": [1.0, 0.5], "a": 1})
    assert store.path("distill", {"a": 1}) != store.path("distill", {"a": 2})


def test_entries_are_listed_oldest_first(store):
    entries = store.entries()
    assert names(entries) == ["distill-d.part", "finetune-a", "distill-b", "evaluate-c"]
    assert [entry.complete for entry in entries] == [False, True, True, True]
    assert entries[1].what == "sst2 toy" and entries[0].what == "unfinished" and entries[2].size > 5000


def test_cleaning_by_age(store):
    assert names(clean(store, older_than_days=30, keep_gb=None)) == ["distill-d.part", "finetune-a"]
    assert names(store.entries()) == ["distill-b", "evaluate-c"]


def test_cleaning_by_size_removes_the_oldest_first(store):
    total = sum(entry.size for entry in store.entries())
    assert names(clean(store, None, keep_gb=(total - 1500) / 1e9)) == ["distill-d.part", "finetune-a"]


def test_what_a_job_is_making_is_left_alone(store):
    with store.locked(store.root / "distill-d"):
        assert names(clean(store, 30, None)) == ["finetune-a"]


def test_what_a_job_goes_on_to_need_is_left_alone_until_it_ends(store):
    with store.using([store.root / "finetune-a", store.root / "distill-b"]):
        assert names(clean(store, 0, None)) == ["distill-d.part", "evaluate-c"]
    assert names(clean(store, 0, None)) == ["finetune-a", "distill-b"]
    assert not list((store.root / "locks").glob("uses-*"))


def test_checkpoints_that_a_job_goes_on_from_are_left_alone(store):
    with store.using([store.root / "distill-d"]):
        assert names(clean(store, 0, None)) == ["finetune-a", "distill-b", "evaluate-c"]


def test_a_job_that_begins_while_folders_are_removed_keeps_what_it_needs(store, monkeypatch):
    remove, needs = shutil.rmtree, store.using([store.root / "distill-b"])

    def slow(path):
        if path.name == "finetune-a":
            needs.__enter__()
        remove(path)

    monkeypatch.setattr("ofa.store.shutil.rmtree", slow)
    assert names(clean(store, 0, None)) == ["distill-d.part", "finetune-a", "evaluate-c"]
    needs.__exit__(None, None, None)


def test_a_file_of_two_folders_counts_once_and_for_the_newer(store):
    os.link(store.root / "distill-b" / "weights", store.root / "evaluate-c" / "linked")
    sizes = {entry.path.name: entry.size for entry in store.entries()}
    assert sizes["distill-b"] < 100 < 5000 < sizes["evaluate-c"], "removing the older one frees no disk"
    assert names(clean(store, None, keep_gb=(sum(sizes.values()) - 10) / 1e9)) == ["distill-d.part"]


def test_the_store_is_listed_beside_a_job_that_drops_its_checkpoints(store, monkeypatch):
    walk = os.walk

    def vanishing(folder):
        for top, folders, files in walk(folder):
            if "evaluate-c" in str(top):
                shutil.rmtree(top)
            yield top, folders, files

    monkeypatch.setattr("ofa.store.os.walk", vanishing)
    assert names(store.entries()) == ["distill-d.part", "finetune-a", "distill-b"]


@pytest.mark.process
def test_a_dead_job_needs_nothing(store):
    uses = HOLD.replace(
        'lock = store.locked(store.root / "distill-1")', "uses = store.using([store.root / 'finetune-a'])"
    )
    uses = uses.replace('print("held"', 'uses.__enter__(); print("held"')
    holder = subprocess.Popen([sys.executable, "-c", uses, str(store.root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    assert names(clean(store, 30, None)) == ["distill-d.part"]
    holder.kill()
    holder.wait()
    assert names(clean(store, 30, None)) == ["finetune-a"]


@pytest.mark.process
def test_a_lock_of_a_dead_process_is_taken_over(tmp_path, caplog):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    store = Store(tmp_path)
    caplog.set_level("INFO")
    timer = subprocess.Popen([sys.executable, "-c", f"import os,time; time.sleep(1); os.kill({holder.pid}, 9)"])
    with store.locked(tmp_path / "distill-1"):
        assert holder.wait() == -signal.SIGKILL
    assert "distill-1: another job is building it; waiting" in caplog.text
    timer.wait()


def test_a_stop_is_heard_while_waiting(tmp_path):
    store = Store(tmp_path)
    asked = []
    with (
        store.locked(tmp_path / "distill-1"),
        pytest.raises(Interrupted, match="waiting for distill-1"),
    ):
        store.locked(tmp_path / "distill-1", lambda: asked.append(1) or len(asked) > 1)
    assert len(asked) == 2
    store.locked(tmp_path / "distill-1").release()


def test_an_empty_store_is_no_error(tmp_path):
    assert Store(tmp_path / "nowhere").entries() == []


def finished(root, name="finetune-x"):
    folder = root / name
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights").write_bytes(bytes(range(256)) * 8192)  # 2 MB: more than is always read
    (folder / "model" / "vocab.txt").write_text("[PAD]\n[UNK]\ngood\nbad\n")
    (folder / "scores.json").write_text('{"score": 0.5}')
    Store.finish(folder, {"task": "sst2", "model": "toy"})
    return folder


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "vocabulary cut": (lambda f: os.truncate(f / "model/vocab.txt", 9), "model/vocab.txt has 9 bytes instead of 21"),
    "weights cut": (lambda f: os.truncate(f / "model/weights", 2_000_000), "model/weights has 2000000 bytes instead"),
    "score edited": (lambda f: (f / "scores.json").write_text('{"score": 0.9}'), "scores.json does not match its chec"),
    "emptied": (lambda f: (f / "scores.json").write_text(""), "scores.json has 0 bytes instead of 14"),
    "file gone": (lambda f: (f / "model/weights").unlink(), "model/weights is missing"),
    "record emptied": (lambda f: (f / "stage.json").write_text(""), "a JSON file cannot be read"),
    "record a list": (lambda f: (f / "stage.json").write_text("[]"), "a JSON file cannot be read"),
    "manifest a word": (lambda f: (f / "stage.json").write_text('{"files": "all"}'), "a JSON file cannot be read"),
    "nested": (lambda f: (f / "stage.json").write_text("[" * 100_000), "a JSON file cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_finished_folder_that_is_not_what_was_written_is_named(tmp_path, name):
    spoil, words = DAMAGES[name]
    folder = finished(tmp_path)
    assert Store.damage(folder, thorough=True) is None
    spoil(folder)
    assert words in Store.damage(folder)
    aside = Store.set_aside(folder)
    assert aside.name == "finetune-x.damaged" and not folder.exists()
    assert Store.set_aside(finished(tmp_path)).name == "finetune-x.damaged1"
    assert all("damaged" in entry.what for entry in Store(tmp_path).entries())
    assert len(clean(Store(tmp_path), 0, None)) == 2


def test_a_bit_of_a_large_file_is_seen_where_it_is_read(tmp_path):
    folder = finished(tmp_path)
    flip(folder / "model" / "weights")
    assert Store.damage(folder) is None
    assert Store.damage(folder, thorough=True) == "model/weights does not match its checksum"


@pytest.mark.parametrize("name", ["stage.json", "scores.json"])
def test_a_pipe_or_a_device_in_a_finished_folder_is_not_read(tmp_path, name):
    folder = finished(tmp_path)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")
    assert Store.damage(folder) == f"{name} is not a regular file"


def test_a_folder_from_before_manifests_is_taken_if_its_json_can_be_read(store):
    folder = store.root / "finetune-a"
    assert Store.damage(folder, thorough=True) is None
    (folder / "scores.json").write_text("{")
    assert "cannot be read" in Store.damage(folder)

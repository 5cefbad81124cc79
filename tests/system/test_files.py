"""A full disk: said in words that name the folder and the sizes, with the last checkpoint left whole.

The system's limit on the size of a file stands in for the disk; ``experiments/drills/disk_full.py`` fills a real one.
"""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ofa.errors import UserError
from ofa.settings.explain import explain
from ofa.system import files

WEIGHTS = {"w": np.ones((300, 1000), np.float32)}


def write_json(path):
    with open("/dev/full", "w") as file:
        json.dump(list(range(100_000)), file)


def copy_tree(path):
    (path / "from").mkdir()
    (path / "from" / "x").write_bytes(b"x" * 100_000)
    (path / "to").mkdir()
    (path / "to" / "x").symlink_to("/dev/full")
    shutil.copytree(path / "from", path / "to", dirs_exist_ok=True)


def save_arrays(path):
    with open("/dev/full", "wb") as file:
        np.savez(file, **WEIGHTS)


def quota(path):
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@pytest.mark.parametrize("write", [write_json, copy_tree, save_arrays, quota])
def test_every_writers_way_to_say_it_comes_out_as_one(write, tmp_path):
    with pytest.raises(OSError) as caught, files.watched(tmp_path / "not" / "made"):
        write(tmp_path)
    said = explain(caught.value).splitlines()
    assert said[0].startswith(f"The disk is full: {tmp_path / 'not' / 'made'} (") and said[0].endswith(" MB left)")
    assert said[1:] == ["Make space and give the same command: it goes on from the last checkpoint."]
    assert files.refusal(caught.value).splitlines() == [said[0], "Make space and give the same command."]


def test_other_errors_pass_as_they_are(tmp_path):
    for error in (ValueError("No rows"), PermissionError(errno.EACCES, "Permission denied", "x")):
        with pytest.raises(type(error)) as caught, files.watched(tmp_path):
            raise error
        assert caught.value is error


def test_safetensors_own_exception_is_understood(tmp_path):
    """It says the system's words in an exception that is no OSError; on a full disk the words are these."""
    from safetensors import SafetensorError

    words = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(OSError) as caught, files.watched(tmp_path):
        raise SafetensorError(words)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path)


def test_a_home_folder_that_there_is_none_of_is_said_in_a_line():
    assert files.expanded("~/x") == Path.home() / "x" and files.expanded("a/~x") == Path("a/~x")
    with pytest.raises(UserError, match="^~nosuchuser/x: no user of that name has a home folder here; "):
        files.expanded("~nosuchuser/x")


def test_a_folder_that_is_in_its_place_already_stays(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
        files.put_in_place(tmp_path / name, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"] and (tmp_path / "made" / "x").read_text() == "first"
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        files.put_in_place(tmp_path / "made", tmp_path / "file")
    assert (tmp_path / "made" / "x").exists()

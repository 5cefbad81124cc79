"""Models of the hub: which are here already, and what is said of one that is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ofa.errors import UserError
from ofa.model.hub import find_folder, folder_here
from ofa.settings.schema import ModelConfig

MODEL = ModelConfig("toy", pretrained="me/toy")


@pytest.fixture
def cache(toy_folder: Path, tmp_path: Path) -> Path:
    """A cache with one model, as the hub's client keeps it."""
    kept = tmp_path / "cache" / "models" / "models--me--toy"
    shutil.copytree(toy_folder, kept / "snapshots" / "1")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("1")
    return tmp_path / "cache"


def test_a_model_is_found_where_it_was_downloaded_to(cache: Path, toy_folder: Path) -> None:
    found = folder_here(MODEL, cache)
    assert found is not None and found.path == cache / "models" / "models--me--toy" / "snapshots" / "1"
    by_path = folder_here(ModelConfig("toy", path=str(toy_folder), pretrained="me/toy"), cache)
    assert by_path is not None and by_path.path == toy_folder


@pytest.mark.parametrize("damage", ["config.json", "snapshots"])
def test_one_that_is_not_here_as_a_whole_is_left_to_the_download(damage: str, cache: Path) -> None:
    kept = cache / "models" / "models--me--toy"
    shutil.rmtree(kept / "snapshots") if damage == "snapshots" else (kept / "snapshots" / "1" / damage).unlink()
    assert folder_here(MODEL, cache) is None
    assert folder_here(ModelConfig("toy", pretrained="me/other"), cache) is None
    assert folder_here(ModelConfig("toy"), cache) is find_folder(ModelConfig("toy"), cache) is None


def test_a_path_that_is_no_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model.path: .*none is not a folder"):
        folder_here(ModelConfig("toy", path=str(tmp_path / "none")), tmp_path)

"""The wheel: built from this checkout, installed where nothing else of it is, used from an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from helpers.commands import SMALL, places
from helpers.toys import REPO

from ofa import __version__

pytestmark = pytest.mark.process

SOURCES = ("conf", "ofa", "main.py", "pyproject.toml", "README.md", "LICENSE")


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, capture_output=True, text=True, timeout=120)


def call(installed: Path, folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a ``command`` of the environment in ``folder``, with nothing of this checkout in sight."""
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "OFA_OUTPUT"}}
    words = [str(installed / "bin" / command), *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves its working files beside the sources."""
    copy, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        whole = (REPO / name).is_dir()
        (shutil.copytree if whole else shutil.copyfile)(REPO / name, copy / name)
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", built, copy)
    (path,) = built.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and this one's libraries, inside the repository of another project."""
    repository = tmp_path_factory.mktemp("environment")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "not ours"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True)
    folder = repository / "env"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # As plain folders: the .pth files in them, such as this checkout's editable install, are not followed.
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    pip("--python", folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    return folder


def test_the_wheel_holds_every_module_and_every_setting(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(REPO)) for path in (REPO / "ofa").rglob("*.py")}
    settings = {f"ofa/{path.relative_to(REPO)}" for path in (REPO / "conf").rglob("*.yaml")}
    assert held == {*modules, *settings, "ofa/py.typed"}
    assert wheel.name.startswith(f"ofa-{__version__}-")


def test_an_installed_package_does_the_quickstart(installed: Path, tmp_path: Path) -> None:
    assert call(installed, tmp_path, "ofa", "--version").stdout == f"ofa {__version__}\n"
    done = call(installed, tmp_path, "ofa", *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = tmp_path.glob("outputs/runs/*/results.json")
    assert [entry["width"] for entry in json.loads(path.read_text())["widths"]] == [1.0, 0.75, 0.5]
    assert "\nCompare  ofa ui\n" in done.stdout
    entries = (path.parent / "tracking.jsonl").read_text()
    assert '"git.commit": "unknown"' in entries and '"git.dirty": "unknown"' in entries


def test_an_installed_package_explains_its_settings_and_mistakes(installed: Path, tmp_path: Path) -> None:
    assert "task: afqmc, cmnli, cola, custom, mnli" in call(installed, tmp_path, "ofa", "run", "--help").stdout
    assert "conf" in call(installed, tmp_path, "ofa", "settings", "--help").stdout
    refused = call(installed, tmp_path, "ofa", "task=sst3", *places(tmp_path))
    assert refused.returncode == 1 and refused.stderr.startswith("task: 'sst3' is unknown; allowed: afqmc, cmnli")
    assert call(installed, tmp_path, "python", "-m", "ofa.hardware", "--target", "l4").returncode == 0


@pytest.mark.slow
def test_ranks_take_the_installed_package_too(installed: Path, tmp_path: Path) -> None:
    """Not a folder ``ofa`` of the place they are started in."""
    (tmp_path / "ofa").mkdir()
    (tmp_path / "ofa" / "__init__.py").write_text("raise RuntimeError('another ofa')")
    done = call(installed, tmp_path, "ofa", *SMALL, "hardware.devices=2", "tracking=none", "stages=[finetune]")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]

"""A job where nothing can be written: shown if it has finished, refused in a line if not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.jobs import tiny
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.jobs.job import run_job
from ofa.jobs.preflight import check

pytestmark = pytest.mark.job


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only disk, in the words of `ofa.system.files.unusable`: root passes all permissions."""
    monkeypatch.setattr("ofa.jobs.preflight.unusable", lambda folder: f"nothing can be written to {folder}")


def test_a_finished_job_is_shown_from_a_read_only_disk(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    config = replace(tiny(tmp_path), stages=["finetune"])
    first = run_job(config, "")
    request.getfixturevalue("read_only")
    check(config)
    assert run_job(config, "") == first
    with pytest.raises(UserError, match=r"^output_dir: nothing can be written to .*; allowed: a folder that can be"):
        run_job(replace(config, trainer=replace(config.trainer, seed=7)), "")


@pytest.mark.usefixtures("read_only")
def test_an_unfinished_one_is_refused_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^output_dir: nothing can be written to "):
        check(tiny(tmp_path))


SWALLOWED = """
import os, signal, sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from helpers.jobs import tiny

from ofa.jobs.job import run_job
from ofa.system import process


def load(device):
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGINT)


process.set_device = load
before = signal.getsignal(signal.SIGINT)
try:
    run_job(replace(tiny(Path(sys.argv[1])), stages=["finetune"]), "")
except KeyboardInterrupt as stop:
    print(stop, signal.getsignal(signal.SIGINT) == before)
"""


@pytest.mark.process
def test_a_stop_that_an_import_swallows_is_heard_before_the_first_stage(tmp_path: Path) -> None:
    """As PaddleNLP loads, many of its imports stand in a try block that catches everything."""
    places = os.pathsep.join([str(REPO), str(REPO / "tests")])
    command = [sys.executable, "-c", SWALLOWED, str(tmp_path)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1:] == ["stopped before finetune True"], done.stderr
    assert not list((tmp_path / "out" / "store").glob("finetune-*"))

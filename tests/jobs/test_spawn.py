"""The ranks of a job as processes of this machine: how they start, stop, fail and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.commands import SMALL, places, run
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.jobs import spawn
from ofa.settings.schema import Config, HardwareConfig


def test_a_number_that_contradicts_the_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(UserError, match="hardware.devices: 3, but a launcher started 2 processes; leave it out"):
        spawn.run(Config(hardware=HardwareConfig("cpu", devices=3)), "")


@pytest.mark.process
def test_a_mistake_is_one_line_from_two_ranks_too(tmp_path):
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("sentence\tlabel\nfine\t7\n")
    done = run(tmp_path, "task=sst2", f"task.data_dir={tmp_path}", "hardware.devices=2", "tracking=none")
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) <= 2 and "train.tsv:2" in lines[0], done.stderr


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """The quickstart on two ranks, once training has begun."""
    process = subprocess.Popen(
        [sys.executable, "main.py", *SMALL, *places(folder), "tracking=none", "hardware.devices=2", *arguments],
        cwd=REPO,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "0.1"},
    )
    assert process.stderr is not None
    while "step/s" not in (process.stderr.readline() or "step/s"):
        pass
    return process


def children(process: subprocess.Popen) -> list[int]:
    """Process ids of its ranks, rank 0 first."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return sorted(int(pid) for pid in found.stdout.split())


@pytest.mark.process
def test_a_rank_that_dies_ends_the_job(tmp_path):
    process = start(tmp_path, "stages=[finetune]", "trainer.finetune.max_steps=3000")
    first, second = children(process)
    os.kill(second, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "hardware.devices: rank 1 of 2 was killed by SIGKILL" in said
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    written = (tmp_path / "out" / "main.log").read_text()
    assert written.count("finetune: Finetune the teacher") == 1, "rank 0 logs where a job of one process does"


@pytest.mark.process
@pytest.mark.slow
def test_ranks_end_with_what_started_them(tmp_path):
    process = start(tmp_path, "stages=[finetune]", "trainer.finetune.max_steps=3000")
    running = children(process)
    process.kill()
    process.communicate()
    for _ in range(100):
        alive = [pid for pid in running if Path(f"/proc/{pid}/cmdline").exists()]
        if not alive:
            break
        time.sleep(0.1)
    assert len(running) == 2 and not alive


@pytest.mark.process
@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(tmp_path):
    arguments = ["stages=[evaluate]", "trainer.finetune.max_steps=150"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, "tracking=none", "hardware.devices=2", *arguments).returncode == 0
    process = start(parts, *arguments)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopped. The same command goes on from the last checkpoint." in said
    done = run(parts, "tracking=none", "hardware.devices=2", *arguments)
    assert done.returncode == 0 and "finetune goes on from the checkpoint at step" in done.stdout
    first, second = (next((f / "out" / "runs").glob("*/results.json")).read_text() for f in (whole, parts))
    assert first == second


@pytest.mark.process
@pytest.mark.slow
def test_a_job_that_waits_for_another_one_can_be_stopped(tmp_path):
    """Rank 0 waits for the lock, the other for rank 0."""
    other = start(tmp_path, "stages=[finetune]", "trainer.finetune.max_steps=3000")
    command = [sys.executable, "main.py", *SMALL, *places(tmp_path), "tracking=none", "hardware.devices=2"]
    command += ["stages=[finetune]", "trainer.finetune.max_steps=3000"]
    waiting = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while "another job is building it; waiting" not in (
        waiting.stdout.readline() or "another job is building it; waiting"
    ):
        pass
    waiting.send_signal(signal.SIGINT)
    said, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 130 and "Stopped." in said, said
    other.terminate()
    other.communicate(timeout=60)
    assert other.returncode == 130

"""Two ranks for real, over Gloo: what they do together is what one process does."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import rank_work
from helpers.commands import SMALL, places, run
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.jobs import spawn
from ofa.settings.schema import Config, HardwareConfig
from ofa.system import ranks

# Sums of float32 in another order, relative to the largest number among them.
ROUNDING = 1e-5
TRAINED = 1e-3  # after 8 steps: AdamW divides small gradients by small gradients, and so their rounding too


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process finds, this one."""
    return rank_work.work(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two ranks found, each of them."""
    folder = tmp_path_factory.mktemp("two")
    addresses = spawn.free_addresses(2)
    command = [sys.executable, rank_work.__file__, str(folder)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [
        subprocess.Popen(command, cwd=REPO, env={**os.environ, **spawn.environment(number, addresses)}, **pipes)
        for number in range(2)
    ]
    said = [process.communicate(timeout=200)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], "\n".join(said)
    return [pickle.loads((folder / f"found-{number}").read_bytes()) for number in range(2)]


@pytest.mark.process
def test_two_processes_took_part(two):
    assert [found["gathered"] for found in two] == [[0, 1], [0, 1]]
    assert two[0]["pid"] != two[1]["pid"]


@pytest.mark.process
@pytest.mark.parametrize("number", range(len(rank_work.BATCHES)))
def test_losses_and_gradients_are_those_of_one_process(one, two, number):
    """Uneven parts, parts padded differently, and a part without a row."""
    expected = one["gradients"][number]
    largest = max(np.abs(value).max() for value in expected.values())
    for name, value in expected.items():
        for found in two:
            np.testing.assert_allclose(found["gradients"][number][name], value, rtol=0, atol=ROUNDING * largest)
            np.testing.assert_array_equal(found["gradients"][number][name], two[0]["gradients"][number][name])


@pytest.mark.process
def test_importance_is_the_same_to_the_bit(one, two):
    for found in two:
        for expected, scores in zip(one["importance"], found["importance"], strict=True):
            assert scores.dtype == np.float64
            np.testing.assert_array_equal(scores, expected)


@pytest.mark.process
def test_logits_come_back_in_the_order_of_the_rows(one, two):
    """With more batches than ranks, and with fewer."""
    for found in two:
        for expected, logits in zip(one["logits"], found["logits"], strict=True):
            np.testing.assert_allclose(logits, expected, atol=ROUNDING)


@pytest.mark.process
def test_training_ends_where_one_process_ends(one, two):
    for found in two:
        for name, value in one["whole"]["weights"].items():
            np.testing.assert_allclose(found["whole"]["weights"][name], value, atol=TRAINED, err_msg=name)
        for ours, theirs in zip(found["whole"]["history"], one["whole"]["history"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.process
def test_one_rank_asked_to_stop_stops_both_and_they_go_on_to_the_same_bits(two):
    for found in two:
        assert found["stopped"]["stopped"] == "distill stopped after step 5 of 8"
        assert found["whole"]["stopped"] == found["resumed"]["stopped"] == ""
        for key in ("history", "best"):
            assert found["resumed"][key] == two[0]["whole"][key]
        for name, value in two[0]["whole"]["weights"].items():
            np.testing.assert_array_equal(found["resumed"]["weights"][name], value)
            assert not np.array_equal(found["stopped"]["weights"][name], value) or "k_proj.bias" in name


def test_alone_everything_is_returned_as_it_is():
    assert (ranks.rank(), ranks.size(), ranks.leads()) == (0, 1, True)
    assert ranks.gather({"a": 1}) == [{"a": 1}] and ranks.of_leader("x") == "x"
    assert ranks.mine([1, 2, 3]) == [1, 2, 3] and ranks.dealt_back([1, None, 3]) == [1, None, 3]
    assert ranks.sum_gradients([], [1.5, 2.5]) == [1.5, 2.5]


def test_ranks_deal_out_in_turns(monkeypatch):
    hands = []
    for number in range(3):
        monkeypatch.setenv("PADDLE_TRAINER_ID", str(number))
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "3")
        hands.append(ranks.mine(list("abcdefgh")))
    monkeypatch.setattr(ranks, "gather", lambda _: hands)
    assert ranks.dealt_back(hands[0]) == list("abcdefgh")


def test_a_number_that_contradicts_the_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(UserError, match="hardware.devices: 3, but a launcher started 2 processes; leave it out"):
        spawn.run(Config(hardware=HardwareConfig("cpu", devices=3)), "")


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
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
def test_paddles_launcher_runs_every_stage(tmp_path):
    """As a user would start it on each of several machines; the files are those of one job."""
    launch = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", str(tmp_path)]
    command = [*launch, "main.py", *SMALL, *places(tmp_path), "tracking=none"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(list((tmp_path / "out" / "runs").glob("*/results.json"))) == 1
    assert not list((tmp_path / "out" / "store").glob("*.part"))
    again = subprocess.run([*command, "hardware.devices=2"], cwd=REPO, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and again.stdout.count("taken from the store") == 6


@pytest.mark.process
@pytest.mark.slow
def test_a_job_that_waits_for_another_one_can_be_stopped(tmp_path):
    """Rank 0 waits for the lock, the other for rank 0."""
    other = start(tmp_path, "stages=[finetune]", "trainer.finetune.max_steps=3000")
    command = [sys.executable, "main.py", *SMALL, *places(tmp_path), "tracking=none", "hardware.devices=2"]
    command += ["stages=[finetune]", "trainer.finetune.max_steps=3000"]
    waiting = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while "another job is making it; waiting" not in (waiting.stdout.readline() or "another job is making it; waiting"):
        pass
    waiting.send_signal(signal.SIGINT)
    said, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 130 and "Stopped." in said, said
    other.terminate()
    other.communicate(timeout=60)
    assert other.returncode == 130

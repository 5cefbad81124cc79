"""Two ranks for real, over Gloo: what they do together is what one process does."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from helpers import rank_work
from helpers.commands import SMALL, places
from helpers.toys import REPO

from ofa.jobs import spawn
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
    assert (ranks.rank(), ranks.size(), ranks.is_main()) == (0, 1, True)
    assert ranks.gather({"a": 1}) == [{"a": 1}] and ranks.broadcast("x") == "x"
    assert ranks.shard([1, 2, 3]) == [1, 2, 3] and ranks.unshard([1, None, 3]) == [1, None, 3]
    assert ranks.sum_gradients([], [1.5, 2.5]) == [1.5, 2.5]


def test_ranks_deal_out_in_turns(monkeypatch):
    hands = []
    for number in range(3):
        monkeypatch.setenv("PADDLE_TRAINER_ID", str(number))
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "3")
        hands.append(ranks.shard(list("abcdefgh")))
    monkeypatch.setattr(ranks, "gather", lambda _: hands)
    assert ranks.unshard(hands[0]) == list("abcdefgh")


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
    assert again.returncode == 0 and "Already finished with the same settings and data" in again.stdout

"""A job's report reaches MLflow whole and once, whatever becomes of the job or its disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.reporting import MlflowClient, assert_whole, begin, conclude, history, kill, runs_of, sqlite, train
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.tracking import __main__
from ofa.tracking.__main__ import main
from ofa.tracking.logged import say_anew
from ofa.tracking.tracker import page

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("impatient")]


def test_a_job_is_a_run_and_each_width_a_child(out):
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.tags({"mlflow.note.content": "see [all](#/experiments/{experiment}/runs)"})
    tracker.experiment({"mlflow.note.content": "what this study asks"})
    where = tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    job = runs_of(sqlite(out))["job"]
    assert where.command == f"ofa ui --output-dir {out}"
    assert where.address.startswith(f"http://127.0.0.1:5000/#/experiments/1/runs/{job.info.run_id}")
    assert job.data.tags["mlflow.note.content"] == "see [all](#/experiments/1/runs)"
    assert MlflowClient(sqlite(out)).get_experiment("1").tags["mlflow.note.content"] == "what this study asks"
    assert job.info.artifact_uri.startswith((out / "artifacts").as_uri())


def test_a_finished_job_run_again_changes_nothing(out):
    for _ in range(2):
        tracker = begin(out)
        train(tracker, range(5))
        conclude(tracker, out)
        tracker.finish("FINISHED")
        ended = {name: run.info.end_time for name, run in runs_of(sqlite(out)).items()}
        if _ == 0:
            first = ended
    assert_whole(sqlite(out))
    assert ended == first and len(ended) == 3


def test_new_figures_of_a_finished_job_are_added(out):
    tracker = begin(out)
    conclude(tracker, out)
    tracker.finish("FINISHED")
    tracker = begin(out)
    tracker.metrics({"latency_ms/cpu_fp32_b16_s128_measured": 7.5}, 0, "w1")  # measured anew
    tracker.finish("FINISHED")
    runs = runs_of(sqlite(out))
    assert runs["w1 job"].data.metrics["latency_ms/cpu_fp32_b16_s128_measured"] == 7.5
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_figures_that_are_no_more_are_no_number(out):
    """As after other threads have timed other engines."""
    tracker = begin(out)
    tracker.metrics({"latency_ms/a": 1.0, "latency_ms/b": 2.0, "eval/score": 0.9}, 0, "w1")
    tracker.finish("FINISHED")
    tracker = begin(out)
    say_anew(tracker, {"latency_ms/a": 3.0}, ("latency_ms/",), "w1")
    tracker.finish("FINISHED")
    found = runs_of(sqlite(out))["w1 job"].data.metrics
    assert (
        found["latency_ms/a"] == 3.0 and found["latency_ms/b"] != found["latency_ms/b"] and found["eval/score"] == 0.9
    )


def test_a_killed_job_takes_up_its_run(out):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    tracker = begin(out)
    train(tracker, range(2, 5))  # from the last checkpoint: step 2 is made again
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))


JOB = """
import os, signal, sys
sys.path[:0] = [{repo!r}, {repo!r} + "/tests"]
from pathlib import Path
from helpers.reporting import begin, train
tracker = begin(Path({out!r}), "killed")
train(tracker, range(3))
tracker.sender.send(now=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.process
def test_the_next_job_closes_the_runs_of_a_dead_one(out):
    code = JOB.format(repo=str(REPO), out=str(out))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {run.info.status for run in runs_of(sqlite(out)).values()} == {"RUNNING"}
    alive = begin(out, "alive")
    alive.sender.send(now=True)
    begin(out, "other").finish("FAILED")
    status = {name: run.info.status for name, run in runs_of(sqlite(out)).items()}
    assert {status[name] for name in status if name.endswith("killed")} == {"KILLED"}
    assert {status[name] for name in status if name.endswith("alive")} == {"RUNNING"}
    assert {status[name] for name in status if name.endswith("other")} == {"FAILED"}
    alive.finish("FINISHED")


@pytest.mark.parametrize("forget_runs", [False, True])
def test_a_crash_between_sending_and_noting_doubles_nothing(out, forget_runs):
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    mark = out / "runs" / "job" / "tracking.json"
    state = json.loads(mark.read_text())
    mark.write_text(json.dumps({**state, "sent": 1, "runs": {} if forget_runs else state["runs"]}))
    assert main([str(out / "runs" / "job")]) == 0
    assert_whole(sqlite(out))


def test_a_line_cut_off_by_a_kill_is_dropped(out):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    with tracker.journal.path.open("a") as file:
        file.write('{"op": "metrics", "run": "job", "val')
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))


def test_the_same_job_twice_at_once_reports_once(out, caplog):
    first = begin(out)
    second = begin(out)
    train(second, range(5))
    assert second.finish("FINISHED") is None
    assert "running already" in caplog.text
    with pytest.raises(UserError, match="its job is running"):
        __main__.resend(out / "runs" / "job")
    train(first, range(5))
    conclude(first, out)
    first.finish("FINISHED")
    assert_whole(sqlite(out))


def test_a_full_disk_does_not_end_the_job_here(out, monkeypatch, caplog):
    tracker = begin(out)
    real: Callable = Path.open

    def full(path: Path, mode: str = "r", *rest, **more):
        if path.name == "tracking.jsonl" and mode == "a":
            raise OSError(28, "No space left on device")
        return real(path, mode, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        train(tracker, range(4))
    train(tracker, range(4, 5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    assert caplog.text.count("No space left") == 1
    assert len(tracker.journal.path.read_text().splitlines()) == len(tracker.journal.entries)


def test_system_metrics_go_to_the_jobs_run(out):
    for wanted, leave in ((2, kill), (4, lambda tracker: tracker.finish("FINISHED"))):
        tracker = begin(out, system_metrics=True)
        end = time.monotonic() + 30
        while len(set(tracker.journal.points("system/"))) < wanted and time.monotonic() < end:
            time.sleep(0.05)
        leave(tracker)
    job = runs_of(sqlite(out))["job"]
    points = history(sqlite(out), job, "system/cpu_utilization_percentage")
    assert [step for step, _ in points] == list(range(len(points))) and len(points) >= 4
    assert job.data.metrics["system/system_memory_usage_megabytes"] > 100


def test_no_tracking_keeps_nothing(tmp_path):
    tracker = begin(tmp_path, backend="none")
    train(tracker, range(3))
    assert tracker.finish("FINISHED") is None
    assert not list(tmp_path.iterdir())


def test_resending_a_killed_jobs_journal_closes_its_runs(out):
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    kill(tracker)
    assert main([str(out / "runs" / "job")]) == 0
    assert_whole(sqlite(out), status="KILLED")


def test_sending_needs_a_journal(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert main([str(tmp_path)]) == 1
    assert "no tracking.jsonl here" in capsys.readouterr().err


def test_a_finished_job_tells_where_its_runs_are_shown_without_asking(out: Path) -> None:
    begin(out).finish("FINISHED")
    found = page(out / "runs" / "job")
    assert found is not None and found.command is not None and found.command.startswith("ofa ui")
    assert found.address == "http://127.0.0.1:5000/#/experiments?workflowType=machine_learning"
    assert page(out / "runs" / "none") is None

"""A job's report reaches MLflow whole and once: whatever becomes of the job, the server or the disk."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPO
from servers import Server, free_port, fresh_database

from ofa import sender as sending
from ofa import tracking
from ofa.address import without_secrets
from ofa.config import TrackingConfig
from ofa.errors import UserError
from ofa.runpage import without_password
from ofa.sender import ENVIRONMENT, Sender
from ofa.tracking import Tracker, main

os.environ.update(ENVIRONMENT)
from mlflow import MlflowClient  # noqa: E402

WIDTHS = (1.0, 0.5)


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    """An MLflow database with its tables and nothing in them."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def out(tmp_path, empty) -> Path:
    """An output folder whose store is there already."""
    fresh_database(empty, tmp_path / "out" / "mlflow.db")
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No patience: what a job waits seconds for, a test does not."""
    monkeypatch.setattr(tracking, "TICK_S", 0.05)
    monkeypatch.setattr(tracking, "METER_S", 0.2)
    monkeypatch.setattr(sending, "RETRY_S", 0.05)
    monkeypatch.setattr(sending, "RETRY_MOST_S", 0.1)


def settings(uri: str | None = None, **more) -> TrackingConfig:
    return TrackingConfig(uri=uri, **{"system_metrics": False, **more})


def begin(out: Path, name: str = "job", **more) -> Tracker:
    """A short fake job's tracker, with its runs open."""
    tracker = Tracker(settings(**more), out, out / "runs" / name)
    tracker.start(name, {"kind": "job"}, {"task.name": "toy", "trainer.seed": 42})
    for width in WIDTHS:
        tracker.width(width, f"w{width:.4g} {name}", {"kind": "width"}, {"width": width, "heads": int(4 * width)})
    return tracker


def train(tracker: Tracker, steps: range) -> None:
    for step in steps:
        tracker.metrics({"distill/loss": 1 / (step + 1)}, step)
        for width in WIDTHS:
            tracker.metrics({"dev/accuracy": width * step / 10}, step, width)


def conclude(tracker: Tracker, out: Path) -> None:
    for width in WIDTHS:
        tracker.metrics({"eval/score": width, "latency_ms/cpu_fp32_b16_s128_measured": 9 * width}, 0, width)
    report = out / "report.md"
    report.write_text("# it went well\n")
    tracker.artifacts([report])


def runs_of(uri: str, experiment: str = "ofa") -> dict:
    """Runs by name; no name twice."""
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def history(uri: str, run, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def assert_whole(uri: str, name: str = "job", steps: int = 5, status: str = "FINISHED") -> None:
    """All that ``train`` and ``conclude`` report is there, once."""
    runs = runs_of(uri)
    job = runs[name]
    assert job.data.params == {"task.name": "toy", "trainer.seed": "42"}
    assert history(uri, job, "distill/loss") == [(step, 1 / (step + 1)) for step in range(steps)]
    artifacts = MlflowClient(uri).list_artifacts(job.info.run_id)
    assert [item.path for item in artifacts] == ["report.md"]
    for width in WIDTHS:
        child = runs[f"w{width:.4g} {name}"]
        assert child.data.tags["mlflow.parentRunId"] == job.info.run_id
        assert float(child.data.params["width"]) == width
        assert child.data.metrics["eval/score"] == width
        assert child.data.metrics["latency_ms/cpu_fp32_b16_s128_measured"] == 9 * width
        assert history(uri, child, "dev/accuracy") == [(step, width * step / 10) for step in range(steps)]
    assert {run.info.status for run in runs.values() if run.info.run_name.endswith(name)} == {status}


def sqlite(out: Path) -> str:
    return f"sqlite:///{out / 'mlflow.db'}"


def kill(tracker: Tracker) -> None:
    """What is left of a job's tracker after SIGKILL: its files, and a lock that the system frees."""
    tracker.sender.send(now=True)
    tracker._stop.set()
    tracker._thread.join()
    tracker.journal.close()


def test_a_job_is_a_run_and_each_width_a_child(out):
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.tags({"mlflow.note.content": "see [all](#/experiments/{experiment}/runs)"})
    tracker.experiment({"mlflow.note.content": "what this study asks"})
    where = tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    job = runs_of(sqlite(out))["job"]
    assert where.startswith(f"make ui OUTPUT={out}, then http://127.0.0.1:5000/#/experiments/1/runs/{job.info.run_id}")
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
    tracker.metrics({"latency_ms/cpu_fp32_b16_s128_measured": 7.5}, 0, 1.0)  # measured anew
    tracker.finish("FINISHED")
    runs = runs_of(sqlite(out))
    assert runs["w1 job"].data.metrics["latency_ms/cpu_fp32_b16_s128_measured"] == 7.5
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


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
from test_tracking import begin, train
tracker = begin(Path({out!r}), "killed")
train(tracker, range(3))
tracker.sender.send(now=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


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


def test_a_store_that_lost_the_runs_gets_them_afresh(out, empty, caplog):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    fresh_database(empty, out / "mlflow.db")
    tracker = begin(out)
    train(tracker, range(3, 5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    assert caplog.text.count("sent afresh") == 1


def test_a_run_deleted_by_hand_is_made_again(out):
    tracker = begin(out)
    train(tracker, range(5))
    tracker.sender.send(now=True)
    MlflowClient(sqlite(out)).delete_run(tracker.journal.runs["job"])
    conclude(tracker, out)
    tracker.finish("FINISHED")
    job = runs_of(sqlite(out))["job"]
    assert job.info.status == "FINISHED"
    assert len(history(sqlite(out), job, "distill/loss")) == 5


def test_a_deleted_experiment_is_refused_in_words(out):
    begin(out).finish("FINISHED")
    MlflowClient(sqlite(out)).delete_experiment("1")
    with pytest.raises(UserError, match=r"tracking\.experiment: 'ofa' was deleted in MLflow; restore it"):
        begin(out, "second")


def test_a_server_that_goes_away_and_comes_back_has_everything_once(tmp_path, caplog):
    """The first start of the server makes its database; it is killed in the middle and started again."""
    out = tmp_path / "out"
    with Server.tracking(tmp_path / "server") as server:
        tracker = begin(out, uri=server.url)
        train(tracker, range(2))
        tracker.sender.send(now=True)
        server.kill()
        started = time.monotonic()
        train(tracker, range(2, 4))
        time.sleep(0.3)  # the thread notices
        assert time.monotonic() - started < 3
        server.start()
        train(tracker, range(4, 5))
        conclude(tracker, out)
        page = tracker.finish("FINISHED")
        assert_whole(server.url)
        assert page.startswith(f"{server.url}/#/experiments/1/runs/")
        assert caplog.text.count("Tracking is not possible now") == 1
        assert "does not answer" in caplog.text

        # A second job ends while the server is away; a command sends what it kept.
        tracker = begin(out, "late", uri=server.url)
        server.kill()
        train(tracker, range(5))
        conclude(tracker, out)
        tracker.finish("FINISHED")
        assert f"python -m ofa.tracking {out / 'runs' / 'late'}" in caplog.text
        third = begin(out, "third", uri=server.url)  # starts although the server is away: it was there before
        third.finish("FINISHED")
        server.start()
        assert main([str(out / "runs" / name) for name in ("late", "third")]) == 0
        assert_whole(server.url, "late")
        assert "third" in runs_of(server.url)


def test_an_unknown_server_that_does_not_answer_is_refused(tmp_path):
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(UserError) as refused:
        begin(tmp_path, uri=uri)
    assert time.monotonic() - started < 5
    first, second = str(refused.value).splitlines()
    assert first == f"tracking.uri: {without_secrets(uri)} does not answer" and "secret" not in first
    assert "tracking=none" in second and "tracking.must_answer=false" in second


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite:////proc/nothing/here.db", "cannot be opened"),
        ("sqlite:///{file}", "cannot be opened .*not a database"),
        ("postgresql://user:secret@127.0.0.1:{port}/mlflow", "cannot be opened .*refused"),
    ],
)
def test_an_unusable_database_is_refused_at_once(tmp_path, uri, words):
    file = tmp_path / "file.db"
    file.write_text("no database " * 100)
    started = time.monotonic()
    with pytest.raises(UserError, match=rf"tracking\.uri: .*{words}") as refused:
        begin(tmp_path / "out", uri=uri.format(file=file, port=free_port()))
    assert time.monotonic() - started < 5  # MLflow alone would try for the better part of an hour
    assert "secret" not in str(refused.value)


def test_a_server_that_hangs_costs_a_job_seconds(tmp_path, monkeypatch, caplog):
    """It takes connections and never answers."""
    monkeypatch.setattr("ofa.address.REACH_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        uri = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        started = time.monotonic()
        tracker = begin(tmp_path, uri=uri, must_answer=False)
        train(tracker, range(100))
        conclude(tracker, tmp_path)
        tracker.finish("FINISHED")
        assert time.monotonic() - started < 12
    assert "does not answer within" in caplog.text
    assert "entries could not be sent" in caplog.text


def test_no_secret_is_written_or_said(tmp_path, caplog, capsys, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "env-secret")
    uri = f"http://user:url-secret@127.0.0.1:{free_port()}?token=query-secret"
    tracker = begin(tmp_path, uri=uri, must_answer=False)
    said = tracker.finish("FAILED")
    folder = tmp_path / "runs" / "job"
    (folder / "config.yaml").write_text(without_password(f"tracking:\n  uri: {uri}\n  experiment: ofa\n"))
    assert main([str(folder)]) == 1
    assert "give it whole as MLFLOW_TRACKING_URI" in capsys.readouterr().err
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert without_secrets(uri) in kept
    assert "-secret" not in kept + caplog.text + str(said)


def test_values_mlflow_is_particular_about(out):
    tracker = begin(out)
    tracker.metrics({"loss": math.nan, "norm": math.inf, "my split (x)/f1": 0.5, "none": None}, 1)
    tracker.metrics({f"many/{i}": i for i in range(2500)}, 1)
    tracker._add({"op": "params", "run": "job", "values": {"long": "x" * 7000, **{f"p{i}": i for i in range(250)}}})
    tracker.tags({"mlflow.note.content": "y" * 9000})
    tracker.finish("FINISHED")
    job = runs_of(sqlite(out))["job"]
    assert math.isnan(job.data.metrics["loss"]) and job.data.metrics["norm"] > 1e308
    assert job.data.metrics["my split _x_/f1"] == 0.5
    assert sum(key.startswith("many/") for key in job.data.metrics) == 2500
    assert len(job.data.params) == 2 + 251 and job.data.params["long"].endswith("x...")
    assert len(job.data.tags["mlflow.note.content"]) == 8000


def test_what_the_server_refuses_does_not_hold_up_the_rest(out, caplog):
    tracker = begin(out)
    tracker._add({"op": "tags", "run": "job", "values": {"bad\nname\x00" * 100: "v"}})
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    assert "the server refused tags" in caplog.text


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
        tracking.resend(out / "runs" / "job")
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


def test_another_place_in_the_settings_gets_everything(out, tmp_path, empty):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    other = fresh_database(empty, tmp_path / "other" / "other.db")
    tracker = begin(out, uri=f"sqlite:///{other}")
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(f"sqlite:///{other}")


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
    assert main([]) == 2
    assert main([str(tmp_path)]) == 1
    assert "no tracking.jsonl here" in capsys.readouterr().err


def test_the_store_is_sound(out):
    """Two senders at once: neither waits for ever, and SQLite keeps both."""
    jobs = [begin(out, name) for name in ("a", "b")]
    for step in range(10):
        for job in jobs:
            train(job, range(step, step + 1))
    for job in jobs:
        conclude(job, out)
        job.finish("FINISHED")
    for name in ("a", "b"):
        assert_whole(sqlite(out), name, steps=10)
    assert sqlite3.connect(out / "mlflow.db").execute("pragma integrity_check").fetchone() == ("ok",)
    assert isinstance(jobs[0].sender, Sender)

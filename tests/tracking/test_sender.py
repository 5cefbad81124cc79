"""A job's report reaches MLflow whole and once, whatever becomes of the server or the store."""

from __future__ import annotations

import logging
import math
import re
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from helpers.reporting import MlflowClient, assert_whole, begin, conclude, history, kill, runs_of, sqlite, train
from helpers.servers import Server, free_port, fresh_database
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.settings.compose import without_secrets_in
from ofa.system.redact import without_secrets
from ofa.tracking.__main__ import main
from ofa.tracking.sender import Sender

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("impatient")]

PATIENCE_S = 30  # on a busy machine; what waits for a server that does not answer would wait for many minutes


def test_a_store_that_lost_the_runs_gets_them_afresh(out, empty_store, caplog):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    fresh_database(empty_store, out / "mlflow.db")
    tracker = begin(out)
    train(tracker, range(3, 5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))
    assert caplog.text.count("sending them again") == 1


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


def test_a_database_of_another_mlflow_comes_with_the_command_that_upgrades_it(tmp_path, empty_store):
    out = tmp_path / "aged"
    with sqlite3.connect(fresh_database(empty_store, out / "mlflow.db")) as database:
        database.execute("update alembic_version set version_num = 'bd07f7e963c5'")
    with pytest.raises(UserError) as refused:
        begin(out)
    first, second = str(refused.value).splitlines()
    assert re.fullmatch(r"tracking\.uri: Detected out-of-date .*bd07f7e963c5, but expected \w+\): sqlite.*db", first)
    assert second.endswith(f"mlflow db upgrade {sqlite(out)}") and "start the server" not in second


WARNED = """
import sys
sys.path[:0] = [{repo!r}, {repo!r} + "/tests"]
from pathlib import Path
from ofa.settings.schema import TrackingConfig
from ofa.tracking.tracker import Tracker
tracker = Tracker(TrackingConfig(system_metrics=False), Path({out!r}), Path({out!r}) / "runs" / "job")
tracker.start("job", {{}}, {{}})
tracker.finish("FINISHED")
print(tracker.unsent)
"""


@pytest.mark.process
def test_a_deprecation_inside_mlflow_does_not_end_tracking(out):
    code = WARNED.format(repo=str(REPO), out=str(out))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.process
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
        assert time.monotonic() - started < PATIENCE_S
        server.start()
        train(tracker, range(4, 5))
        conclude(tracker, out)
        page = tracker.finish("FINISHED")
        assert_whole(server.url)
        assert page.address.startswith(f"{server.url}/#/experiments/1/runs/")
        assert caplog.text.count("The tracking server is not available") == 1
        assert "does not answer" in caplog.text

        # A second job ends while the server is away; a command sends what it kept.
        tracker = begin(out, "late", uri=server.url)
        server.kill()
        train(tracker, range(5))
        conclude(tracker, out)
        tracker.finish("FINISHED")
        assert f"ofa resend {out / 'runs' / 'late'}" in caplog.text
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
    assert time.monotonic() - started < PATIENCE_S
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
    assert time.monotonic() - started < PATIENCE_S  # MLflow alone would try for the better part of an hour
    assert "secret" not in str(refused.value)


def test_a_server_that_hangs_costs_a_job_seconds(tmp_path, monkeypatch, caplog):
    """It takes connections and never answers."""
    monkeypatch.setattr("ofa.tracking.address.REACH_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        uri = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        started = time.monotonic()
        tracker = begin(tmp_path, uri=uri, must_answer=False)
        train(tracker, range(100))
        conclude(tracker, tmp_path)
        tracker.finish("FINISHED")
        assert time.monotonic() - started < PATIENCE_S
    assert "does not answer within" in caplog.text
    assert "entries could not be sent" in caplog.text


def test_no_secret_is_written_or_said(tmp_path, caplog, capsys, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "env-secret")
    uri = f"http://user:url-secret@127.0.0.1:{free_port()}?token=query-secret"
    tracker = begin(tmp_path, uri=uri, must_answer=False)
    said = tracker.finish("FAILED")
    folder = tmp_path / "runs" / "job"
    (folder / "config.yaml").write_text(without_secrets_in(f"tracking:\n  uri: {uri}\n  experiment: ofa\n"))
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


def test_another_place_in_the_settings_gets_everything(out, tmp_path, empty_store):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    other = fresh_database(empty_store, tmp_path / "other" / "other.db")
    tracker = begin(out, uri=f"sqlite:///{other}")
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(f"sqlite:///{other}")


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


def test_of_metrics_that_are_sent_together_only_those_at_fault_are_lost(out, caplog):
    tracker = begin(out)
    for number, name in enumerate(("good", "b" * 300, "fine", "b//d", "also")):
        tracker._add({"op": "metrics", "run": "job", "values": {name: 1.0}, "step": number, "ms": 0})
    tracker.finish("FINISHED")
    assert {"good", "fine", "also"} <= set(runs_of(sqlite(out))["job"].data.metrics)
    assert caplog.text.count("the server refused metrics") == 2


def test_names_of_metrics_are_such_as_mlflow_takes(out):
    tracker = begin(out)
    long = ["trainer.x=" + "1" * 300 + end for end in ("/sst2/w1", "/sst2/w0.5")]
    tracker.metrics({"model.path=/m/b//sst2/w1": 0.5, "./../a": 0.25, **dict.fromkeys(long, 1.0)}, 0)
    tracker.finish("FINISHED")
    found = runs_of(sqlite(out))["job"].data.metrics
    assert found["model.path_/m/b/sst2/w1"] == 0.5 and found["a"] == 0.25
    assert sum(name.endswith(("/sst2/w1", "/sst2/w0.5")) and len(name) <= 250 for name in found) == 3

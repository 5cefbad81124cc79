"""Sweeps without training: names, records, the closing table, published figures, what a search is told."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest
from helpers import reporting
from helpers.results import results, timed

from ofa.errors import UserError
from ofa.jobs.sweep import Sweep, SweepJob, _left, full_name, records
from ofa.results.advice import objective
from ofa.results.record import Results
from ofa.settings.schema import ObjectiveConfig, TrackingConfig

pytestmark = pytest.mark.job


def job(folder: Path, number: int = 0, searched: bool = False) -> SweepJob:
    own = folder / str(number)
    own.mkdir(parents=True, exist_ok=True)
    return SweepJob(own, number, f"toy-s{number}", [f"trainer.seed={number}"], own / "main.log", searched)


def broken() -> tuple[str, float]:
    raise UserError("task.data_dir: nothing there")


def test_a_failure_is_recorded_with_its_traceback_and_the_next_job_runs(tmp_path: Path) -> None:
    assert isnan(job(tmp_path).attempt(broken, stop_on_failure=False, debug=False))
    assert job(tmp_path, 1).attempt(lambda: ("run", 0.5), stop_on_failure=False, debug=False) == 0.5
    failed, finished = records(tmp_path)
    assert (failed["status"], failed["error"]) == ("failed", "task.data_dir: nothing there")
    assert "Traceback" in Path(failed["log"]).read_text()
    assert (finished["status"], finished["run"], finished["value"]) == ("finished", "run", 0.5)


def test_on_demand_the_rest_is_left_out(tmp_path: Path) -> None:
    job(tmp_path).attempt(broken, stop_on_failure=True, debug=False)
    began: list[int] = []
    job(tmp_path, 1).attempt(lambda: (str(began.append(1)), 0.5), stop_on_failure=True, debug=False)
    assert began == [] and records(tmp_path)[1]["status"] == "left out"


def test_a_search_hears_of_a_failure_and_a_stop_ends_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing there"):
        job(tmp_path, searched=True).attempt(broken, stop_on_failure=False, debug=False)

    def stopped() -> tuple[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(tmp_path, 1).attempt(stopped, stop_on_failure=False, debug=False)
    assert [record["status"] for record in records(tmp_path)] == ["failed", "stopped"]


def test_the_end_reads_the_records_and_names_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "sweeps" / "mine"
    sweep = Sweep(folder, tmp_path, TrackingConfig("none"), 5)
    job(folder, 7).attempt(broken, stop_on_failure=False, debug=False)  # of an earlier start
    sweep.begin()
    for number in (1, 2):
        run = tmp_path / "runs" / f"r{number}"
        run.mkdir(parents=True)
        alarms = ["the teacher has learned nothing"]
        (run / "results.json").write_text(
            json.dumps(results("sst2", number, {1.0: 0.8, 0.5: 0.7}, alarms=alarms).to_json())
        )
        job(folder, number).attempt(lambda name=run.name: (name, 0.7), stop_on_failure=False, debug=False)
    job(folder, 3).attempt(broken, stop_on_failure=False, debug=False)
    assert sweep.close() == 3
    report, said = (folder / "report.md").read_text(), capsys.readouterr()
    line = f"Job 3 (toy-s3) failed: task.data_dir: nothing there (log: {folder}/3/main.log)"
    at_once, *end = said.err.splitlines()
    not_begun = "Not begun, or not ended: jobs 0, 4"
    assert at_once.startswith(f"[3/5] {line}, about ")
    assert end == ["", "3 jobs without a result:", line, not_begun] and f"- {not_begun}" in report
    assert re.search(r"\[1/5\] Job 1 \(toy-s1\) finished in \d+ s, about \d+ (s|min) left", said.out)
    assert "| sst2 | accuracy |     2 |" in report
    assert "sst2  accuracy      2  0.9300 ± 0.0000" in said.out, "the table fits"
    assert max(map(len, said.out.split("sst2: ")[0].splitlines())) <= 80
    words = "No width is within 0.5 points of the teacher (0.9300); the best is width 1 at 0.8000."
    assert f"sst2: {words}" in said.out and f"- **sst2**: {words}" in report
    assert line in report and "toy-s7" not in report
    assert "sst2, seeds 1, 2: the teacher has learned nothing" in report, "one remark, not two"
    assert "<title>Sweep mine</title>" in (folder / "report.html").read_text()
    assert [entry["status"] for entry in json.loads((folder / "results.json").read_text())["jobs"]].count("failed") == 1
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"


def test_a_row_is_named_by_what_sets_its_jobs_apart_from_those_that_failed(tmp_path: Path) -> None:
    """It was called by its task alone while the others had no result, and otherwise once they had."""
    sweep = Sweep(tmp_path / "sweeps" / "mine", tmp_path, TrackingConfig("none"), 2, ["task=sst2"])
    sweep.begin()
    finished(sweep, 0, "task=sst2", "ofa.tolerance=1")
    assert sweep.close() == 1
    assert "**sst2 ofa.tolerance=1**" in (sweep.folder / "report.md").read_text()


def test_a_search_names_its_best_trial(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    sweep = Sweep(tmp_path / "sweeps" / "mine", tmp_path, TrackingConfig("none"), None, ["task=sst2"])
    sweep.begin()
    for number, value in enumerate((float("nan"), 0.7, 0.9, 0.8)):
        finished(sweep, number, "task=sst2", f"ofa.tolerance={number}", value=value)
    assert sweep.close() == 0
    line = "Best of 4 trials: 0.9000, job 2 (toy-s2)"
    assert f"\n\n{line}\n" in capsys.readouterr().out
    assert f"Worth knowing:\n\n- {line}\n" in (sweep.folder / "report.md").read_text()


def finished(sweep: Sweep, number: int, *overrides: str, value: float = 0.7) -> None:
    """A job of ``sweep`` that has left its run and its record."""
    run = sweep.output_dir / "runs" / f"r{number}"
    run.mkdir(parents=True)
    (run / "results.json").write_text(json.dumps(results("sst2", number, {1.0: 0.8, 0.5: 0.7}).to_json()))
    done = replace(job(sweep.folder, number), overrides=list(overrides))
    done.attempt(lambda: (run.name, value), stop_on_failure=False, debug=False)


@pytest.mark.usefixtures("impatient")
def test_mlflow_shows_a_sweep_while_it_runs(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ofa.jobs.sweep.TICK_S", 0.05)
    sweep = Sweep(out / "sweeps" / "mine", out, reporting.settings())
    sweep.begin()
    reporting.begin(out, "r1").finish("FINISHED")
    (out / "runs" / "r1" / "results.json").write_text(json.dumps(results("sst2", 1, {1.0: 0.8, 0.5: 0.7}).to_json()))
    job(sweep.folder, 1).attempt(lambda: ("r1", 0.7), stop_on_failure=False, debug=False)
    end = time.monotonic() + 30
    while "mlflow.parentRunId" not in (runs := reporting.runs_of(reporting.sqlite(out)))["r1"].data.tags:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert runs["r1"].data.tags["mlflow.parentRunId"] == runs["mine"].info.run_id
    assert runs["mine"].info.status == "RUNNING"

    def stopped() -> tuple[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job(sweep.folder, 2).attempt(stopped, stop_on_failure=False, debug=False)
    assert sweep.close() == 1
    closed = reporting.runs_of(reporting.sqlite(out))["mine"]
    assert closed.info.status == "KILLED"
    note = closed.data.tags["mlflow.note.content"]
    assert note.startswith("**sst2**: No width is within"), "what to take comes first"
    assert f"- [toy-s1](#/experiments/1/runs/{runs['r1'].info.run_id}?workflowType=machine_learning)" in note
    assert (closed.data.metrics["jobs/finished"], closed.data.metrics["jobs/without_result"]) == (1, 1)


def test_a_job_is_named_by_what_sets_it_apart(tmp_path: Path) -> None:
    shared = ["experiment=quickstart", "task=sst2"]
    Sweep(tmp_path, tmp_path, TrackingConfig("none"), 4, shared).begin()
    rates = ["trainer.finetune.learning_rate=1e-3", "trainer.seed=2"]
    assert full_name("sst2-toy-s2", [*shared, *rates], tmp_path) == f"sst2-toy-s2 {rates[0]}"
    assert full_name("sst2-toy-s2", [*shared, rates[1]], tmp_path) == "sst2-toy-s2"
    assert full_name("sst2-toy-s2", rates, tmp_path / "by hand") == "sst2-toy-s2"


def test_the_value_of_a_job() -> None:
    found = timed(results("sst2", 1, {1.0: 0.8, 2 / 3: 0.9, 0.5: 0.7}), [4.0, 3.0, 2.0])
    assert objective(found, ObjectiveConfig()) == 0.7
    assert objective(found, ObjectiveConfig(width=0.6667)) == 0.9
    assert objective(found, ObjectiveConfig(max_latency_ms=3.5)) == 0.9
    assert objective(found, ObjectiveConfig(max_latency_ms=2.5)) == 0.7
    assert isnan(objective(Results("sst2", "toy", 1), ObjectiveConfig()))
    with pytest.raises(UserError, match="no width is within 1 ms; the fastest takes 2 ms"):
        objective(found, ObjectiveConfig(max_latency_ms=1))
    with pytest.raises(UserError, match="objective.latency: nope was not found; this job has: t4_fp32_b16"):
        objective(found, ObjectiveConfig(max_latency_ms=1, latency="nope"))


@pytest.mark.parametrize(
    ("ended", "total", "seconds", "words"),
    [(2, 8, 100.0, ", about 5 min left"), (1, 3, 10.0, ", about 20 s left"), (3, 3, 9.0, ""), (2, None, 9.0, "")],
)
def test_how_long_a_sweep_may_still_take(ended: int, total: int | None, seconds: float, words: str) -> None:
    assert _left(ended, total, seconds) == words


def test_a_sweep_that_was_stopped_foretells_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def stopped() -> tuple[str, float]:
        raise KeyboardInterrupt

    sweep = Sweep(tmp_path / "sweeps" / "mine", tmp_path, TrackingConfig("none"), 5)
    sweep.begin()
    with pytest.raises(KeyboardInterrupt):
        job(sweep.folder, 2).attempt(stopped, stop_on_failure=False, debug=False)
    assert sweep.close() == 5
    (line, *_) = capsys.readouterr().err.splitlines()
    assert line.startswith("[1/5] Job 2 (toy-s2) stopped") and line.endswith("main.log)")

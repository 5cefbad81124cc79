"""Sweeps without training: names, records, the closing table, published figures, what a search is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest
from helpers import reporting
from helpers.results import results, timed
from helpers.servers import free_port
from helpers.toys import REPO
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from ofa.errors import UserError
from ofa.jobs import hydra_callback
from ofa.jobs.hydra_callback import named
from ofa.jobs.preflight import problems
from ofa.jobs.sweep import Sweep, SweepJob, records
from ofa.results import aggregate, published
from ofa.results.advice import objective
from ofa.results.record import Results
from ofa.settings.schema import Config, ObjectiveConfig, TrackingConfig


def test_the_same_command_has_the_same_name_wherever_it_runs() -> None:
    command = ["-m", "experiment=quickstart", "task=cola,sst2", "trainer.seed=1,2"]
    name = next(text for text in named(command) if text.startswith("sweep.name="))
    assert re.fullmatch(r"sweep\.name=quickstart-[0-9a-f]{6}", name)
    how = ["--multirun", "trainer.seed=1,2", "task=cola,sst2", "experiment=quickstart", "launch=joblib", "debug=true"]
    assert name in named([*how, "output_dir=/big/disk", "hydra.launcher.n_jobs=3", "sweep.parallel_jobs=3"])
    assert name not in named([*command, "trainer.finetune.epochs=2"])
    assert named(command)[:3] == ["-m", name, "experiment=quickstart"]  # beside the other overrides


def test_single_jobs_and_named_sweeps_are_left_as_they_are() -> None:
    for command in (["task=sst2"], ["--help"], ["-m", "task=sst2", "sweep.name=mine"]):
        assert named(command) == command


def test_jobs_that_differ_in_more_than_the_seed_are_not_averaged() -> None:
    jobs = [
        ["task=cola", f"trainer.seed={seed}", f"ofa.tolerance={x}", "debug=true"] for seed in (1, 2) for x in (1, 2)
    ]
    assert aggregate.variants(jobs) == ["ofa.tolerance=1", "ofa.tolerance=2"] * 2
    rows = aggregate.summarise([(v, results("cola", 1, {1.0: 0.5})) for v in aggregate.variants(jobs)])["rows"]
    assert [(row["variant"], len(row["seeds"])) for row in rows] == [("ofa.tolerance=1", 2), ("ofa.tolerance=2", 2)]


def test_long_numbers_of_a_search_are_short_in_the_table_and_still_apart() -> None:
    rates = [f"trainer.finetune.learning_rate=2.36886395036407{digit}e-05" for digit in (1, 2)]
    found = aggregate.summarise([(rate, results("sst2", 1, {1.0: 0.8})) for rate in rates])
    assert [row[1] for row in aggregate.table(found)[1:]] == ["trainer.finetune.learning_rate=2.369e-05"] * 2


def test_mean_deviation_and_average_by_hand() -> None:
    jobs = [
        ("", results("sst2", 1, {1.0: 0.80, 0.5: 0.70})),
        ("", results("sst2", 2, {1.0: 0.84, 0.5: 0.72})),
        ("", results("rte", 1, {1.0: 0.60, 0.5: 0.50})),
        ("", results("rte", 2, {1.0: 0.50, 0.5: 0.52})),
        ("", results("rte", 3, {1.0: 0.58, 0.5: 0.54})),  # the third seed of SST-2 failed
    ]
    found = aggregate.summarise(jobs)
    sst2, rte = found["rows"]
    assert sst2["seeds"] == [1, 2] and sst2["scores"]["w1"] == pytest.approx({"mean": 0.82, "std": 0.0282843}, abs=1e-6)
    assert sst2["metrics"]["f1"]["w1"]["mean"] == pytest.approx(0.72)
    (average,) = found["averages"]
    assert average["tasks"] == ["sst2", "rte"]
    assert average["scores"]["w1"]["mean"] == pytest.approx((0.82 + 0.56) / 2)
    assert average["scores"]["w1"]["std"] == pytest.approx(0.0212132, abs=1e-6)  # of 0.70 and 0.67, seeds 1 and 2
    table = aggregate.table(found)
    assert table[0] == ["task", "metric", "seeds", "teacher", "width 1", "width 0.5"]
    assert table[1] == ["sst2", "accuracy", "2", "0.9300 ± 0.0000", "0.8200 ± 0.0283", "0.7100 ± 0.0141"]
    assert table[-1][:3] == ["average", "2 tasks", ""]


def test_one_seed_has_no_deviation_and_one_task_no_average() -> None:
    found = aggregate.summarise([("", results("sst2", 1, {1.0: 0.8}))])
    assert found["averages"] == [] and aggregate.table(found)[1][-1] == "0.8000"


def test_published_figures_stand_only_beside_the_published_recipe(compose: Callable[..., Config]) -> None:
    recipe = ["experiment=published_recipe", "task=mrpc"]
    assert published.expected(compose(*recipe, "trainer.seed=3"))["f1"] == [0.91667, 0.91740]
    for change in ("trainer.distill.epochs=5", "model=bert_6x384", "task.max_train_rows=9", "ofa.hidden_weight=1"):
        assert published.expected(compose(*recipe, change)) == {}, change
    row = results("mrpc", 1, {1.0: 0.9, 2 / 3: 0.8}, published={"accuracy": [0.88235, 0.88480]})
    table = aggregate.published_table(aggregate.summarise([("", row)]))
    assert table[1] == ["mrpc", "accuracy", "0.88235", "0.9300", "0.88480", "0.8000"]


def test_the_readme_has_the_same_published_figures() -> None:
    readme = (REPO / "README.md").read_text()
    for metrics in published.SCORES.values():
        for pair in metrics.values():
            assert all(str(figure)[1:] in readme for figure in pair), pair


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
    sweep = Sweep(folder, tmp_path, TrackingConfig("none"))
    job(folder, 7).attempt(broken, stop_on_failure=False, debug=False)  # of an earlier start
    sweep.begin()
    for number in (1, 2):
        run = tmp_path / "runs" / f"r{number}"
        run.mkdir(parents=True)
        alarms = ["the teacher has learned nothing"] * (number == 2)
        (run / "results.json").write_text(
            json.dumps(results("sst2", number, {1.0: 0.8, 0.5: 0.7}, alarms=alarms).to_json())
        )
        job(folder, number).attempt(lambda name=run.name: (name, 0.7), stop_on_failure=False, debug=False)
    job(folder, 3).attempt(broken, stop_on_failure=False, debug=False)
    assert sweep.close() == 1
    report, said = (folder / "report.md").read_text(), capsys.readouterr()
    line = f"Job 3 (toy-s3) failed: task.data_dir: nothing there (log: {folder}/3/main.log)"
    assert said.err.splitlines() == [line, "", "1 jobs without a result:", line]  # at once, and again at the end
    assert "| sst2 | accuracy |     2 |" in said.out and "| sst2 | accuracy |     2 |" in report
    assert line in report and "sst2, seed 2: the teacher has learned nothing" in report and "toy-s7" not in report
    assert [entry["status"] for entry in json.loads((folder / "results.json").read_text())["jobs"]].count("failed") == 1
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """``main.py -m`` with these arguments, which is to end before its first job."""
    command = [sys.executable, "main.py", "-m", "experiment=quickstart", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={**os.environ, **environment})


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
    assert (closed.data.metrics["jobs/finished"], closed.data.metrics["jobs/without_result"]) == (1, 1)


@pytest.mark.process
def test_no_job_begins_if_mlflow_refuses_the_sweep(tmp_path: Path) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    sweep = ["trainer.seed=1,2", f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache", f"tracking.uri={server}"]
    done = start(*sweep)
    assert done.returncode == 1 and done.stdout == "" and not (tmp_path / "out" / "runs").exists()
    first, *_, last = done.stderr.splitlines()
    assert (first, last) == (f"tracking.uri: {server} does not answer", "No job was started.")


@pytest.mark.process
def test_a_password_in_an_address_never_reaches_the_files_of_a_sweep(tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache", "trainer.seed=1,2"]
    address = f"http://me:hush@127.0.0.1:{free_port()}"
    done = start(f"tracking.uri={address}", *places)
    assert done.returncode == 1 and done.stderr.startswith("tracking.uri: Hydra writes a sweep's settings to disk")
    from_environment = start("tracking.uri=${oc.env:WHERE}", *places, WHERE=address)
    assert "does not answer\n" in from_environment.stderr and "No job was started." in from_environment.stderr
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "hush" not in kept + done.stdout + done.stderr + from_environment.stdout + from_environment.stderr


def test_what_the_jobs_of_a_search_share_is_checked_before_the_first() -> None:
    search = OmegaConf.create(
        {
            "hydra": {
                "sweeper": {"_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"},
                "overrides": {
                    "task": ["task=rte", "trainer.seed=1,2", "ofa.tolerance=interval(0,1)", "objective.width=2"]
                },
            }
        }
    )
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        assert hydra_callback._jobs(search) == [["task=rte", "objective.width=2"]]


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
    ("overrides", "words"),
    [
        ("sweep.name=a/b", "sweep.name: 'a/b' cannot name a folder"),
        ("sweep.parallel_jobs=0", "sweep.parallel_jobs: 0 is not allowed; allowed: from 1"),
        ("sweep.parallel_jobs=2", "stages: latency would be measured while 2 jobs run at once"),
        ("objective.width=0.25", "objective.width: 0.25 is not among ofa.widths"),
        ("objective.width=0.5 objective.max_latency_ms=3", "objective: width and max_latency_ms are both set"),
        ("objective.max_latency_ms=0", "objective.max_latency_ms: 0 is not allowed; allowed: above 0"),
    ],
)
def test_rules_of_sweeps(overrides: str, words: str, compose: Callable[..., Config], tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}", f"cache_dir={tmp_path}"]
    (found,) = problems(compose("experiment=quickstart", *places, *overrides.split()))
    assert found.startswith(words)


@pytest.mark.process
def test_no_job_begins_if_the_settings_of_one_break_a_rule(tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache"]
    sweep = ["-m", "experiment=quickstart", "ofa.widths=[1,0.5],[1,0.7]", "trainer.seed=1,-2", *places]
    done = subprocess.run([sys.executable, "main.py", *sweep], cwd=REPO, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and not (tmp_path / "out" / "runs").exists()
    assert lines[0].startswith("trainer.seed: -2 is outside") and lines[1].startswith("  in job 1 (")
    assert lines[2].startswith("ofa.widths: 0.7 of 4 heads") and lines[3].startswith("  in job 2 (")
    assert lines[4:] == ["No job was started."]

"""A small sweep through every launcher, and a search: for real where their plugins are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.commands import run, sweep_results
from helpers.toys import REPO

from ofa.system.machine import cores

pytestmark = pytest.mark.process

WITHOUT = "is not installed (pip install -e '.[sweep]')"
MODULES = {"joblib": "joblib_launcher", "ray": "ray_launcher", "processes": "submitit_launcher"}


def plugin(name: str) -> str:
    return f"hydra_plugins.hydra_{name}"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", MODULES)
def test_jobs_of_a_launcher_are_recorded_and_counted(launcher: str, tmp_path: Path) -> None:
    """Two jobs that finish, two that fail: table, names and exit status are those of the plain sweep."""
    pytest.importorskip(plugin(MODULES[launcher]), reason=f"{launcher} {WITHOUT}")
    settings = ["trainer.seed=1,2", "task=negation,custom", "stages=[evaluate]"]
    done = run(tmp_path, "-m", f"launch={launcher}", "tracking=none", *settings, timeout=900)
    found = sweep_results(tmp_path)
    statuses = [job["status"] for job in found["jobs"]]
    assert (done.returncode, statuses) == (1, ["finished", "failed"] * 2), done.stderr[-3000:]
    assert found["rows"][0]["task"] == "negation" and sorted(found["rows"][0]["seeds"]) == [1, 2]
    assert done.stderr.count("Job 1 (custom-bert_4x128-s1) failed: task custom: train.tsv, dev.tsv missing in ") == 2
    if launcher == "joblib":
        threads = f"Process: {max(1, cores() // 2)} CPU threads"
        assert threads in Path(found["jobs"][0]["log"]).read_text()
    again = run(tmp_path, "-m", f"launch={launcher}", "tracking=none", *settings, timeout=900)
    assert again.returncode == 1 and sweep_results(tmp_path)["rows"] == found["rows"]
    assert len(list((tmp_path / "out" / "store").glob("evaluate-*"))) == 2


@pytest.mark.slow
def test_a_search_maximises_the_score_of_a_width(tmp_path: Path) -> None:
    pytest.importorskip(plugin("optuna_sweeper"), reason=f"optuna {WITHOUT}")
    search = ["sweeper=optuna", "objective.width=0.5", "stages=[evaluate]", "tracking=none"]
    # A batch size of 0 breaks a rule: such a trial fails.
    done = run(tmp_path, "-m", *search, "trainer.finetune.batch_size=choice(0,32)", "hydra.sweeper.n_trials=4")
    found = sweep_results(tmp_path)
    finished = [job for job in found["jobs"] if job["status"] == "finished"]
    failed = [job for job in found["jobs"] if job["status"] == "failed"]
    assert len(found["jobs"]) == 4 and finished and failed and done.returncode == 1
    for job in finished:
        results = json.loads((tmp_path / "out" / "runs" / job["run"] / "results.json").read_text())
        assert job["value"] == next(entry["score"] for entry in results["widths"] if entry["width"] == 0.5)
    best = max(job["value"] for job in finished)
    assert f"Best of {len(finished)} trials: {best:.4f}, job " in done.stdout  # Optuna's own words are not shown


@pytest.mark.parametrize("choice", ["launch=joblib", "launch=slurm", "sweeper=optuna"])
def test_a_missing_plugin_is_a_line(choice: str, tmp_path: Path) -> None:
    group, name = choice.split("=")
    needed = {"joblib": "joblib_launcher", "slurm": "submitit_launcher", "optuna": "optuna_sweeper"}[name]
    if find_spec("hydra_plugins") and find_spec(plugin(needed)):
        pytest.skip(f"{needed} is installed")
    command = [sys.executable, "main.py", "-m", "experiment=quickstart", choice, f"output_dir={tmp_path}"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    place = {"launch": "hydra/launcher", "sweeper": "hydra/sweeper"}[group]
    plugin_name = {"slurm": "submitit_slurm"}.get(name, name)
    said = f"{place}: {plugin_name!r} is not installed; get it with pip install -e '.[sweep]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)

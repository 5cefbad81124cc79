"""What a sweep is called, and what is checked before its first job begins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.servers import free_port
from helpers.toys import REPO
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from ofa.jobs import hydra_callback
from ofa.jobs.hydra_callback import named


def test_the_same_command_has_the_same_name_wherever_it_runs() -> None:
    command = ["-m", "experiment=quickstart", "task=cola,sst2", "trainer.seed=1,2"]
    name = next(text for text in named(command) if text.startswith("sweep.name="))
    assert re.fullmatch(r"sweep\.name=quickstart-[0-9a-f]{6}", name)
    how = ["--multirun", "trainer.seed=1,2", "task=cola,sst2", "experiment=quickstart", "launch=joblib", "debug=true"]
    assert name in named([*how, "output_dir=/big/disk", "hydra.launcher.n_jobs=3", "sweep.parallel_jobs=3"])
    assert name not in named([*command, "trainer.finetune.epochs=2"])
    assert named(command)[:3] == ["-m", name, "experiment=quickstart"]  # beside the other overrides


@pytest.mark.parametrize(
    "preset", ["quickstart,sst2_small", "glob(q*)", "choice(quickstart,sst2_small)", "'quickstart'"]
)
def test_a_sweep_over_presets_is_named_after_none(preset: str) -> None:
    name = next(text for text in named(["-m", f"experiment={preset}"]) if text.startswith("sweep.name="))
    assert re.fullmatch(r"sweep\.name=sweep-[0-9a-f]{6}", name)


def test_single_jobs_and_named_sweeps_are_left_as_they_are() -> None:
    for command in (["task=sst2"], ["--help"], ["-m", "task=sst2", "sweep.name=mine"]):
        assert named(command) == command


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """``main.py -m`` with these arguments, which is to end before its first job."""
    command = [sys.executable, "main.py", "-m", "experiment=quickstart", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={**os.environ, **environment})


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
    done = start(f"tracking.uri={address}", f"task.url={address}/x.zip", *places)
    assert done.returncode == 1 and "tracking.uri: Hydra writes a sweep's settings to disk" in done.stderr
    assert "task.url: Hydra writes a sweep's settings to disk" in done.stderr
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
                    "task": ["task=rte", "trainer.seed=1,2", "ofa.tolerance=interval(0,1)", "objective.width=2e0"]
                },
            }
        }
    )
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        written = ["task=rte", "objective.width=2.0"]  # as the sweeper writes them into the settings of each job
        assert hydra_callback._jobs(search) == [written]


@pytest.mark.process
def test_no_job_begins_if_the_settings_of_one_break_a_rule(tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache"]
    sweep = ["-m", "experiment=quickstart", "ofa.widths=[1,0.5],[1,0.7]", "trainer.seed=1,-2", *places]
    done = subprocess.run([sys.executable, "main.py", *sweep], cwd=REPO, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and not (tmp_path / "out" / "runs").exists()
    assert lines[0].startswith("trainer.seed: -2 is outside")
    assert lines[1] == "  in job 1 (ofa.widths=[1,0.5] trainer.seed=-2) and 1 more"
    assert lines[2].startswith("ofa.widths: 0.7 of 4 heads")
    assert lines[3:] == ["  in job 2 (ofa.widths=[1,0.7] trainer.seed=1) and 1 more", "No job was started."]


@pytest.mark.process
def test_a_folder_of_sweeps_that_cannot_be_made_is_said_in_lines(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sweeps").write_text("in the way")
    done = start("trainer.seed=1,2", f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache")
    mistake, end = done.stderr.splitlines()
    assert mistake.startswith(f"{tmp_path}/out/sweeps") and (done.returncode, end) == (1, "No job was started.")


@pytest.mark.process
def test_a_mistake_of_every_job_is_that_of_none(tmp_path: Path) -> None:
    done = start("ofa.widths=[]", "trainer.seed=1,2", f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache")
    mistake, end = done.stderr.splitlines()
    assert mistake.startswith("ofa.widths: [] lacks 1.0") and end == "No job was started."


def test_no_latency_is_limited_by_what_jobs_measure_at_once() -> None:
    limit = ["experiment=quickstart", "ofa.sampling=layers", "search.max_latency_ms=5"]
    measured = [*limit, "search.figure=cpu_onnxruntime_fp32_b16_s32_measured", "hardware=cpu"]
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        (line, *_) = hydra_callback._refused([measured], measured, at_once=True)
        assert "would be timed while several jobs run at once; allowed: an estimate, or no launch=" in line
        assert not list(hydra_callback._refused([measured], measured, at_once=False))
        assert not list(hydra_callback._refused([limit], limit, at_once=True))
        wrong = [*measured, "latency.engines=[]"]
        (line, *_) = hydra_callback._refused([wrong], wrong, at_once=True)
        assert line.startswith("latency.engines: [] is empty")


@pytest.mark.process
@pytest.mark.parametrize("setting", ["sweep.name=x,y", "output_dir=/a,/b", "stages=[evaluate],[export]"])
def test_a_sweep_has_one_name_and_one_place(setting: str, tmp_path: Path) -> None:
    """The end looked in the first of several places, and found no job."""
    done = start("trainer.seed=1,2", f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache", setting)
    mistake, end = done.stderr.splitlines()
    assert mistake.startswith(f"{setting}: several values, and a sweep has one {setting.partition('=')[0]} for all")
    assert done.returncode == 1 and end == "No job was started."

"""The quickstart through the command line: every stage for real, small; stopped, gone on with, swept."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.commands import SMALL, places, run, sweep_results
from helpers.toys import REPO

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run(folder)


def test_the_quickstart_runs_every_stage(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr[-2000:]
    (result_file,) = (folder / "out" / "runs").glob("*/results.json")
    results = json.loads(result_file.read_text())
    assert [entry["width"] for entry in results["widths"]] == [1.0, 0.75, 0.5]
    stages = {path.name.split("-")[0] for path in (folder / "out" / "store").iterdir()}
    assert {"finetune", "reorder", "distill", "evaluate", "export", "latency"} <= stages
    for width in ("w1", "w0.75", "w0.5"):
        (export,) = (folder / "out" / "store").glob(f"export-*/{width}")
        files = {path.name for path in export.iterdir()}
        assert {
            "model.safetensors", "config.json", "subnet.json", "vocab.txt", "tokenizer_config.json",
            "inference.json", "inference.pdiparams", "model.onnx",
        } <= files  # fmt: skip


def test_the_terminal_ends_with_the_table_and_where_to_look(finished):
    _, done = finished
    lines = done.stdout.strip().splitlines()
    assert any(re.match(r"(★ )?width 0.75 +0\.\d{4} ", line) for line in lines)
    assert [line.split()[0] for line in lines[-3:]] == ["Results", "Compare", "MLflow"] and "ofa ui" in lines[-2]
    assert "Warning" not in done.stderr and "Traceback" not in done.stderr, done.stderr[:2000]


def test_the_same_command_again_answers_at_once_with_the_same_table(finished):
    folder, first = finished
    again = run(folder)
    assert again.returncode == 0
    assert "Already finished with the same settings and data" in again.stdout and "store (" not in again.stdout
    table = [line for line in first.stdout.splitlines() if line.startswith(("★", "width", "teacher"))]
    assert len(table) == 4
    assert [line for line in again.stdout.splitlines() if line.startswith(("★", "width", "teacher"))] == table


def test_the_lines_that_are_printed_work_when_pasted(finished):
    folder, first = finished
    lines = dict(line.split(None, 1) for line in first.stdout.splitlines() if line.startswith(("Deploy ", "Try ")))
    if not lines:  # a teacher this small may have learned nothing, and then nothing is offered
        assert "Nothing to recommend" in first.stdout or "No width is within" in first.stdout
        return
    assert (Path(lines["Deploy"]) / "model.onnx").is_file()
    command = lines["Try"].replace("python ", f"{sys.executable} ", 1)
    done = subprocess.run(command, shell=True, cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and re.fullmatch(r"(negative|positive)\t[01]\.\d{4}\n", done.stdout), done.stderr


@pytest.mark.parametrize("way", [["--network", "w0.5"], ["--engine", "paddle"]])
def test_answers_to_the_dev_file_have_the_score_of_the_results(finished, way):
    folder, _ = finished
    (run_folder,) = (folder / "out" / "runs").iterdir()
    results = json.loads((run_folder / "results.json").read_text())
    name = "w0.5" if "w0.5" in way else results["recommended"]["name"] or "w1"
    rows = (folder / "cache" / "generated" / "negation" / "dev.tsv").read_text().splitlines()[:101]
    (folder / "dev.tsv").write_text("\n".join(rows) + "\n")
    command = [sys.executable, "main.py", "predict", run_folder.name, "--file", str(folder / "dev.tsv")]
    command += ["--text", "sentence", "--network", name, "--precision", "fp32", *way]
    environment = {**os.environ, "OFA_OUTPUT": str(folder / "out")}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answers = list(csv.DictReader(done.stdout.splitlines(), delimiter="\t"))
    column = rows[0].split("\t").index("label")
    truth = [("negative", "positive")[int(row.split("\t")[column])] for row in rows[1:]]
    right = [answer["label"] == label for answer, label in zip(answers, truth, strict=True)]
    (entry,) = (entry for entry in results["widths"] if entry["name"] == name)
    assert sum(right) / len(right) == pytest.approx(entry["score"], abs=1e-9)


def test_another_stage_of_the_same_job_takes_the_others_from_the_store(finished):
    folder, _ = finished
    again = run(folder, "force=[latency]")
    assert again.returncode == 0
    assert again.stdout.count("taken from the store") == 6


def test_a_later_timing_joins_the_run(finished):
    folder, _ = finished
    (run_folder,) = (path for path in (folder / "out" / "runs").iterdir() if path.is_dir())
    command = [sys.executable, "-m", "ofa.timing", run_folder.name, "--batch-sizes", "3", "--precisions", "fp32"]
    command += ["--engines", "onnxruntime", "paddle"]  # from beside the run, whose store is found all the same
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=run_folder.parent, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((run_folder / "results.json").read_text())
    for entry in results["widths"]:
        assert entry["latency_ms"]["cpu_fp32_b3_s32_measured"] > 0 and entry["speedup"]["cpu_fp32_b3_s32_measured"] > 0
        # Only the run's own first engine goes without its name, whatever is asked for first here.
        assert entry["latency_ms"]["cpu_onnxruntime_fp32_b3_s32_measured"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engines", "onnx"], "latency.engines: 'onnx' is unknown; allowed: paddle, onnxruntime, openvino, tensorrt"),
        (["--threads", "0"], "--threads: 0 is not allowed; allowed: from 1"),
        (["--threads", "1000"], "--threads: 1000 is not allowed; allowed: up to "),
        (["--seq-lengths", "4096"], "latency.seq_lengths: 4096 is more than the 128 positions of"),
        (
            ["--engines", "tensorrt", "--device", "cpu"],
            "latency: none of these engines has these precisions on this cpu",
        ),
    ],
)
def test_a_later_timing_of_what_cannot_be_timed_is_refused(finished, options, words):
    folder, _ = finished
    (run_folder,) = (path for path in (folder / "out" / "runs").iterdir() if path.is_dir())
    before = (run_folder / "results.json").read_bytes()
    command = [sys.executable, "-m", "ofa.timing", str(run_folder), *options]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert (run_folder / "results.json").read_bytes() == before


def test_a_damaged_copy_of_an_export_is_not_timed(finished, tmp_path):
    shutil.copytree(finished[0] / "out", tmp_path / "out")
    (run_folder,) = (path for path in (tmp_path / "out" / "runs").iterdir() if path.is_dir())
    export = json.loads((run_folder / "results.json").read_text())["export"]
    file = tmp_path / "out" / "store" / export / "w0.5" / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    command = [sys.executable, "-m", "ofa.timing", str(run_folder)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=200)
    words = f"{file.parents[1]}: w0.5/model.onnx does not match its checksum; copy that folder again\n"
    assert done.returncode == 1 and done.stderr == words


def test_sigterm_saves_and_the_same_command_goes_on(tmp_path):
    arguments = ["tracking=none", "stages=[evaluate]", "trainer.finetune.max_steps=150"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, *arguments).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "main.py", *SMALL, *places(parts), *arguments],
        cwd=REPO,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TQDM_MININTERVAL": "0.1"},
    )
    while "step/s" not in (process.stderr.readline() or "step/s"):
        pass  # the bar is drawn: training has begun
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. The same command goes on from the last checkpoint." in said
    done = run(parts, *arguments)
    assert done.returncode == 0 and "finetune goes on from the checkpoint at step" in done.stdout
    first, second = (next((f / "out" / "runs").glob("*/results.json")).read_text() for f in (whole, parts))
    assert first == second


def test_two_jobs_at_once_make_a_common_stage_once(tmp_path):
    """They differ in their widths, so they share the teacher and its reordering."""
    command = [sys.executable, "main.py", *SMALL, *places(tmp_path), "tracking=none", "stages=[distill]"]
    jobs = [
        subprocess.Popen([*command, f"ofa.widths={widths}"], cwd=REPO, stdout=subprocess.PIPE, text=True)
        for widths in ("[1,0.5]", "[1,0.75]")
    ]
    said = [job.communicate(timeout=200)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    for stage, made in (("finetune", 1), ("reorder", 1), ("distill", 2)):
        assert len(list((tmp_path / "out" / "store").glob(f"{stage}-*/stage.json"))) == made
        assert sum(f"{stage}: done" in words for words in said) == made
    waited = "finetune-[0-9a-f]+: another job is building it; waiting"
    assert sum(bool(re.search(waited, words)) and "finetune: taken from the store" in words for words in said) == 1


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Three jobs of one sweep, of which the second fails."""
    folder = tmp_path_factory.mktemp("swept")
    return folder, run(folder, *SWEEP)


SWEEP = ["-m", "stages=[evaluate]", "trainer.seed=1,2", "task=negation,custom"]


def test_a_sweep_goes_on_after_a_failed_job_and_says_so(swept):
    folder, done = swept
    assert done.returncode == 1
    line = "Job 1 (custom-bert_4x128-s1) failed: task custom: train.tsv, dev.tsv missing in "
    assert done.stderr.count(line) == 2, done.stderr[-3000:]  # at once, and at the end
    assert "2 jobs without a result:" in done.stderr and "Traceback" not in done.stderr
    found = sweep_results(folder)
    assert [job["status"] for job in found["jobs"]] == ["finished", "failed", "finished", "failed"]
    assert "Traceback" in Path(found["jobs"][1]["log"]).read_text()
    assert found["rows"][0]["seeds"] == [1, 2] and re.search(r"^negation +accuracy +2 ", done.stdout, re.M)


def test_a_sweep_again_does_only_what_is_left(swept):
    folder, first = swept
    before = sweep_results(folder)
    again = run(folder, *SWEEP)
    assert again.stdout.count("Already finished with the same settings and data") == 2
    assert "taken from the store" not in again.stdout
    assert sweep_results(folder)["rows"] == before["rows"]


def test_a_job_of_a_sweep_equals_the_same_job_alone(swept, tmp_path):
    folder, _ = swept
    assert run(tmp_path, "stages=[evaluate]", "trainer.seed=2").returncode == 0
    (alone,) = (tmp_path / "out" / "runs").glob("*/results.json")
    (second,) = (folder / "out" / "runs").glob("negation-*-s2-*/results.json")
    scores = [json.loads(path.read_text()) for path in (alone, second)]
    assert [found.pop("run") for found in scores][0].startswith("negation-bert_4x128-s2-")
    assert scores[0] == scores[1]


def test_a_sweep_in_mlflow(swept):
    """The sweep's run holds the table; the jobs' runs are its children, and theirs are the widths."""
    from mlflow import MlflowClient

    folder, _ = swept
    client = MlflowClient(f"sqlite:///{folder / 'out' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("quickstart").experiment_id
    runs = client.search_runs([experiment])
    kinds = {kind: [run for run in runs if run.data.tags["kind"] == kind] for kind in ("sweep", "job", "width")}
    (sweep,) = kinds["sweep"]
    assert {run.data.tags["sweep"] for run in runs} == {sweep.info.run_name} == {sweep_results(folder)["sweep"]}
    assert [run.data.tags["mlflow.parentRunId"] for run in kinds["job"]] == [sweep.info.run_id] * 2
    jobs = {run.info.run_id for run in kinds["job"]}
    assert len(kinds["width"]) == 6 and {run.data.tags["mlflow.parentRunId"] for run in kinds["width"]} == jobs
    assert (sweep.data.metrics["jobs/finished"], sweep.data.metrics["jobs/without_result"]) == (2, 2)
    times = [time for run in kinds["job"] for time in (run.info.start_time, run.info.end_time)]
    assert sweep.info.start_time < min(times) and max(times) < sweep.info.end_time  # its page is there from the start
    assert sweep.info.status == "FAILED" and 0 < sweep.data.metrics["negation/w0.5"] < 1
    assert {f.path for f in client.list_artifacts(sweep.info.run_id)} == {
        "report.md",
        "report.html",
        "results.json",
        "figure.png",
    }
    assert {run.info.status for run in kinds["job"] + kinds["width"]} == {"FINISHED"}

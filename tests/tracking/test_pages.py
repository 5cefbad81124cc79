"""MLflow's pages, served on loopback over a store with one fake job: runs, children, figure, views."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from helpers.results import results, timed
from helpers.servers import Server

from ofa.commands import ui
from ofa.results import collect
from ofa.results.record import Recommendation, Results
from ofa.settings.schema import Config, TrackingConfig
from ofa.supernet.space import name_of, networks
from ofa.supernet.subnet import EncoderShape
from ofa.tracking import logged
from ofa.tracking.address import default_uri
from ofa.tracking.pages import serve_command
from ofa.tracking.server import ENVIRONMENT
from ofa.tracking.tracker import Tracker

pytestmark = pytest.mark.process

os.environ.update(ENVIRONMENT)

WIDTHS = (1.0, 0.75, 0.5)
FIGURE = "cpu_fp32_b16_s128_measured"
SEARCH = {"checked": {"w0.5": {"predicted_ms": 9.0, "measured_ms": 10.0, "error": -10.0}}}
SHAPE = EncoderShape(3, 128, 4, 512, vocab_size=2000, max_position_embeddings=128, num_labels=2)


def found() -> Results:
    """What a small job might find."""
    scores = {width: 0.9 - (1 - width) / 100 for width in WIDTHS}
    words = "Take width 0.5: the cheapest within 0.5 points."
    some = results("toy", 42, scores, 0.9, recommended=Recommendation(words, 0.5, "w0.5", 0.5, 1.0))
    some = timed(some, [20 * width for width in WIDTHS], "measured", where="cpu")
    about = {"device": "cpu", "threads": 2, "machine": {"cpu": "x"}, "tokenizer_ms": {"b16_s128": 1.5}}
    some = replace(some, measured_on={"cpu": about})
    return timed(some, [3 * width for width in WIDTHS])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The pages of a store that one job has reported to, as `make ui` serves them."""
    out = tmp_path_factory.mktemp("out") / "100%25 of it"  # what means something in an address
    config = Config(tracking=TrackingConfig(system_metrics=False, experiment="a study"))
    config.task.name, config.model.name, config.ofa.widths = "toy", "bert_4x128", list(WIDTHS)
    config.task.text, config.task.dev, config.task.data_dir = ["sentence"], {"dev": "dev.tsv"}, "data"
    tracker = Tracker(config.tracking, out, out / "runs" / "job")
    logged.open_runs(tracker, "toy-bert_4x128-s42", config, SHAPE, networks(WIDTHS, [1.0], SHAPE))
    rows = {"train": {"used": 90, "left_out": 1}, "dev": {"used": 30, "left_out": 0}}
    logged.log_data(tracker, config, rows, {"train": "a" * 64, "dev": "b" * 64}, ["w0.5"])
    for step in range(3):
        tracker.metrics({"distill/loss": 3 - step}, step)
        for width in WIDTHS:
            tracker.metrics({"dev/accuracy": width * step}, step, name_of(width))
    logged.log_results(tracker, "toy-bert_4x128-s42", config, {}, replace(found(), search=SEARCH))
    tracker.artifacts(collect.write(out / "runs" / "job", found()))
    tracker.finish("FINISHED")
    store = ("--backend-store-uri", default_uri(out))
    with Server(out / "ui", "ui", "--workers", "1", *store) as started:
        yield started


def ask(server: Server, path: str, **body) -> dict:
    answer = requests.post(f"{server.url}/api/2.0/mlflow/{path}", json=body, timeout=20)
    assert answer.ok, answer.text
    return answer.json()


def runs(server: Server) -> dict[str, dict]:
    found = ask(server, "runs/search", experiment_ids=["1"])["runs"]
    return {run["info"]["run_name"]: run for run in found}


def pairs(run: dict, what: str) -> dict:
    return {item["key"]: item["value"] for item in run["data"][what]}


def test_the_page_is_served(server):
    page = requests.get(server.url, timeout=20)
    assert page.ok and "<title>MLflow</title>" in page.text


def test_the_experiment_says_how_to_read_it(server):
    (found,) = [e for e in ask(server, "experiments/search", max_results=9)["experiments"] if e["name"] == "a study"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    assert "`eval/score`" in tags["mlflow.note.content"]
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    views = [json.loads(value) for key, value in tags.items() if key.startswith("mlflow.sharedViewState.")]
    assert [view["name"].partition(":")[0] for view in views] == ["Widths", "Jobs"]
    state = json.loads(views[0]["state"])
    assert "metrics.`width`" in state["selectedColumns"]
    assert [chart["xaxis"]["key"] for chart in state["compareRunCharts"] if chart["type"] == "SCATTER"] == [
        "params",
        f"latency_ms/{FIGURE}",
        "latency_ms/t4_fp32_b16_s128_estimated",
    ]


def test_the_widths_are_children_with_numbers(server):
    found = runs(server)
    job = found.pop("toy-bert_4x128-s42")
    assert pairs(job, "metrics")["recommended/width"] == 0.5
    assert pairs(job, "metrics")["eval/score"] == 0.9
    assert pairs(job, "metrics")["tokenizer_ms/cpu_b16_s128"] == 1.5
    assert pairs(job, "params")["trainer.seed"] == "42"
    assert set(found) == {"w1 toy-bert_4x128-s42", "w0.75 toy-bert_4x128-s42", "w0.5 toy-bert_4x128-s42"}
    for run in found.values():
        assert pairs(run, "tags")["mlflow.parentRunId"] == job["info"]["run_id"]
        metrics = pairs(run, "metrics")
        assert float(pairs(run, "params")["width"]) == metrics["width"]
        assert {"eval/score", "eval/accuracy", "params", "macs", "heads", "neurons"} <= set(metrics)
        assert metrics[f"latency_ms/{FIGURE}"] == pytest.approx(20 * metrics["width"])
        assert metrics[f"speedup/{FIGURE}"] == pytest.approx(1 / metrics["width"])
    half = pairs(found["w0.5 toy-bert_4x128-s42"], "metrics")
    assert (half["checked/predicted_ms"], half["checked/measured_ms"]) == (9.0, 10.0)


def test_the_rows_are_datasets_of_the_runs(server):
    job, width = (runs(server)[name] for name in ("toy-bert_4x128-s42", "w0.5 toy-bert_4x128-s42"))
    of_job = {entry["tags"][0]["value"]: entry["dataset"] for entry in job["inputs"]["dataset_inputs"]}
    assert set(of_job) == {"training", "validation"}
    train = of_job["training"]
    assert (train["name"], train["digest"], train["source_type"]) == ("toy train", "a" * 16, "local")
    assert json.loads(train["source"]) == {"uri": "data/train.tsv"}
    assert json.loads(train["profile"]) == {"num_rows": 90, "left_out": 1}
    columns = json.loads(train["schema"])["mlflow_colspec"]
    assert [(column["name"], column["type"]) for column in columns] == [("sentence", "string"), ("label", "double")]
    (scored,) = width["inputs"]["dataset_inputs"]
    assert scored["dataset"]["digest"] == "b" * 16


def test_a_width_has_its_curve(server):
    run_id = runs(server)["w0.75 toy-bert_4x128-s42"]["info"]["run_id"]
    asked = {"run_id": run_id, "metric_key": "dev/accuracy"}
    found = requests.get(f"{server.url}/api/2.0/mlflow/metrics/get-history", params=asked, timeout=20).json()
    assert [point["value"] for point in found["metrics"]] == [0.0, 0.75, 1.5]


def test_the_jobs_page_begins_with_the_advice(server):
    note = pairs(runs(server)["toy-bert_4x128-s42"], "tags")["mlflow.note.content"]
    assert note.startswith("**Take width 0.5")
    assert "\n```\nnetwork " in note and "\nwidth 0.75 " in note and "★ width 0.5 " in note and "figure.png" not in note
    assert max(len(line) for line in note.split("```")[1].splitlines()) <= 90
    assert "(#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=" in note


def test_the_figure_is_served(server):
    job = runs(server)["toy-bert_4x128-s42"]["info"]
    asked = {"run_id": job["run_id"], "path": "figure.png"}
    figure = requests.get(f"{server.url}/get-artifact", params=asked, timeout=20)
    assert figure.ok and figure.content.startswith(b"\x89PNG")
    listed = requests.get(
        f"{server.url}/api/2.0/mlflow/artifacts/list", params={"run_id": job["run_id"]}, timeout=20
    ).json()
    assert {item["path"] for item in listed["files"]} >= {"figure.png", "report.md", "report.html", "results.json"}


def test_the_server_listens_on_loopback_alone(server):
    """And so does `ofa ui`, which starts it the same way."""
    assert "--host 127.0.0.1 --port 1 " in " ".join(ui.command(Path("out"), 1))
    outward = socket.gethostbyname(socket.gethostname())
    if not outward.startswith("127."):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://{outward}:{server.port}", timeout=5)


def test_the_command_that_serves_names_the_server_the_model_and_the_alias():
    """`test_registry.py` serves a model by that address."""
    from dataclasses import replace

    config = Config()
    config.task.name, config.model.name = "toy", "bert.v1"
    command = serve_command(config, replace(found(), export="export-1"), "sqlite:////my runs/mlflow.db")
    assert (
        "`MLFLOW_TRACKING_URI='sqlite:////my runs/mlflow.db' mlflow models serve -m models:/toy-bert_v1@recommended "
        in command
    )
    assert serve_command(config, found(), "sqlite:///x") == "", "nothing was exported"
    assert serve_command(config, replace(found(), export="export-1"), "") == "", "nothing is tracked"
    config.tracking.register_models = False
    assert serve_command(config, replace(found(), export="export-1"), "sqlite:///x") == "", "nothing is registered"

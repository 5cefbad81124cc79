"""Every width is a model that answers: text in, label and probability out, over HTTP."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from helpers.servers import Server
from helpers.toys import REPO, TOY, noisy

from ofa.data.rows import Rows
from ofa.data.tokenizer import plain
from ofa.data.tokens import tokenize
from ofa.data.vocab import SPECIAL
from ofa.deploy.engines import load_engine
from ofa.deploy.export import export
from ofa.evaluation.scores import predict
from ofa.model import network as models
from ofa.settings.schema import TrackingConfig
from ofa.tracking import registry
from ofa.tracking.__main__ import resend
from ofa.tracking.server import ENVIRONMENT
from ofa.tracking.tracker import Tracker

pytestmark = pytest.mark.job

os.environ.update(ENVIRONMENT)
import mlflow.pyfunc  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.models import Model  # noqa: E402

WORDS = [f"word{i}" for i in range(TOY.vocab_size - len(SPECIAL))]
LABELS = ("bad", "fair", "good")
TEXTS = ["word1 word2", "word3", "Word4 word5 word6 word7", "what nobody wrote", "word90 " * 40]
SETTINGS = {"max_seq_length": 16, "pair": False, "kind": "classes"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A toy network as the export stage leaves it in the store."""
    folder = tmp_path_factory.mktemp("store") / "export-0123" / "w1"
    vocab = folder.parent.parent / "vocab.txt"
    vocab.write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    network = noisy(models.build(TOY, dropout=0.0))
    models.save(network, folder, LABELS, plain(vocab))
    export(network, folder)
    return folder


@pytest.fixture(scope="module")
def logged(exported, tmp_path_factory) -> tuple[str, str, str]:
    """Tracking URI, id of the width's run, and the model's address, after two starts of one job."""
    out = tmp_path_factory.mktemp("out")
    for _ in range(2):
        tracker = Tracker(TrackingConfig(system_metrics=False), out, out / "runs" / "job")
        tracker.start("job", {}, {})
        tracker.network("w1", "w1 job", {}, {"heads": 4})
        tracker.metrics({"eval/score": 0.9, "cost/speedup": 1.5, "macs": 9}, 0, "w1")
        tracker.metrics({"again": time.monotonic()}, 0)  # something new to say, so that the runs are opened again
        tracker.model("w1", "toy-w1", exported, SETTINGS, {"network": "w1", "score": "0.9"}, "recommended")
        started = time.monotonic()
        tracker.finish("FINISHED")
        assert time.monotonic() - started < 60  # what hangs takes many minutes
    assert tracker.journal is not None and not tracker.journal.unsent
    return f"sqlite:///{out / 'mlflow.db'}", tracker.journal.runs["w1"], "models:/toy-w1@recommended"


def expected(exported: Path) -> tuple[list[str], list[float]]:
    """Labels and probabilities by the way the export stage scores: another session, another batching."""
    rows = Rows(TEXTS, None, np.zeros(len(TEXTS), np.int64))
    encoded = tokenize(rows, plain(exported / "vocab.txt"), SETTINGS["max_seq_length"])
    logits = predict(load_engine(exported, "onnxruntime"), encoded, 2).astype(np.float64)
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [LABELS[i] for i in odds.argmax(axis=1)], odds.max(axis=1).tolist()


def test_a_width_is_logged_and_registered_once(logged):
    uri, run_id, _ = logged
    client = MlflowClient(uri)
    (version,) = client.search_model_versions("name = 'toy-w1'")
    assert version.run_id == run_id
    (model,) = client.search_logged_models(["1"])
    assert (model.source_run_id, model.name, str(model.status)) == (run_id, "toy-w1", "READY")
    (output,) = client.get_run(run_id).outputs.model_outputs
    assert output.model_id == model.model_id
    assert version.source == model.artifact_location
    assert (version.tags["network"], version.tags["score"]) == ("w1", "0.9")
    assert client.get_model_version_by_alias("toy-w1", "recommended").version == version.version
    # Score and cost are the model's own, for the page of models; the run has each point once.
    assert {metric.key: metric.value for metric in model.metrics} == {"eval/score": 0.9, "cost/speedup": 1.5}
    assert model.params == {"heads": "4"}
    assert len(client.get_metric_history(run_id, "eval/score")) == 1


def test_figures_of_a_later_timing_reach_the_model_and_its_version(exported, tmp_path):
    for cost, alias in ((1.5, None), (3.0, "recommended")):
        tracker = Tracker(TrackingConfig(system_metrics=False), tmp_path, tmp_path / "runs" / "job")
        tracker.start("job", {}, {})
        tracker.network("w1", "w1 job", {}, {})
        tracker.metrics({"cost/speedup": cost}, 0, "w1")
        tracker.model("w1", "toy-w1", exported, SETTINGS, {"speedup": f"{cost:.2f}"}, alias)
        tracker.finish("FINISHED")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}", registry_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (version,) = client.search_model_versions("name = 'toy-w1'")
    assert version.tags["speedup"] == "3.00"
    assert client.get_model_version_by_alias("toy-w1", "recommended").version == version.version
    (model,) = client.search_logged_models(["1"])
    assert model.tags["speedup"] == "3.00"
    assert max((point.timestamp, point.value) for point in model.metrics)[1] == 3.0


def test_a_crash_after_logging_doubles_nothing(logged, tmp_path):
    """The journal is sent anew from its beginning, as after a crash before anything was noted."""
    out = Path(logged[0].removeprefix("sqlite:///")).parent
    mark = out / "runs" / "job" / "tracking.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "sent": 0, "runs": {}}))
    assert resend(out / "runs" / "job") == 0
    test_a_width_is_logged_and_registered_once(logged)


def test_files_that_are_gone_do_not_hold_up_the_rest(tmp_path, caplog):
    tracker = Tracker(TrackingConfig(system_metrics=False), tmp_path, tmp_path / "runs" / "job")
    tracker.start("job", {}, {})
    tracker.network("w1", "w1 job", {}, {})
    tracker.model("w1", "toy-w1", tmp_path / "cleaned" / "w1", SETTINGS)
    tracker.finish("FINISHED")
    assert tracker.journal is not None and not tracker.journal.unsent
    assert "no model was registered (toy-w1: " in caplog.text


def test_a_full_disk_puts_a_model_off_and_loses_nothing(exported, tmp_path, monkeypatch):
    """Unlike files that are gone, space may come back: the model is registered by the next send."""
    tracker = Tracker(TrackingConfig(system_metrics=False), tmp_path, tmp_path / "runs" / "job")
    tracker.start("job", {}, {})
    tracker.network("w1", "w1 job", {}, {})

    def full(*arguments, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(registry, "save", full)
        patched.setattr("ofa.tracking.tracker.LAST_TRIES_S", (0.0,))
        tracker.model("w1", "toy-later", exported, SETTINGS)
        tracker.finish("FINISHED")
        assert tracker.journal is not None and tracker.journal.unsent
    assert resend(tmp_path / "runs" / "job") == 0
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    versions = MlflowClient(uri, registry_uri=uri).search_model_versions("name = 'toy-later'")
    assert [version.run_id for version in versions] == [tracker.journal.runs["w1"]]


def test_the_model_says_what_it_takes_and_gives(logged):
    info = Model.load(_path(logged))
    assert info.signature.inputs.input_names() == ["text"]
    assert info.signature.outputs.input_names() == ["label", "probability"]
    example = json.loads((Path(_path(logged)) / "serving_input_example.json").read_text())
    assert len(example["dataframe_split"]["data"]) == 2
    assert not list(Path(_path(logged)).rglob("*.pkl"))


def _path(logged: tuple[str, str, str]) -> str:
    (version,) = MlflowClient(logged[0]).search_model_versions("name = 'toy-w1'")
    return version.source.removeprefix("file://")


def test_a_loaded_model_answers_as_the_exported_file(logged, exported):
    import pandas

    found = mlflow.pyfunc.load_model(_path(logged)).predict(pandas.DataFrame({"text": TEXTS}))
    labels, probabilities = expected(exported)
    assert found["label"].tolist() == labels
    np.testing.assert_allclose(found["probability"], probabilities, atol=1e-5)


@pytest.mark.process
def test_a_served_model_answers_over_http(logged, exported, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged[0])
    command = ("models", "serve", "-m", logged[2], "--env-manager", "local")
    with Server(tmp_path, *command, health="/ping") as server:
        asked = {"dataframe_records": [{"text": text} for text in TEXTS]}
        answer = requests.post(f"{server.url}/invocations", json=asked, timeout=30)
        wrong = requests.post(f"{server.url}/invocations", json={"dataframe_records": [{"txt": "?"}]}, timeout=30)
    found = answer.json()["predictions"]
    labels, probabilities = expected(exported)
    assert [row["label"] for row in found] == labels
    np.testing.assert_allclose([row["probability"] for row in found], probabilities, atol=1e-5)
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("pair", "kind", "answer"),
    [
        (True, "classes", {"label": "string", "probability": "double"}),
        (False, "score", {"score": "double"}),
        (False, "multi_label", {"labels": "Array(string)", "probabilities": "Array(double)"}),
    ],
)
def test_pairs_scores_and_several_labels(exported, tmp_path, pair, kind, answer):
    import pandas

    settings = {**SETTINGS, "pair": pair, "kind": kind}
    registry.save(exported, tmp_path / "model", settings, "run", "m-0")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    table = pandas.DataFrame({"text": TEXTS, **({"text_pair": TEXTS[::-1]} if pair else {})})
    found = model.predict(table)
    assert list(found) == list(answer)
    said = Model.load(str(tmp_path / "model")).signature.outputs
    assert [str(column.type).removeprefix("DataType.") for column in said] == list(answer.values())
    assert len(found) == len(TEXTS)


def test_the_model_carries_all_the_code_it_needs():
    """No module of the served code imports one that is not among it."""
    import ast

    served = registry.served_modules()
    assert Path("deploy/serving.py") in served and Path("deploy/__init__.py") in served
    assert not {path for path in served if path.parts[0] in ("tracking", "stages", "jobs", "training", "evaluation")}
    for path in served:
        for node in ast.parse((REPO / "ofa" / path).read_text()).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ofa."):
                module = Path(*node.module.split(".")[1:])
                files = {module.with_suffix(".py"), *(module / f"{alias.name}.py" for alias in node.names)}
                assert files & set(served), f"{path} imports {node.module}"

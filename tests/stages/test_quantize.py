"""INT8 networks: what is written, what is refused, and where they are found afterwards."""

import json
import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.jobs import tiny

from ofa.data.tokens import Encoded
from ofa.deploy.engines import load_engine, run_openvino
from ofa.deploy.serving import TextClassifier, settings_of
from ofa.jobs.job import run_job
from ofa.settings.schema import STAGES, Int8Config, TaskConfig
from ofa.stages import quantize as stage
from ofa.stages.inputs import load_inputs
from ofa.stages.pipeline import plan
from ofa.store import Store
from ofa.system import machine
from ofa.system.files import file_digest

pytestmark = pytest.mark.job


@pytest.fixture
def config(tmp_path):
    """The tiny job, with the files for GPUs too; one dev row is four points of its score."""
    job = tiny(tmp_path)
    latency = replace(job.latency, engines=["onnxruntime"])
    int8 = Int8Config(max_drop=50.0, gpu_graphs=["tensorrt_int8", "onnxruntime_fp16"])
    return replace(job, latency=latency, int8=int8, stages=list(STAGES))


def folder_of(config, stage="quantize"):
    return next((Path(config.output_dir) / "store").glob(f"{stage}-*"))


def run_folder(config):
    """Of the job that scored; its export alone was another."""
    return next((Path(config.output_dir) / "runs").glob("*/report.md")).parent


def test_what_is_deployed_is_in_one_folder_and_int8_stands_wherever_fp32_does(config):
    results = run_job(config, "")
    folder, written = folder_of(config), json.loads((run_folder(config) / "results.json").read_text())
    assert results.export == written["export"] == folder.name
    for entry, network in zip(written["widths"], results.networks, strict=True):
        files = {path.name: path for path in (folder / network.name).iterdir()}
        exported = {path.name for path in (folder_of(config, "export") / network.name).iterdir()}
        assert set(files) - exported == {"model.int8.onnx", "model.int8.qdq.onnx", "model.fp16.onnx", "README.md"}
        assert entry["bytes"] == files["model.onnx"].stat().st_size
        assert entry["int8"].keys() == {"score", "metrics", "drop", "bytes", "kept_fp32", "smoothed", "drop_in_batches"}
        assert entry["int8"]["bytes"] == files["model.int8.onnx"].stat().st_size < entry["bytes"]
        assert set(entry["gpu_graphs"]) == {"tensorrt_int8", "onnxruntime_fp16"}
        assert entry["latency_ms"]["cpu_int8_b2_s8_measured"] > 0
        assert ("onnxruntime", "int8") in {(one["engine"], one["precision"]) for one in entry["parity"]}
    assert "INT8 size" in (run_folder(config) / "report.md").read_text()
    assert (run_folder(config) / "w0.5").resolve() == folder / "w0.5"


def test_without_int8_the_stage_is_left_out(config):
    results = run_job(replace(config, int8=Int8Config(enabled=False)), "")
    assert results.export == folder_of(config, "export").name
    assert not list((Path(config.output_dir) / "store").glob("quantize-*"))
    assert all(not network.reduced for network in results.networks)
    assert {one.precision for one in results.networks[0].latencies} == {"fp32"}


def test_stages_before_keep_their_keys(config):
    inputs, store = load_inputs(config), Store(Path(config.output_dir))
    keys = {}
    for int8 in (Int8Config(enabled=False), Int8Config(), config.int8):
        *_, (_, _, folders) = plan(replace(config, int8=int8), inputs, store)
        keys[len(keys)] = {name: folder.name for name, folder in folders.items()}
    assert all(keys[0][name] == keys[1][name] == keys[2][name] for name in STAGES[:5])
    assert "quantize" not in keys[0] and keys[1]["quantize"] != keys[2]["quantize"]


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed (make openvino)")
def test_openvino_gets_a_graph_that_it_has_judged_itself(config, monkeypatch):
    latency = replace(config.latency, engines=["onnxruntime", "openvino"])
    asked = replace(config, latency=latency, int8=replace(config.int8, gpu_graphs=[]))
    judged = []
    monkeypatch.setattr(stage, "run_openvino", lambda path, **more: judged.append(path) or run_openvino(path, **more))
    results = run_job(asked, "")
    written = json.loads((run_folder(asked) / "results.json").read_text())
    assert [path.name for path in judged] == ["model.int8.openvino.onnx"] * 2
    for entry, network in zip(written["widths"], results.networks, strict=True):
        file = folder_of(asked) / network.name / "model.int8.openvino.onnx"
        assert entry["cpu_graphs"]["openvino_int8"]["bytes"] == file.stat().st_size < entry["bytes"]
        proven = {(one["engine"], one["precision"]): one for one in entry["parity"]}
        assert proven["openvino", "fp32"]["logit_difference"] < 1e-4 < proven["openvino", "int8"]["logit_difference"]
        assert {"cpu_openvino_fp32_b2_s8_measured", "cpu_openvino_int8_b2_s8_measured"} <= set(entry["latency_ms"])


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """What ``_judge`` says of four rows with these answers in batches of each size, where the network gave others."""
    labels = np.array([1, 1, 1, 0])
    rows = Encoded(np.arange(4), np.arange(5), np.ones(4), labels, np.zeros(4, bool))
    (tmp_path / "graph").write_bytes(b"12345")

    def judge(most, network, *answers):
        task = TaskConfig("toy", labels=["no", "yes"], metrics=["f1", "accuracy"])
        config = SimpleNamespace(task=task, int8=Int8Config(max_drop=most))
        context = SimpleNamespace(config=config, inputs=SimpleNamespace(dev={"dev": rows}))
        monkeypatch.setattr(stage, "_logits", lambda context, path, engine, size: {"dev": np.eye(2)[answers[size]]})
        whose, expected = ("w1", "onnxruntime", "int8"), {"dev": np.eye(2)[network]}
        return stage._judge(context, whose, tmp_path / "graph", expected, tuple(range(len(answers))))

    return judge


@pytest.mark.parametrize(("offset", "offered"), [(0.01, True), (3.0, False)])
def test_scores_that_only_correlate_with_the_network_s_are_refused(offset, offered, monkeypatch, tmp_path):
    labels = np.arange(4, dtype=np.float32)
    rows = Encoded(np.arange(4), np.arange(5), np.ones(4), labels, np.zeros(4, bool))
    config = SimpleNamespace(task=TaskConfig("toy", score_range=[0, 5], metrics=["pearson"]), int8=Int8Config())
    context = SimpleNamespace(config=config, inputs=SimpleNamespace(dev={"dev": rows}))
    (tmp_path / "graph").write_bytes(b"12345")
    monkeypatch.setattr(stage, "_logits", lambda *_: {"dev": labels[:, None] + offset})
    found = stage._judge(context, ("w1", "onnxruntime", "int8"), tmp_path / "graph", {"dev": labels[:, None]}, (1, 16))
    assert found["drop"] == pytest.approx(0) and (found["refused"] is None) == offered
    assert offered or found["refused"].startswith("w1 in int8 for onnxruntime: its scores are off by 3 (root mean squ")


RIGHT, WORSE = [1, 1, 1, 0], [1, 1, 0, 0]


@pytest.mark.parametrize(("most", "offered"), [(25.0, True), (24.999, False)])
def test_the_gate_is_the_loss_of_the_worst_metric_and_allows_that_exactly(judged, most, offered):
    """One of four rows is lost: accuracy falls by 25 points, F1 from 1 by 20 or less; the other way round it gains."""
    found = judged(most, RIGHT, WORSE)
    assert found["metrics"] == {"f1": pytest.approx(0.8), "accuracy": 0.75} and found["score"] == pytest.approx(0.8)
    assert found["drop"] == 25 and found["bytes"] == 5 and (found["refused"] is None) == offered
    gained = judged(most, WORSE, RIGHT)
    assert gained["drop"] == pytest.approx(-20) and gained["refused"] is None


@pytest.mark.parametrize(("most", "offered"), [(12.5, True), (12.499, False)])
def test_a_graph_that_answers_otherwise_in_other_batches_is_judged_by_the_mean(judged, most, offered):
    found = judged(most, RIGHT, WORSE, RIGHT)
    assert found["metrics"] == {"f1": pytest.approx(0.9), "accuracy": 0.875} and (found["refused"] is None) == offered
    assert found["drop"] == 12.5 and found["drop_in_batches"] == {"0": 25, "1": 0}
    assert found["parity"]["logit_difference"] == 1, "of the batches that differ most"
    constant = judged(100.0, RIGHT, RIGHT, [1, 1, 1, 1])
    assert "the same for every row" in constant["refused"], "in any of them"


@pytest.fixture
def exported(config):
    """The tiny job up to its export."""
    run_job(replace(config, stages=["export"]), "")
    return config


def test_a_part_that_loses_too_much_goes_back_to_fp32_and_is_named(exported, monkeypatch):
    """With a `_judge` that refuses whatever has all of it in INT8: the most sensitive part is found by logits."""
    monkeypatch.setattr(stage, "most_sensitive", lambda source, method: ["layer 1 output", "head", "embeddings"])
    judge, judged = stage._judge, []

    def strict(context, whose, *more):
        entry = judge(context, whose, *more)
        judged.append(whose)
        return entry | {"refused": f"{whose[0]}: loses 9.00 points" if len(judged) % 3 else None}

    monkeypatch.setattr(stage, "_judge", strict)
    int8 = replace(exported.int8, gpu_graphs=[])
    results = run_job(replace(exported, int8=int8, stages=["evaluate", "quantize"]), "")
    reduced = [one for network in results.networks for one in network.reduced]
    assert [(one.kept_fp32, one.smoothed) for one in reduced] == [(("layer 1 output",), True)] * 2
    assert all(one.drop_in_batches.keys() == {"1", "16", "128"} for one in reduced)
    sizes = [network.reduced[0].bytes for network in results.networks]
    assert results.networks[0].bytes > sizes[0]


def test_outliers_are_smoothed_first_then_parts_go_back_one_by_one(monkeypatch):
    monkeypatch.setattr(stage, "smooth", lambda source: "smooth")
    monkeypatch.setattr(stage, "most_sensitive", lambda source, method: ["a", "b", "c"] if source == "smooth" else [])
    turns = [("plain", []), ("smooth", []), ("smooth", ["a"]), ("smooth", ["a", "b"])]
    for tries, expected in {0: turns[:1], 1: turns[:2], 2: turns[:3], 3: turns, 9: turns}.items():
        assert list(stage._attempts("plain", "dynamic", tries)) == expected


def test_a_network_that_loses_too_much_in_any_form_gets_no_file_and_one_line(exported, monkeypatch, caplog):
    monkeypatch.setattr(stage.alarms, "reduced", lambda what, *_: [f"{what}: it gives every row the same class."])
    int8 = replace(exported.int8, gpu_graphs=[], tries=2)
    with caplog.at_level(logging.WARNING):
        results = run_job(replace(exported, int8=int8, stages=["evaluate", "quantize"]), "")
    assert not list(folder_of(exported).glob("*/model.int8.onnx"))
    assert all(not network.reduced for network in results.networks)
    said = [record.getMessage() for record in caplog.records if "quantize:" in record.getMessage()]
    assert len(said) == 2 and "w1 in int8 for onnxruntime: it gives every row the same class" in said[0]
    assert any("w0.5 in int8 for onnxruntime" in warning for warning in results.warnings)
    assert "w0.5 in int8" in (run_folder(exported) / "report.md").read_text()


def test_the_same_files_come_out_again(exported):
    job = replace(exported, stages=["quantize"])
    run_job(job, "")
    first = {path.name: file_digest(path) for path in folder_of(exported).glob("w1/*")}
    run_job(replace(job, force=["quantize"]), "")
    assert {path.name: file_digest(path) for path in folder_of(exported).glob("w1/*")} == first


def test_a_served_int8_network_answers_as_its_graph(config):
    run_job(replace(config, stages=["evaluate", "quantize"]), "yaml: here\n")
    folder = folder_of(config) / "w1"
    texts = ["good film", "poor plot not very fine"]
    small = TextClassifier(folder, settings_of(config, "int8"))
    forward = load_engine(folder, "onnxruntime", "int8")
    logits = small.logits(texts, None)
    assert np.abs(logits - TextClassifier(folder, settings_of(config)).logits(texts, None)).max() > 0
    ids = np.array([[2, 5, 6, 3]])
    assert forward(ids, np.zeros_like(ids)).shape == (1, 2) and np.isfinite(logits).all()


def test_a_cpu_without_vnni_is_told_that_int8_gains_little(exported, monkeypatch, caplog):
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx2"}))
    with caplog.at_level(logging.WARNING):
        results = run_job(replace(exported, stages=["evaluate", "quantize"]), "")
    assert any("neither VNNI nor AMX" in record.getMessage() for record in caplog.records)
    assert any("neither VNNI nor AMX" in warning for warning in results.warnings)

"""Depths, the final finetuning and jobs for one target, as whole jobs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.jobs import config_path, made, stages_of
from safetensors.numpy import load_file

from ofa.errors import Interrupted
from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.results.collect import read
from ofa.settings.schema import STAGES, Config, LoopConfig
from ofa.stages.inputs import load_inputs
from ofa.stages.runner import run_stages
from ofa.store import Store
from ofa.supernet.subnet import SubNet
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job

GRID = ["w1", "w0.5", "w1-d0.5", "w0.5-d0.5"]


@pytest.fixture
def deep(config: Config) -> Config:
    """The job of the tests of stages, with half of its two layers, too."""
    trainer = replace(config.trainer, depth=replace(config.trainer.distill))
    return replace(config, ofa=replace(config.ofa, depths=[1.0, 0.5]), trainer=trainer)


def folder_of(config: Config, stage: str) -> Path:
    (folder,) = (config_path(config) / "store").glob(f"{stage}-*[0-9a-f]")
    return folder


def weights(path: Path) -> dict[str, np.ndarray]:
    return load_file(path / "model.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return set(first) == set(second) and all((first[key] == second[key]).all() for key in first)


def test_every_width_at_every_depth_from_settings_to_latency(deep: Config) -> None:
    results = run_job(replace(deep, stages=list(STAGES)), "")
    assert [network.name for network in results.networks] == GRID
    assert [(one.width, one.depth) for one in results.networks] == [(1, 1), (0.5, 1), (1, 0.5), (0.5, 0.5)]
    by_name = {network.name: network for network in results.networks}
    assert by_name["w1-d0.5"].macs < by_name["w0.5"].macs * 1.2 and by_name["w0.5-d0.5"].params < by_name["w0.5"].params
    for network in results.networks:
        assert {parity["engine"] for parity in network.parity} == {"paddle", "onnxruntime"}
        kinds = {(latency.engine, latency.kind) for latency in network.latencies}
        assert {("paddle", "measured"), ("onnxruntime", "measured")} <= kinds
        assert network.undistilled is not None and network.last is not None
    (run,) = (config_path(deep) / "runs").iterdir()
    entries = json.loads((run / "results.json").read_text())["widths"]
    assert [(entry["width"], entry["depth"]) for entry in entries] == [(1, 1), (0.5, 1), (1, 0.5), (0.5, 0.5)]
    assert read(run) == results
    exported = folder_of(deep, "export") / "w0.5-d0.5"
    assert json.loads((exported / "config.json").read_text())["num_hidden_layers"] == 1
    assert read_folder(exported).subnet == SubNet((2,), (32,))
    network, folder = models.load(folder_of(deep, "distill_depth") / "widths" / "w1-d0.5")
    assert folder.subnet is None and folder.shape.num_hidden_layers == 1, "a plain BERT of fewer layers"
    tokens = paddle.to_tensor([[2, 7, 8, 3]]), paddle.zeros([1, 4], "int64")
    network.eval()
    np.testing.assert_allclose(network(*tokens).numpy(), models.forward(network, *tokens)[0].numpy(), atol=1e-6)


def test_depths_leave_the_work_on_widths_as_it_is(config: Config, deep: Config) -> None:
    run_job(config, "")
    before = set(made(config))
    run_job(deep, "")
    assert stages_of(set(made(deep)) - before) == ["distill_depth", "evaluate"]
    run_job(replace(deep, ofa=replace(deep.ofa, depth_hidden_weight=0.5)), "")
    assert stages_of(set(made(deep)) - before) == ["distill_depth"] * 2 + ["evaluate"] * 2


def test_a_whole_network_keeps_what_the_first_stage_made_of_it_until_it_is_beaten(deep: Config) -> None:
    results = run_job(deep, "")
    first, second = (json.loads((folder_of(deep, name) / "distill.json").read_text())["best"]
                     for name in ("distill", "distill_depth"))  # fmt: skip
    assert set(first) == {"w1", "w0.5"} and set(second) == set(GRID)
    for name in first:
        assert second[name]["score"] >= first[name]["score"]
        places = [folder_of(deep, stage) / "widths" / name for stage in ("distill", "distill_depth")]
        assert same(*places) == (second[name]["step"] == 0)
    assert [network.score for network in results.networks] == pytest.approx([second[name]["score"] for name in GRID])


@pytest.mark.parametrize("teacher", ["teacher", "supernet"])
def test_the_second_stage_starts_from_the_supernet_of_the_widths(
    deep: Config, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    load = models.load
    monkeypatch.setattr(models, "load", lambda path, *a, **k: loaded.append(Path(path)) or load(path, *a, **k))
    loop = replace(deep.trainer.depth, max_steps=1)
    trainer = replace(deep.trainer, depth=loop)
    run_job(replace(deep, trainer=trainer, ofa=replace(deep.ofa, depth_teacher=teacher), stages=["distill_depth"]), "")
    widths = folder_of(deep, "distill")
    expected = {"teacher": folder_of(deep, "finetune") / "model", "supernet": widths / "supernet"}[teacher]
    assert loaded[-2:] == [widths / "supernet", expected]


def test_a_stopped_second_stage_goes_on_to_the_same_bits(deep: Config, tmp_path: Path) -> None:
    run_job(replace(deep, stages=["distill_depth"]), "")
    other = replace(deep, output_dir=str(tmp_path / "other"), stages=["distill_depth"])
    inputs, store = load_inputs(other), Store(config_path(other) / "store")
    begun: list[int] = []

    def stop() -> bool:
        part = list(store.root.glob("distill_depth-*.part"))
        begun.extend(part and [1])
        return len(begun) > 3

    with pytest.raises(Interrupted, match="depth stopped after step 4 of 6"):
        run_stages(other, inputs, NullMonitor(), store, stop)
    run_stages(other, inputs, NullMonitor(), store)
    for name in GRID:
        pair = [folder_of(job, "distill_depth") / "widths" / name for job in (deep, other)]
        assert same(*pair), name


def test_the_final_finetuning_is_kept_where_it_helps_on_rows_held_out(deep: Config) -> None:
    final = LoopConfig(max_steps=40, batch_size=16, learning_rate=3e-3, eval_steps=10)
    job = replace(deep, trainer=replace(deep.trainer, final=final, final_held_out=0.25))
    results = run_job(job, "")
    record = json.loads((folder_of(job, "final") / "final.json").read_text())
    assert list(record) == GRID
    for name, kept in record.items():
        places = [folder_of(job, stage) / "widths" / name for stage in ("distill_depth", "final")]
        assert (kept["score"] > kept["before"]) == (kept["step"] > 0) == (not same(*places)), name
    assert any(kept["step"] for kept in record.values()), "six steps of distillation leave something to learn"
    network, _ = models.load(folder_of(job, "final") / "widths" / "w0.5-d0.5")
    assert len(network.bert.encoder.layers) == 1 and len(results.networks) == 4


def test_a_stopped_final_finetuning_of_widths_goes_on_to_the_same_bits(config: Config, tmp_path: Path) -> None:
    final = LoopConfig(max_steps=4, batch_size=16, learning_rate=3e-3)
    one_device = replace(config.hardware, devices=1)  # as run_job has it, in the keys of the store
    job = replace(config, trainer=replace(config.trainer, final=final), hardware=one_device)
    run_job(job, "")
    assert stages_of(made(job)) == ["distill", "evaluate", "final", "finetune", "reorder"]
    other = replace(job, output_dir=str(tmp_path / "other"))
    shutil.copytree(config_path(job) / "store", config_path(other) / "store")
    shutil.rmtree(folder_of(other, "final"))
    inputs, store = load_inputs(other), Store(config_path(other) / "store")
    asked: list[int] = []
    with pytest.raises(Interrupted, match="final stopped after step 2 of 4"):  # of the second network
        run_stages(other, inputs, NullMonitor(), store, lambda: bool(asked.append(1)) or len(asked) > 4 + 4 + 1)
    (work,) = store.root.glob("final-*.part/work")
    assert (work / "w1" / "done.json").exists() and not list((work / "w1").glob("step-*"))
    run_stages(other, inputs, NullMonitor(), store)
    for name in ("w1", "w0.5"):
        assert same(*(folder_of(one, "final") / "widths" / name for one in (job, other))), name


@pytest.mark.parametrize(("width", "depth", "name"), [(0.5, 1.0, "w0.5"), (0.5, 0.5, "w0.5-d0.5")])
def test_one_target_is_compared_with_the_teacher(deep: Config, width: float, depth: float, name: str) -> None:
    ofa = replace(deep.ofa, widths=[width], depths=[depth])
    results = run_job(replace(deep, ofa=ofa, stages=list(STAGES)), "")
    (network,) = results.networks
    assert network.name == name and results.teacher is not None
    assert results.largest.name == "teacher" and results.largest.macs == results.teacher.macs > network.macs
    speedups = results.speedups(network)
    assert {figure.rpartition("_")[2] for figure in speedups} >= {"measured"}
    assert set(speedups) == {latency.name(results.unnamed_engine) for latency in network.latencies}
    assert same(folder_of(deep, "export") / "teacher", folder_of(deep, "finetune") / "model")
    (run,) = (config_path(deep) / "runs").iterdir()
    assert read(run) == results


def test_a_step_trains_the_ends_of_the_grid_and_draws_between(deep: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from ofa.training.distillation import Distillation

    trained: list[list[SubNet]] = []
    step: Callable = Distillation.step
    monkeypatch.setattr(Distillation, "step", lambda self, *a: trained.append(a[2]) or step(self, *a))
    ofa = replace(deep.ofa, sampling="sandwich", sandwich_random=1)
    run_job(replace(deep, ofa=ofa, stages=["distill_depth"]), "")
    second = trained[-6:]
    assert all(len(subnets) == 3 for subnets in second)
    assert {subnets[0] for subnets in second} == {SubNet((4, 4), (64, 64))}
    assert {subnets[-1] for subnets in second} == {SubNet((2,), (32,), (1,))}

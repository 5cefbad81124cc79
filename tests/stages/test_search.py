"""Training for a search, and the search, as whole jobs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import config_path

from ofa.data.tokens import held_out
from ofa.errors import Interrupted, UserError
from ofa.jobs.job import run_job
from ofa.limits import figure
from ofa.results.collect import read
from ofa.settings.limits import SearchConfig
from ofa.settings.schema import STAGES, Config, Int8Config, TrackingConfig
from ofa.stages import keys
from ofa.stages.inputs import load_inputs
from ofa.stages.runner import run_stages
from ofa.store import Store
from ofa.supernet.layer_times import LayerTimes
from ofa.supernet.layerwise import Space
from ofa.supernet.subnet import SubNet, count_macs
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job


def stages(config: Config, stop: Callable[[], bool] = lambda: False) -> dict[str, Path]:
    return run_stages(config, load_inputs(config), NullMonitor(), Store(config_path(config) / "store"), stop)


def stop_after(asked: int) -> Callable[[], bool]:
    times = iter(range(asked))
    return lambda: next(times, None) is None


def test_training_per_layer_resumes_with_the_same_draws(config: Config, tmp_path: Path) -> None:
    config = replace(config, ofa=replace(config.ofa, sampling="layers", sandwich_random=1), stages=["distill"])
    whole = stages(config)["distill"]
    again = replace(config, output_dir=str(tmp_path / "again"))
    with pytest.raises(Interrupted, match="distill stopped after step . of 6"):
        stages(again, stop_after(12))
    resumed = stages(again)["distill"]
    weights = "supernet/model.safetensors"
    assert (whole / weights).read_bytes() == (resumed / weights).read_bytes()
    other = replace(config, ofa=replace(config.ofa, sampling="all"))
    assert (stages(other)["distill"] / weights).read_bytes() != (whole / weights).read_bytes()


@pytest.fixture
def searching(config: Config) -> Config:
    """The job of the tests of stages, its labels as scores so that no two networks are equal.

    There are 2 to 4 heads and 32 to 64 neurons in each of its two layers, of which one may be left out.
    """
    scores = {"labels": [], "label_values": None, "score_range": [0.0, 1.0], "metrics": ["pearson"]}
    ofa = replace(config.ofa, sampling="layers", sandwich_random=1, depths=[1.0, 0.5])
    finetune = replace(config.trainer.finetune, max_steps=40, learning_rate=3e-3, save_steps=40)
    trainer = replace(config.trainer, finetune=finetune, depth=replace(config.trainer.distill))
    limits = SearchConfig(max_macs=220_000, max_bytes=120_000, rows=20, evaluations=30, networks=2)
    return replace(config, task=replace(config.task, **scores), ofa=ofa, trainer=trainer, search=limits)


def found(folders: dict[str, Path]) -> dict[str, Any]:
    return json.loads((folders["search"] / "search.json").read_text())


def test_from_limits_to_networks_that_are_exported_proven_and_timed(searching: Config) -> None:
    results = run_job(replace(searching, stages=list(STAGES)), "")
    search, shape = results.search, load_inputs(searching).shape
    assert search is not None and len(search["front"]) > 0 and search["evaluations"] == 30 and search["rows"] == 20
    names = [entry["name"] for entry in search["front"]]
    chosen = [names[0], names[-1]]
    assert [network.name for network in results.networks] == ["w1", "w0.5", "w1-d0.5", "w0.5-d0.5", *chosen]
    assert results.recommended is not None and results.recommended.name == "search1"
    (run,) = (config_path(searching) / "runs").iterdir()
    assert read(run) == results and {"front.png", "search1", "recommended"} <= {path.name for path in run.iterdir()}
    for entry in search["front"]:
        subnet = SubNet.from_dict(entry["subnet"])
        assert entry["costs"]["max_macs"] == count_macs(shape, subnet, 16) <= 220_000
        assert entry["costs"]["max_bytes"] <= 120_000 and entry["share"] <= 1
    for name in chosen:
        network, entry = results.network(name), search["front"][names.index(name)]
        assert network is not None and network.macs == entry["costs"]["max_macs"]
        assert network.bytes is not None and 0.8 < network.bytes / entry["costs"]["max_bytes"] <= 1
        assert {parity["engine"] for parity in network.parity} == {"paddle", "onnxruntime"}
        assert {"measured"} == {latency.kind for latency in network.latencies}
        assert network.undistilled is not None and network.last is None
    assert len({entry["score"] for entry in search["uniform"]}) > 1, "the rows tell networks apart"
    assert {entry["name"] for entry in search["uniform"]} == {"w1", "w0.5", "w1-d0.5", "w0.5-d0.5"}


def test_neither_the_weights_that_dev_chose_nor_jobs_without_a_search_are_touched(searching: Config) -> None:
    """A search is among the shared weights of the last step, whichever the dev rows keep of a uniform network."""
    first = stages(replace(searching, stages=["search"]))
    other = replace(searching, ofa=replace(searching.ofa, keep="last"), stages=["search"])
    again = stages(other)
    assert first["search"] != again["search"] and found(first) == found(again)
    without = stages(replace(searching, search=SearchConfig(), stages=["distill"]))
    assert without["distill"] != first["distill"] and without["reorder"] == first["reorder"]


def test_with_unseen_no_label_of_the_rows_it_scores_on_reaches_the_teacher(searching: Config, tmp_path: Path) -> None:
    config = replace(searching, search=replace(searching.search, unseen=True), stages=["reorder"])
    other = tmp_path / "other"
    shutil.copytree(config.task.data_dir or "", other)
    head, *lines = (other / "train.tsv").read_text().splitlines()
    for number in held_out(len(lines), config.search.rows, config.trainer.seed)[1]:
        text, label = lines[number].split("\t")
        lines[number] = f"{text}\t{1 - int(label)}"
    (other / "train.tsv").write_text("\n".join([head, *lines]) + "\n")

    def teachers(unseen: bool) -> list[bytes]:
        search = replace(config.search, unseen=unseen)
        of_files = (replace(config.task, data_dir=folder) for folder in (config.task.data_dir, str(other)))
        folders = [stages(replace(config, search=search, task=task)) for task in of_files]
        return [(one["reorder"] / "model" / "model.safetensors").read_bytes() for one in folders]

    first, second = teachers(unseen=True)
    assert first == second
    first, second = teachers(unseen=False)
    assert first != second


def test_it_goes_on_where_it_was_stopped_and_finds_the_same(searching: Config) -> None:
    again = replace(searching, stages=["search"])
    folders = stages(again)
    whole = found(folders)
    shutil.rmtree(folders["search"])
    with pytest.raises(Interrupted, match="search stopped after 7 networks"):
        stages(again, stop_after(5 + 7))
    assert found(stages(again)) == whole


def folder_of(folders: dict[str, Path], stage: str, name: str) -> bytes:
    return (folders[stage] / "widths" / name / "model.safetensors").read_bytes()


@pytest.fixture
def specialising(searching: Config) -> Config:
    return replace(searching, search=replace(searching.search, specialise_epochs=4), stages=["specialise"])


def test_what_was_found_is_distilled_alone_and_kept_where_it_helps_on_rows_held_out(specialising: Config) -> None:
    folders = stages(specialising)
    record = json.loads((folders["specialise"] / "specialise.json").read_text())
    front = {entry["name"]: entry for entry in found(folders)["front"]}
    assert list(record) == [name for name, entry in front.items() if entry["chosen"]]
    for name, kept in record.items():
        assert kept["before"] == front[name]["score"], "the network that the search scored, on the rows it scored"
        same = folder_of(folders, "search", name) == folder_of(folders, "specialise", name)
        assert (kept["score"] > kept["before"]) == (kept["step"] > 0) == (not same)
    assert any(kept["step"] for kept in record.values()), "six steps of distillation leave something to learn"
    without = replace(specialising, search=replace(specialising.search, specialise_epochs=0), stages=["search"])
    assert stages(without)["search"] == folders["search"], "the search is the same one"


def test_a_stopped_distillation_of_one_network_goes_on_to_the_same_bits(specialising: Config, tmp_path: Path) -> None:
    whole = stages(specialising)
    again = replace(specialising, output_dir=str(tmp_path / "again"))
    shutil.copytree(whole["search"].parent, tmp_path / "again" / "store")
    shutil.rmtree(tmp_path / "again" / "store" / whole["specialise"].name)
    with pytest.raises(Interrupted, match="specialise stopped after step 3 of 20"):
        stages(again, stop_after(6 + 20 + 2))
    resumed = stages(again)
    names = json.loads((whole["specialise"] / "specialise.json").read_text())
    assert all(folder_of(whole, "specialise", name) == folder_of(resumed, "specialise", name) for name in names)


def test_networks_found_have_runs_before_a_later_stage_reports_to_them(specialising: Config) -> None:
    tracked = replace(specialising, tracking=TrackingConfig(register_models=False), stages=["evaluate"])
    run_job(tracked, "")
    (journal,) = (config_path(tracked) / "runs").glob("*/tracking.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    of_found = [entry["op"] for entry in entries if entry.get("run") == "search1"]
    assert of_found[0] == "run" and "metrics" in of_found


def test_what_specialising_came_to_is_in_the_results(specialising: Config) -> None:
    results = run_job(replace(specialising, stages=["evaluate"]), "")
    assert results.search is not None and results.search["specialised"].keys() == {"search1", results.networks[-1].name}
    assert any("distilled alone" in remark for remark in results.warnings)


def timing(config: Config, way: str, limit: float, names: list[str]) -> Config:
    """A search with a limit on what this machine takes, as far as the stages of these names."""
    own = SearchConfig(max_latency_ms=limit, figure=f"cpu_{way}_b2_s8_measured", rows=20, evaluations=8, networks=1)
    return replace(config, search=own, stages=names)


def test_a_limit_on_this_machine_s_own_time_is_on_layers_that_are_timed_once(searching: Config) -> None:
    searching = replace(searching, int8=Int8Config(enabled=False))
    results = run_job(timing(searching, "onnxruntime_fp32", 1e3, list(STAGES)), "")
    assert results.search is not None and results.search["figure"] == "cpu_onnxruntime_fp32_b2_s8_measured"
    checked, best = results.search["checked"]["search1"], results.network("search1")
    assert best is not None and checked["measured_ms"] == results.ms(best, results.search["figure"])
    assert checked["predicted_ms"] == results.search["front"][0]["costs"]["max_latency_ms"] > 0
    (table,) = (config_path(searching) / "store").glob("layer_times-*")
    before = (table / "stage.json").stat().st_mtime_ns
    least = LayerTimes.read(table).ms(load_inputs(searching).space.smallest)
    again = stages(timing(searching, "onnxruntime_fp32", 1.2 * least, ["search"]))
    assert again["layer_times"] == table and (table / "stage.json").stat().st_mtime_ns == before
    assert all(entry["costs"]["max_latency_ms"] <= 1.2 * least for entry in found(again)["front"])


def test_a_measured_limit_that_nothing_meets_is_refused_before_training_also_by_a_table_of_before(
    searching: Config,
) -> None:
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            run_job(timing(searching, "fp32", 0.001, list(STAGES)), "")
        assert str(caught.value).startswith("search.max_latency_ms: 0.001 is less than any network of this job has")
        assert [path.name.split("-")[0] for path in (config_path(searching) / "store").glob("*-*")] == ["layer_times"]


def test_layers_are_timed_in_int8_too_and_go_on_where_they_were_stopped(searching: Config) -> None:
    config = timing(searching, "onnxruntime_int8", 1e3, ["layer_times"])
    with pytest.raises(Interrupted, match="layer_times stopped after 2 networks"):
        stages(config, stop_after(1 + 2))
    (kept,) = (config_path(searching) / "store").glob("layer_times-*.part/work/1")
    made = (kept / "model.int8.onnx").stat().st_mtime_ns
    asked = []
    stages(config, lambda: asked.append((kept / "model.int8.onnx").stat().st_mtime_ns) is not None)
    assert set(asked[1:3]) == {made}
    (folder,) = (config_path(searching) / "store").glob("layer_times-*")
    table = LayerTimes.read(folder)
    assert list(table.heads) == [2, 3, 4] and list(table.neurons) == [32, 48, 64]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_macs": 1000.0}, "search.max_macs: 1,000 is less than any network of this job has; the least is "),
        ({"max_params": 5.0, "max_macs": 1e9}, "search.max_params: 5 is less"),
        ({"max_macs": 1e9, "rows": 49}, "search.rows: 49 of 96 training rows; allowed: up to 48"),
    ],
)
def test_what_cannot_be_is_a_line_before_anything_is_trained(searching: Config, limits: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        run_job(replace(searching, search=SearchConfig(**{"rows": 20, **limits})), "")
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)
    assert not (config_path(searching) / "store").exists()


def test_an_estimated_limit_is_of_an_engine_that_its_name_may_leave_out(
    quickstart: Callable[..., Config], searching: Config
) -> None:
    engines, inputs = ("tensorrt", "paddle"), load_inputs(searching)
    others = [quickstart("search.max_latency_ms=8", f"latency.estimate_engines=[{name}]") for name in engines]
    assert {figure(one) for one in others} == {"t4_fp16_b16_s32_estimated"}
    first, second = (keys.search(one, inputs) for one in others)
    assert first != second


def test_sizes_that_are_searched_are_those_that_were_trained_from_a_cut_network_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layers have fewer heads than its size would say, which the sizes between must go by."""
    run_job(replace(config, stages=["evaluate", "export"]), "")
    (source,) = (config_path(config) / "runs").glob("*/w0.5")
    model = replace(config.model, name="again", path=str(source), accept_weak_teacher=True)
    ofa = replace(config.ofa, sampling="layers", sandwich_random=1)
    again = replace(config, model=model, ofa=ofa, stages=["distill"], output_dir=str(tmp_path / "again"))
    trained, searched = [], load_inputs(again).space
    between = Space.between
    monkeypatch.setattr(Space, "between", lambda *given: trained.append(between(*given)) or trained[-1])
    run_stages(again, load_inputs(again), NullMonitor(), Store(tmp_path / "again" / "store"))
    assert trained and all(space == searched for space in trained)

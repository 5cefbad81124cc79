"""The store: what is reused, what is made again, and what a job leaves behind."""

import json
from dataclasses import replace

import pytest
from helpers.jobs import config_path, made, stages_of

from ofa.data.batches import collate
from ofa.errors import Interrupted
from ofa.jobs import job
from ofa.jobs.job import run_job
from ofa.settings.schema import STAGES, ImportanceConfig, LoopConfig
from ofa.stages.inputs import load_inputs
from ofa.stages.pipeline import plan, wanted_stages
from ofa.stages.runner import run_stages
from ofa.store import Store, clean
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job


def test_a_job_writes_results_and_leaves_no_parts(config):
    results = run_job(replace(config, stages=list(STAGES)), "yaml: here\n")
    folder = next((config_path(config) / "runs").iterdir())
    written = json.loads((folder / "results.json").read_text())
    assert written == json.loads(json.dumps(results.to_json()))
    assert {"task", "model", "seed", "teacher", "widths"} <= set(written)
    assert set(written["teacher"]) == {"score", "metrics", "params", "macs"}
    for entry, heads in zip(written["widths"], (4, 2), strict=True):
        assert {"width", "heads", "neurons", "score", "metrics", "params", "macs"} <= set(entry)
        assert entry["heads"] == heads and entry["neurons"] == 16 * heads
        assert 0 <= entry["score"] <= 1 and entry["bytes"] > 0
        assert {p["engine"] for p in entry["parity"]} == {"paddle", "onnxruntime"}
        assert entry["latency_ms"]["cpu_fp32_b2_s8_measured"] > 0
        assert entry["latency_ms"]["cpu_onnxruntime_fp32_b2_s8_measured"] > 0
    assert "width 0.5" in (folder / "report.md").read_text()
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "config.yaml").read_text() == "yaml: here\n"
    assert not list((config_path(config) / "store").glob("*.part"))


def test_the_same_job_again_makes_nothing_and_reports_the_same(config):
    first, before = run_job(config, ""), made(config)
    assert run_job(config, "") == first
    assert made(config) == before


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda c: replace(c, ofa=replace(c.ofa, widths=[1.0, 0.75])), ["distill", "evaluate"]),
        (lambda c: replace(c, ofa=replace(c.ofa, tolerance=3.0)), []),
        (
            lambda c: replace(c, trainer=replace(c.trainer, distill=replace(c.trainer.distill, batch_size=8))),
            ["distill", "evaluate"],
        ),
        (
            lambda c: replace(c, trainer=replace(c.trainer, finetune=replace(c.trainer.finetune, max_steps=5))),
            ["distill", "evaluate", "finetune", "reorder"],
        ),
        (
            lambda c: replace(c, ofa=replace(c.ofa, importance=ImportanceConfig("dev"))),
            ["distill", "evaluate", "reorder"],
        ),
        (
            lambda c: replace(c, trainer=replace(c.trainer, distill=replace(c.trainer.distill, save_steps=3))),
            [],
        ),
        (lambda c: replace(c, trainer=replace(c.trainer, seed=1)), ["distill", "evaluate", "finetune", "reorder"]),
    ],
)  # fmt: skip
def test_a_change_makes_again_only_what_it_touches(config, change, again):
    run_job(config, "")
    before = set(made(config))
    run_job(change(config), "")
    assert stages_of(set(made(config)) - before) == again


def test_changed_rows_make_everything_again(config, tmp_path):
    run_job(config, "")
    before = set(made(config))
    train = tmp_path / "data" / "train.tsv"
    train.write_text(train.read_text() + "very good\t1\n")
    run_job(config, "")
    assert stages_of(set(made(config)) - before) == ["distill", "evaluate", "finetune", "reorder"]


def test_cleaning_beside_a_running_job_leaves_what_it_needs(config, monkeypatch):
    run_job(config, "")
    removed = []

    def with_cleaning(*arguments):
        removed.extend(clean(Store(config_path(config) / "store"), 0, None))
        return run_stages(*arguments)

    monkeypatch.setattr(job, "run_stages", with_cleaning)
    run_job(replace(config, ofa=replace(config.ofa, widths=[1.0, 0.75])), "")
    assert stages_of(entry.path.name for entry in removed) == ["distill", "evaluate"]
    assert stages_of(made(config)) == ["distill", "evaluate", "finetune", "reorder"]


DISTILLED = "finetune reorder distill"


@pytest.mark.parametrize(
    ("picked", "depths", "final", "names"),
    [
        ("distill", [1.0], 0, DISTILLED),
        ("latency", [1.0], 0, f"{DISTILLED} export quantize latency"),
        ("reorder finetune", [1.0], 0, "finetune reorder"),
        ("distill", [1.0, 0.5], 1, DISTILLED),
        ("evaluate", [1.0, 0.5], 0, f"{DISTILLED} distill_depth evaluate"),
        ("latency", [1.0, 0.5], 1, f"{DISTILLED} distill_depth final export quantize latency"),
        ("export", [1.0], 1, f"{DISTILLED} final export"),
    ],
)
def test_picked_stages_bring_what_they_need(config, picked, depths, final, names):
    trainer = replace(config.trainer, final=LoopConfig(epochs=final))
    wanted = replace(config, ofa=replace(config.ofa, depths=depths), trainer=trainer, stages=picked.split())
    assert [stage.name for stage in wanted_stages(wanted)] == names.split()


def test_a_stop_is_heard_between_stages(config):
    store = Store(config_path(config) / "store")
    with pytest.raises(Interrupted, match="stopped before distill"):
        run_stages(
            config,
            load_inputs(config),
            NullMonitor(),
            store,
            lambda: bool(list(store.root.glob("reorder-*/stage.json"))),
        )
    assert stages_of(made(config)) == ["finetune", "reorder"]


def test_a_crash_leaves_nothing_that_looks_finished(config, monkeypatch):
    monkeypatch.setattr("ofa.evaluation.scores.score", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_job(config, "")
    assert made(config) == {}
    monkeypatch.undo()
    assert run_job(config, "").networks


KEYS = {"finetune": "5ad97ae6ebe3a755", "reorder": "30b3abde107f174f", "distill": "a3f39239ee69e21d"}


def test_keys_of_stages_stay_what_they_were(config):
    """Another digest means that every store trains again. A new setting is `added` (ofa/settings/fields.py)."""
    planned = plan(config, load_inputs(config), Store(config_path(config)))
    digests = {stage.name: folders[stage.name].name.partition("-")[2] for stage, _, folders in planned}
    assert {name: digests[name] for name in KEYS} == KEYS


def test_importance_reads_every_dev_split(config, monkeypatch):
    from ofa.stages import reorder as stage

    sizes = []
    monkeypatch.setattr(stage, "collate", lambda rows, picked: sizes.append(len(rows)) or collate(rows, picked))
    task = replace(config.task, dev={"matched": "dev.tsv", "mismatched": "train.tsv"})
    importance = ImportanceConfig("dev", rows=None)
    run_job(replace(config, task=task, ofa=replace(config.ofa, importance=importance), stages=["reorder"]), "")
    assert set(sizes) == {24 + 96}


SPOILED = {
    "teacher": (
        "finetune-*/model/model.safetensors",
        lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    ),
    "vocabulary": ("finetune-*/model/vocab.txt", lambda content: content[: len(content) // 2]),
    "distill": ("distill-*/distill.json", lambda content: b""),
    "scores": ("evaluate-*/scores.json", lambda content: content.replace(b"0.", b"9.")),
    "record": ("reorder-*/stage.json", lambda content: b"{}x"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_damaged_stage_is_set_aside_and_made_again(config, name, caplog, monkeypatch):
    monkeypatch.setattr("ofa.store.SMALL", 10)  # the weights of a real network are more than is always read
    pattern, spoil = SPOILED[name]
    first = run_job(config, "")
    store = config_path(config) / "store"
    (path,) = store.glob(pattern)
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    caplog.clear()
    assert run_job(config, "") == first, "on a CPU the same is made again"
    folder = store / path.relative_to(store).parts[0]
    said = [record.getMessage() for record in caplog.records if " is damaged (" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith(f"{folder.name.split('-')[0]}: {folder.name} is damaged (")
    assert said[0].endswith(f"); kept as {folder.name}.damaged, made again")
    if path.suffix != ".json":
        assert path.read_bytes() == whole
    assert len(list(store.glob("*.damaged"))) == 1


def test_rows_that_were_left_out_are_in_results_and_report(config):
    data = next((config_path(config).parent / "data").glob("dev.tsv"))
    data.write_text(data.read_text() + "good film\tperhaps\n" * 6)
    results = run_job(replace(config, task=replace(config.task, bad_rows="skip")), "")
    (folder,) = (config_path(config) / "runs").iterdir()
    assert json.loads((folder / "results.json").read_text())["rows"]["dev"] == {"used": 24, "left_out": 6}
    assert "left out: train 96 (0), dev 24 (6)" in (folder / "report.md").read_text()
    assert "6 of 30 rows of the dev split were malformed and left out (task.bad_rows=skip)" in " ".join(
        results.warnings
    )

"""The store: what is reused, what is made again, and what a job leaves behind."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.jobs import WORDS, config_path, made, stages_of

from ofa.data.batches import collate
from ofa.errors import Interrupted, UserError
from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.settings.schema import STAGES, ImportanceConfig, LoopConfig, ModelConfig, TaskConfig
from ofa.stages.inputs import load_inputs
from ofa.stages.pipeline import plan, run_stages, wanted_stages
from ofa.store import Store
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


def test_force_runs_a_stage_again(config):
    run_job(config, "")
    before = made(config)
    run_job(replace(config, force=["distill"]), "")
    after = made(config)
    assert set(after) == set(before)
    assert stages_of(name for name in after if after[name] != before[name]) == ["distill"]


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
    job = replace(config, ofa=replace(config.ofa, depths=depths), trainer=trainer, stages=picked.split())
    assert [stage.name for stage in wanted_stages(job)] == names.split()


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


def test_a_teacher_from_elsewhere_is_taken_as_it_stands(config):
    run_job(config, "")
    teacher = next((config_path(config) / "store").glob("finetune-*")) / "model"
    model = ModelConfig("folder", path=str(teacher), accept_weak_teacher=True)  # after six steps
    other = replace(config, model=model, output_dir=str(config_path(config) / "other"))
    results = run_job(other, "")
    record = json.loads(next((config_path(other) / "store").glob("finetune-*/finetune.json")).read_text())
    assert record["skipped"] is True
    first = json.loads(next((config_path(config) / "runs").glob("*/results.json")).read_text())
    assert results.to_json()["teacher"] == first["teacher"]


def test_labels_are_matched_by_name_and_a_mismatch_is_refused(config):
    run_job(config, "")
    teacher = next((config_path(config) / "store").glob("finetune-*")) / "model"
    model = ModelConfig("folder", path=str(teacher))
    turned = replace(config.task, labels=["yes", "no"], label_values=["1", "0"])
    assert load_inputs(replace(config, model=model, task=turned)).label_order == (1, 0)
    for labels in (["no", "maybe"], ["no", "yes", "maybe"]):
        task = replace(config.task, labels=labels, label_values=["0", "1", "2"][: len(labels)])
        with pytest.raises(UserError, match=r"labels[\s\S]*set model.finetuned=false"):
            load_inputs(replace(config, model=model, task=task))


def swapped(config):
    """The job on a teacher that learned the task and calls its classes by each other's place."""
    loop = replace(config.trainer.finetune, max_steps=60, learning_rate=3e-3)
    learned = replace(config, trainer=replace(config.trainer, finetune=loop), stages=["finetune"])
    run_job(learned, "")
    teacher = next((config_path(config) / "store").glob("finetune-*")) / "model"
    described = json.loads((teacher / "config.json").read_text())
    (teacher / "config.json").write_text(json.dumps(described | {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}))
    task = replace(config.task, labels=["yes", "no"], label_values=["1", "0"])
    model = ModelConfig("folder", path=str(teacher))
    return replace(config, model=model, task=task, output_dir=str(config_path(config) / "other"))


def test_a_teacher_with_its_classes_swapped_is_refused_before_anything_is_distilled(config, caplog):
    job = swapped(config)
    with pytest.raises(UserError) as refused:
        run_job(job, "")
    said = str(refused.value)
    assert "classes are in another order" in said and "what it calls yes is no, no is yes" in said
    assert "model.accept_weak_teacher=true" in said and "epochs" not in said
    assert "task.teacher_labels=[1,0]," in said
    assert not list((config_path(job) / "store").glob("*/stage.json"))
    caplog.set_level("INFO")
    run_job(replace(job, model=replace(job.model, accept_weak_teacher=True)), "")
    assert "is the teacher as it stands; its dev score is 0." in caplog.text
    results = run_job(replace(job, task=replace(job.task, teacher_labels=["1", "0"]), stages=["evaluate"]), "")
    assert results.teacher.score > 0.9


KEYS = {"finetune": "5ad97ae6ebe3a755", "reorder": "30b3abde107f174f", "distill": "a3f39239ee69e21d"}


def test_keys_of_stages_stay_what_they_were(config):
    """Another digest means that every store trains again. A new setting is `added` (ofa/settings/fields.py)."""
    planned = plan(config, load_inputs(config), Store(config_path(config)))
    digests = {stage.name: folders[stage.name].name.partition("-")[2] for stage, _, folders in planned}
    assert {name: digests[name] for name in KEYS} == KEYS


def write_scores(folder):
    """A regression task: the share of good words, from 0 to 5."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    for name, rows in (("train", 96), ("dev", 24)):
        lines = ["sentence\tscore"]
        for _ in range(rows):
            words = rng.choice(WORDS, 5)
            lines.append(f"{' '.join(words)}\t{float(np.isin(words, ['good', 'fine', 'very']).sum())}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_regression_task_through_all_stages(config, tmp_path):
    task = TaskConfig(
        "tiny", data_dir=str(write_scores(tmp_path / "scores")), dev={"dev": "dev.tsv"}, text=["sentence"],
        label="score", score_range=[0.0, 5.0], metrics=["pearson", "spearman"],
    )  # fmt: skip
    trainer = replace(config.trainer, finetune=replace(config.trainer.finetune, max_steps=60, learning_rate=3e-3))
    results = run_job(replace(config, task=task, trainer=trainer, stages=list(STAGES)), "")
    assert results.teacher.score > 0.5, "learned: against a [B, B] table of differences it would learn the mean"
    assert results.teacher.score == results.teacher.metrics["pearson"]
    for network in results.networks:
        assert -1 <= network.metrics["spearman"] <= 1 and len(network.parity) >= 2
        drifts = [parity["score_drift"] for parity in network.parity if parity["precision"] == "fp32"]
        assert max(drifts) < 0.01
    assert results.networks[0].score > 0.4, "width 1 starts as the teacher"


@pytest.fixture
def staged(config, monkeypatch):
    """A job whose dev scores, given by a stub, peak at another step for each network; runs it with ``ofa.keep``."""
    from ofa.stages import shared_weights as stage
    from ofa.supernet import elastic

    peaks, calls, weights = {4: 2, 2: 5}, {4: 0, 2: 0}, {}

    def evaluate(forward, splits, metrics, batch_size):
        supernet = forward.__closure__[0].cell_contents
        heads = elastic.active(supernet).heads[0]
        calls[heads] += 1
        weight = supernet.bert.encoder.layers[0].linear1.weight.numpy()
        weights[heads, calls[heads]] = weight[:, : 16 * heads].copy()
        return {"accuracy": 0.9 - abs(calls[heads] - peaks[heads]) / (20 if heads == 4 else 10)}

    monkeypatch.setattr(stage, "evaluate", evaluate)

    def run(keep):
        settings = replace(config.trainer.distill, eval_steps=1)
        job = replace(config, trainer=replace(config.trainer, distill=settings), ofa=replace(config.ofa, keep=keep))
        results = run_job(job, "")
        folder = next((config_path(config) / "store").glob("distill-*"))
        return job, results, folder, weights

    return run


@pytest.mark.parametrize(
    ("keep", "steps"), [("best_each", {4: 2, 2: 5}), ("last", {4: 6, 2: 6}), ("best_shared", {4: 5, 2: 5})]
)
def test_the_weights_that_are_kept_and_scored(staged, monkeypatch, keep, steps):
    job, results, folder, weights = staged(keep)
    best = json.loads((folder / "distill.json").read_text())["best"]
    assert {"w1": best["w1"]["step"], "w0.5": best["w0.5"]["step"]} == {"w1": steps[4], "w0.5": steps[2]}
    assert best["w0.5"]["score"] == pytest.approx(0.9 - abs(steps[2] - 5) / 10)
    for name, heads in (("w1", 4), ("w0.5", 2)):
        kept, _ = models.load(folder / "widths" / name)
        assert (kept.bert.encoder.layers[0].linear1.weight.numpy() == weights[heads, steps[heads]]).all(), name
    assert [network.last for network in results.networks] == pytest.approx([0.7, 0.8])
    seen = []
    load = models.load
    monkeypatch.setattr(models, "load", lambda path, *a, **k: seen.append(path) or load(path, *a, **k))
    run_job(replace(job, force=["evaluate"]), "")
    assert {path.parent.parent for path in seen if path.parent.name == "widths"} == {folder}


def test_every_network_has_its_score_before_distillation_and_how_sure_its_loss_is(config):
    results = run_job(config, "")
    assert results.dev_rows == 24
    assert results.networks[0].undistilled == results.teacher.score, "width 1 is the teacher, permuted"
    for network in results.networks:
        low, high = network.lost
        assert low <= 100 * (results.teacher.score - network.score) <= high


@pytest.mark.parametrize("given", [{"test": "dev.tsv"}, {"test_share": 0.25}])
def test_test_rows_are_scored_and_decide_nothing(config, given):
    plain = run_job(config, "")
    assert plain.teacher.test is None
    before = set(made(config))
    results = run_job(replace(config, task=replace(config.task, **given)), "")
    assert set(results.teacher.test) == {"accuracy"}
    assert all(0 <= network.test["accuracy"] <= 1 for network in results.networks)
    if "test" in given:  # the dev rows once more: nothing is trained anew, and the scores are those of dev
        assert stages_of(set(made(config)) - before) == ["evaluate"]
        assert [network.test["accuracy"] for network in results.networks] == [n.score for n in results.networks]
    else:
        inputs = load_inputs(replace(config, task=replace(config.task, **given)))
        assert len(inputs.rows["train"]) == 72 and len(inputs.rows["test"]) == 24
        assert list(inputs.dev) == ["dev"]


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


def test_a_network_is_a_model_again(config, tmp_path):
    """Compressed, and its half compressed once more: the second teacher is the first's network."""
    first = run_job(replace(config, stages=["evaluate", "export"]), "")
    (source,) = (config_path(config) / "runs").glob("*/w0.5")
    model = replace(config.model, name="again", path=str(source), accept_weak_teacher=True)
    again = replace(config, model=model, output_dir=str(tmp_path / "again"), stages=list(STAGES))
    results = run_job(again, "")
    half, small = first.network("w0.5"), results.network("w0.5")
    assert (results.teacher.score, results.teacher.params) == (half.score, half.params)
    assert [network.heads for network in results.networks] == [2, 1]
    assert [network.neurons for network in results.networks] == [32, 16] and small.params < half.params
    assert results.networks[0].params == half.params and small.latencies
    (teacher,) = (config_path(again) / "store").glob("finetune-*/model")
    was, now = (models.load(folder)[0].state_dict() for folder in (source, teacher))
    assert all((was[name].numpy() == now[name].numpy()).all() for name in was) and was.keys() == now.keys()
    (exported,) = (config_path(again) / "runs").glob("*/w0.5")
    kept = json.loads((exported / "config.json").read_text())
    assert kept["pruned_heads"] == {"0": [1, 2, 3], "1": [1, 2, 3]} and kept["num_attention_heads"] == 4
    finetuned = replace(again, model=replace(model, finetuned=False), stages=["finetune"])
    run_job(finetuned, "")
    for folder in (config_path(again) / "store").glob("finetune-*/model"):
        assert models.load(folder)[1].subnet.heads == (2, 2)

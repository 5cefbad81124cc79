"""A teacher from elsewhere: taken as it stands, or refused where its classes are not the task's."""

import json
from dataclasses import replace

import pytest
from helpers.jobs import config_path

from ofa.errors import UserError
from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.settings.limits import SearchConfig
from ofa.settings.schema import STAGES, ModelConfig
from ofa.stages.inputs import load_inputs

pytestmark = pytest.mark.job


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
    unseen = SearchConfig(max_params=1e9, rows=20, unseen=True)
    with pytest.raises(UserError, match="^search.unseen: true with a finished teacher"):
        load_inputs(replace(config, model=model, task=turned, search=unseen))
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
    assert [path.parent.name.split("-")[0] for path in (config_path(job) / "store").glob("*/stage.json")] == [
        "finetune"
    ]
    caplog.set_level("INFO")
    accepted = replace(job, model=replace(job.model, accept_weak_teacher=True), stages=["reorder"])
    run_job(accepted, "")
    assert "taken from the store" in caplog.text and "classes are in another order" in caplog.text
    with pytest.raises(UserError, match="classes are in another order"):  # once accepted is not accepted for ever
        run_job(replace(job, ofa=replace(job.ofa, widths=[1.0, 0.75])), "")
    results = run_job(replace(job, task=replace(job.task, teacher_labels=["1", "0"]), stages=["evaluate"]), "")
    assert results.teacher.score > 0.9


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

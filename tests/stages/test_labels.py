"""A finished teacher's classes are matched to the task's by name, id or setting, and its logits follow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from helpers.toys import set_config

from ofa.data.rows import Rows
from ofa.data.tokenizer import plain
from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.settings.schema import Config, ModelConfig, TaskConfig
from ofa.stages import finetune
from ofa.stages.inputs import Inputs
from ofa.stages.labels import match_labels

Tokens = tuple[paddle.Tensor, paddle.Tensor]
THREE = TaskConfig("three", dev={"dev": "dev.tsv"}, text=["text"], labels=["no", "maybe", "yes"])


def logits(model: paddle.nn.Layer, tokens: Tokens) -> np.ndarray:
    model.eval()
    return models.forward(model, *tokens)[0].numpy()


def test_labels_are_matched_by_name_and_logits_follow(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    task = replace(THREE, labels=["yes", "no", "maybe"])
    folder = read_folder(toy_folder)
    order = match_labels(folder, task)
    assert order == (2, 0, 1)
    job = SimpleNamespace(
        config=Config(task=task, model=ModelConfig("toy", path=str(toy_folder), accept_weak_teacher=True)),
        inputs=Inputs(
            rows={"dev": Rows(["w5", "w6 w7", "w8"], None, np.array([0, 1, 2]))},
            shape=folder.shape,
            networks={},
            tokenizer=plain(toy_folder / "vocab.txt"),
            folder=folder,
            label_order=order,
            digests={},
            max_seq_length=16,
            cache_dir=toy_folder,
        ),
        folder=toy_folder.parent / "taken",
    )
    finetune.run(job)  # type: ignore[arg-type]
    taken, description = models.load(job.folder / "model")
    assert description.labels == ("yes", "no", "maybe")
    assert (logits(taken, tokens) == logits(toy, tokens)[:, [2, 0, 1]]).all()
    assert json.loads((job.folder / "finetune.json").read_text())["skipped"] is True


def test_placeholder_labels_are_matched_by_position(toy_folder: Path) -> None:
    set_config(toy_folder, id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    assert match_labels(read_folder(toy_folder), THREE) == (0, 1, 2)
    set_config(toy_folder, id2label=None, num_labels=3)
    assert match_labels(read_folder(toy_folder), THREE) == (0, 1, 2)


def test_a_teacher_of_other_labels_is_refused(toy_folder: Path) -> None:
    folder = read_folder(toy_folder)
    with pytest.raises(UserError, match="has 3 labels, task three has 2; set model.finetuned=false"):
        match_labels(folder, replace(THREE, labels=["no", "yes"]))
    with pytest.raises(
        UserError,
        match="has the labels no, maybe, yes, task three has no, perhaps, yes\n.*or set model.finetuned=false",
    ):
        match_labels(folder, replace(THREE, labels=["no", "perhaps", "yes"]))
    with pytest.raises(UserError, match="has 3 labels, task three has 1"):
        match_labels(folder, replace(THREE, labels=[], score_range=[0, 5]))


def test_labels_that_differ_in_case_are_the_same(toy_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    set_config(toy_folder, id2label={"0": "YES", "1": " No", "2": "Maybe"})
    assert match_labels(read_folder(toy_folder), THREE) == (1, 2, 0)
    assert "names its classes YES,  No, Maybe: taken for no, maybe, yes" in caplog.text
    set_config(toy_folder, id2label={"0": "yes", "1": "YES", "2": "no"})
    with pytest.raises(UserError, match=r"in the order of task.labels: 'task.teacher_labels=\[yes,YES,no\]' "):
        match_labels(read_folder(toy_folder), THREE)


def test_labels_are_matched_by_ids_and_by_what_the_teacher_calls_them(toy_folder: Path) -> None:
    folder = read_folder(toy_folder)  # no, maybe, yes
    assert match_labels(folder, replace(THREE, labels=["2", "0", "1"])) == (2, 0, 1)
    task = replace(THREE, labels=["ja", "nein", "vielleicht"])
    for names in (["yes", "no", "maybe"], ["YES ", "No", "maybe"], ["2", "0", "1"]):
        assert match_labels(folder, replace(task, teacher_labels=names)) == (2, 0, 1)
    with pytest.raises(UserError, match="task.teacher_labels: yes, no, 3 are not the labels of .*: no, maybe, yes; "):
        match_labels(folder, replace(task, teacher_labels=["yes", "no", "3"]))
    set_config(toy_folder, id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    assert match_labels(read_folder(toy_folder), replace(THREE, labels=["2", "0", "1"])) == (2, 0, 1)
    assert match_labels(read_folder(toy_folder), replace(THREE, labels=["label_2", "LABEL_0", "LABEL_1"])) == (2, 0, 1)
    for names in (["LABEL_1", "LABEL_2", "LABEL_0"], ["1", "2", "0"]):
        assert match_labels(read_folder(toy_folder), replace(task, teacher_labels=names)) == (1, 2, 0)

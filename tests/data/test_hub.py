"""Data sets of the hub; folders that ``load_dataset`` takes for one stand in for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from ofa.data.arrow import splits_of
from ofa.data.hub import fetch, folder_of
from ofa.data.rows import read_rows, rows_digest
from ofa.data.sources import find_folder, load_splits
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig
from ofa.settings.task_rules import task_problems

TASK = TaskConfig("mine", hub="me/mine", text=["text"], label="y", labels=["no", "yes"], dev={"dev": "validation"})
TASK = replace(TASK, train="train")


def test_what_is_fetched_are_the_rows_of_its_files(tmp_path: Path) -> None:
    rows = [{"text": "the first", "y": "no"}, {"text": "a tab\tand a\nline", "y": "yes"}, {"text": "\u7b2c", "y": "no"}]
    source = tmp_path / "source"
    source.mkdir()
    for name, some in (("train", rows), ("validation", rows[1:])):
        (source / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    kept = folder_of("me/mine", tmp_path)
    fetch(str(source), kept)
    assert splits_of(kept) == ["train", "validation"] and [path.name for path in kept.parent.iterdir()] == [kept.name]
    found = load_splits(TASK, tmp_path)
    assert rows_digest(found["train"]) == rows_digest(read_rows(source / "train.jsonl", TASK))
    assert found["dev"].text_a == [row["text"] for row in rows[1:]]


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "y": ClassLabel(names=["no", "yes"])})
    split = Dataset.from_dict({"text": ["a", "b"], "y": [1, 0]}, features=features)
    kept = folder_of("me/mine:plain", tmp_path)
    DatasetDict({"train": split, "validation": split}).save_to_disk(kept)
    task = replace(TASK, hub="me/mine:plain")
    assert load_splits(task, tmp_path)["train"].labels.tolist() == [1, 0]
    with pytest.raises(UserError, match=r"splits train, validation: .* task.train=train task.dev.dev=validation"):
        find_folder(replace(task, train="train.tsv"), tmp_path)


def test_what_cannot_be_fetched_leaves_nothing(tmp_path: Path) -> None:
    kept = folder_of("me/mine", tmp_path)
    with pytest.raises(UserError, match=r"task.hub: '.*none' could not be fetched \(.*\nallowed: owner/name") as error:
        fetch(str(tmp_path / "none"), kept)
    assert len(str(error.value).splitlines()) == 2 and not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hub": "a/b/c"}, "task.hub: 'a/b/c' is no name; allowed: owner/name, owner/name:configuration, null"),
        ({"data_dir": "x"}, "task.hub: me/mine and task.data_dir are both set; allowed: one of them"),
        ({"generator": "negation"}, "task.hub: me/mine and task.generator are both set; allowed: one of them"),
    ],
)
def test_a_name_that_is_none_or_one_place_too_many(changes: dict, said: str) -> None:
    assert task_problems(replace(TASK, **changes)) == [said]
    assert task_problems(TASK) == task_problems(replace(TASK, hub="mine:plain")) == []

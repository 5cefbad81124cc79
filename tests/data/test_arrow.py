"""Folders that Hugging Face's datasets wrote are read as the same rows in text are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from ofa.data.rows import read_rows, rows_digest
from ofa.data.sources import find_folder
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

TEXTS = ["the first", "a tab\tand a\nline", "第三句"]
TASK = TaskConfig("mine", text=["text"], label="topic", labels=["no", "yes"], dev={"dev": "validation"}, train="train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two splits, whose labels are ids with names, and a column that is no text and not asked for."""
    features = Features(
        {"text": Value("string"), "topic": ClassLabel(names=["no", "yes"]), "many": List(ClassLabel(names=["a", "b"]))}
        | {"raw": Value("binary")}
    )
    rows = {"text": TEXTS, "topic": [0, 1, 0], "many": [[0, 1], [], [1]], "raw": [b"\xff"] * 3}
    split = Dataset.from_dict(rows, features=features)
    DatasetDict({"train": split, "validation": split.select([2, 1])}).save_to_disk(tmp_path / "mine")
    return tmp_path / "mine"


def test_the_rows_are_those_of_the_same_table_in_text(folder: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "topic": label}) for text, label in zip(TEXTS, ("no", "yes", "no"), strict=True)]
    (tmp_path / "same.jsonl").write_text("\n".join(lines) + "\n")
    found = read_rows(folder / "train", TASK)
    assert rows_digest(found) == rows_digest(read_rows(tmp_path / "same.jsonl", TASK))
    again = read_rows(folder / "validation", TASK)  # rows picked out of others
    assert again.text_a == [TEXTS[2], TEXTS[1]] and again.labels.tolist() == [0, 1]
    assert len(read_rows(folder / "train", TASK, limit=2)) == 2


def test_lists_of_classes_are_several_labels(folder: Path) -> None:
    task = replace(TASK, label="many", labels=["a", "b"], multi_label=True)
    assert read_rows(folder / "train", task).labels.tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": ["sentence"]}, "train:1: no column 'sentence' (task.text); found: 'text', 'topic', 'many', 'raw'"),
        ({"labels": ["no", "maybe"]}, "train:2: label 'yes' is unknown; allowed: 'no', 'maybe'"),
        ({"columns": ["text", "topic"]}, "task.columns: "),
    ],
)
def test_what_is_wrong_is_named_with_its_row(folder: Path, change: dict, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_rows(folder / "train", replace(TASK, **change))
    assert said in str(error.value)


def test_a_damaged_folder_is_named(folder: Path) -> None:
    next((folder / "train").glob("*.arrow")).write_bytes(b"nothing")
    with pytest.raises(UserError, match="train: not readable by datasets.load_from_disk"):
        read_rows(folder / "train", TASK)


def test_where_the_splits_are_not_named_they_are_told(folder: Path, tmp_path: Path) -> None:
    task = replace(TASK, data_dir=str(folder), train="train.tsv", dev={"dev": "dev.tsv"})
    with pytest.raises(UserError, match=r"splits train, validation: .* task.train=train task.dev.dev=validation"):
        find_folder(task, tmp_path)
    assert find_folder(replace(TASK, data_dir=str(folder)), tmp_path) == folder


def test_texts_may_be_bytes_in_utf_8(tmp_path: Path) -> None:
    """Parquet of writers without a type for text."""
    features = Features({"text": Value("binary"), "topic": Value("string")})
    rows = {"text": [b"good", "第三句".encode(), b"\xff"], "topic": ["no", "yes", "no"]}
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "raw")
    with pytest.raises(UserError, match=r"raw:3: byte \d+ \(0xff\) is not UTF-8"):
        read_rows(tmp_path / "raw", TASK)
    assert read_rows(tmp_path / "raw", replace(TASK, bad_rows="skip")).text_a == ["good", "第三句"]

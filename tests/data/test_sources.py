"""Where a task's files are looked for, and the words when they are not there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ofa.data.scale import Scale
from ofa.data.sources import further_files, load_splits
from ofa.errors import UserError
from ofa.settings.schema import Config, TaskConfig
from ofa.settings.task_rules import task_problems

PAIR = TaskConfig(
    name="pair",
    dev={"dev": "dev.tsv"},
    text=["a", "b"],
    label="y",
    labels=["no", "yes"],
    label_values=["0", "1"],
)


HEAD = b"a\tb\ty\nx\tz\t1\n"


# Finding the files


def task_in(folder: Path, content: bytes = HEAD + b"p\tq\t0\n", **changes) -> TaskConfig:
    """A task with files in ``folder/PAIR``, where GLUE's layout has them."""
    (folder / "PAIR").mkdir(parents=True)
    for name in ("train.tsv", "m.tsv", "mm.tsv"):
        (folder / "PAIR" / name).write_bytes(content)
    task = dataclasses.replace(PAIR, folder="PAIR", dev={"matched": "m.tsv", "mismatched": "mm.tsv"})
    return dataclasses.replace(task, **changes)


def test_folder_given_above_or_in_the_cache(tmp_path: Path) -> None:
    task = task_in(tmp_path / "glue")
    for data_dir in (tmp_path / "glue", tmp_path / "glue" / "PAIR", None):
        splits = load_splits(dataclasses.replace(task, data_dir=data_dir and str(data_dir)), tmp_path)
        assert list(splits) == ["train", "matched", "mismatched"] and len(splits["mismatched"]) == 2


def test_files_in_the_home_folder_and_beside_the_task_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_in(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "PAIR"))
    task = dataclasses.replace(
        task, train="~/train.tsv", dev={"dev": "~/m.tsv"}, test="~/mm.tsv", data_dir=str(tmp_path)
    )
    assert {name: len(rows) for name, rows in load_splits(task, tmp_path).items()} == {"train": 2, "dev": 2, "test": 2}
    with pytest.raises(UserError, match=rf"^task.unlabelled: {tmp_path}/x.tsv is not a file; .* is one in {tmp_path}$"):
        further_files(task, tmp_path, "task.unlabelled", ["x.tsv"])


def test_dev_rows_are_held_out_where_there_is_one_file(tmp_path: Path) -> None:
    rows = "".join(f"x{number}\tz\t{number % 2}\n" for number in range(40)).encode()
    task = task_in(tmp_path, b"a\tb\ty\n" + rows, data_dir=str(tmp_path), dev={"dev": "none.tsv"}, dev_share=0.25)
    found = load_splits(task, tmp_path)
    assert {name: len(split) for name, split in found.items()} == {"train": 30, "dev": 10}
    assert sorted(found["train"].text_a + found["dev"].text_a) == sorted(f"x{number}" for number in range(40))
    fewer = load_splits(dataclasses.replace(task, max_dev_rows=4, test_share=0.25), tmp_path)
    assert {name: len(split) for name, split in fewer.items()} == {"train": 22, "dev": 4, "test": 10}
    assert not set(fewer["dev"].text_a) & set(fewer["test"].text_a)
    assert task_problems(dataclasses.replace(task, dev={"a": "a", "b": "b"}, dev_share=0.7)) == [
        "task.dev_share: 0.7 is outside (0, 0.5]",
        "task.dev_share: holds out one split, task.dev has a, b; leave one of them",
    ]


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    task = task_in(tmp_path / "glue")
    for name in ("train.tsv", "mm.tsv"):
        (tmp_path / "glue" / "PAIR" / name).unlink()
    advice = "\npoint to local files with task.data_dir=<folder>, or try experiment=quickstart, which needs no download"
    with pytest.raises(UserError) as error:
        load_splits(dataclasses.replace(task, data_dir=str(tmp_path / "glue")), tmp_path)
    assert str(error.value) == f"task pair: train.tsv, mm.tsv missing in {tmp_path}/glue/PAIR" + advice
    with pytest.raises(UserError) as error:
        load_splits(task, tmp_path / "empty")
    start = f"task pair: train.tsv, m.tsv, mm.tsv missing in {tmp_path}/empty/glue/PAIR, and task.url gives no address"
    assert str(error.value).startswith(start) and str(error.value).endswith(advice)
    with pytest.raises(UserError, match="task.data_dir=/no/where: no such folder; allowed: a folder with train.tsv, m"):
        load_splits(dataclasses.replace(task, data_dir="/no/where"), tmp_path)


def test_a_train_split_of_one_label_is_refused(tmp_path: Path) -> None:
    task = task_in(tmp_path / "glue", content=HEAD + b"p\tq\t1\nr\ts\t0\n")
    assert len(load_splits(task, tmp_path)["train"]) == 3
    with pytest.raises(UserError, match="train.tsv: all 2 rows have the label 'yes'.*\n.*max_train_rows.*raise it"):
        load_splits(dataclasses.replace(task, max_train_rows=2), tmp_path)
    assert len(load_splits(dataclasses.replace(task, max_dev_rows=1), tmp_path)["matched"]) == 1


COUNTS = {  # the shared copy: the official splits, samples of QNLI, QQP and MNLI
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3667, 408),  # the official train split has 3,668; the shared file has one row less
    "stsb": (5749, 1500),
    "qqp": (8999, 1000),
    "mnli": (8999, 500, 500),
    "qnli": (8999, 5463),
    "rte": (2490, 277),
}


@pytest.mark.parametrize("name", COUNTS)
def test_real_glue(name: str, shared: Path, tmp_path: Path, compose: Callable[..., Config]) -> None:
    task = compose(f"task={name}", f"task.data_dir={shared / 'glue'}").task
    splits = load_splits(task, tmp_path)
    assert tuple(map(len, splits.values())) == COUNTS[name]
    assert all((rows.text_b is None) == (len(task.text) == 1) and not rows.skipped for rows in splits.values())
    if task.labels:
        assert all(set(rows.labels.tolist()) == set(range(len(task.labels))) for rows in splits.values())
    else:
        assert splits["train"].labels.min() == 0 and splits["train"].labels.max() == 5


def test_a_class_that_no_training_row_has_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = task_in(tmp_path, HEAD + b"p\tq\t0\n", data_dir=str(tmp_path))
    (tmp_path / "PAIR" / "m.tsv").write_bytes(b"a\tb\ty\nx\tq\t1\np\tz\t0\n")
    task.dev.pop("mismatched")
    load_splits(task, tmp_path)
    assert not caplog.text
    wider = dataclasses.replace(task, labels=["no", "yes", "gamma"], label_values=["0", "1", "2"], max_train_rows=2)
    load_splits(wider, tmp_path)
    assert "train.tsv: none of the 2 rows has the label gamma; task.max_train_rows=2 takes the first" in caplog.text
    assert caplog.text.count("gamma") == 1, "once, where it begins"
    caplog.clear()
    load_splits(dataclasses.replace(task, max_dev_rows=1), tmp_path)
    assert "task.dev.matched: none of the 1 rows has the label no; task.max_dev_rows=1 takes the first" in caplog.text


def test_dev_and_test_rows_that_are_training_rows_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = task_in(tmp_path, HEAD + b"p\tq\t0\n", data_dir=str(tmp_path), test="m.tsv")
    (tmp_path / "PAIR" / "m.tsv").write_bytes(b"a\tb\ty\nx\tq\t1\np\tq\t1\nx\tx\t0\n")
    load_splits(task, tmp_path)
    for name, count, rows in (("matched", 1, 3), ("mismatched", 2, 2), ("test", 1, 3)):
        assert f" {name}: {count} of its {rows} rows have the same text as a training row\n" in caplog.text


def test_rows_of_one_label_that_a_held_out_share_leaves_are_refused(tmp_path):
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tyes\nb\tyes\nc\tyes\nd\tno\n")
    task = TaskConfig("t", str(tmp_path), text=["text"], labels=["no", "yes"], dev={"dev": ""}, dev_share=0.25)
    order = np.random.default_rng(0).permutation(4)
    lines = ["text\tlabel", *(f"{row}\t{'no' if row == order[0] else 'yes'}" for row in range(4))]
    (tmp_path / "train.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="all 3 rows that are not held out have the label 'yes'; at least two"):
        load_splits(task, tmp_path)


@pytest.mark.parametrize("shares", [{"dev_share": 0.1}, {"dev_share": 0.5, "test_share": 0.5, "max_train_rows": 2}])
def test_a_share_that_leaves_no_training_row_is_refused(shares: dict, tmp_path: Path) -> None:
    rows = b"a\tb\ty\nx\tz\t1\n" + (b"p\tq\t0\nr\ts\t1\n" if len(shares) > 1 else b"")
    task = task_in(tmp_path, rows, data_dir=str(tmp_path), dev={"dev": ""}, **shares)
    with pytest.raises(
        UserError, match=r"^task.dev_share: 0.\d of 1 rows leaves none to train on; at least 2 rows are"
    ):
        load_splits(task, tmp_path)


def test_a_scale_of_one_score_divides_by_nothing():
    assert Scale.of(np.full(3, 2.5, np.float32)) == Scale(2.5, 1.0)

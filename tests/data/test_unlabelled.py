"""Rows without labels: which ones count, how they are read, and what is said of them."""

from __future__ import annotations

import json
import logging
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ofa.data.rows import has_label, read_rows
from ofa.data.sources import load_splits, load_unlabelled
from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.tokens import tokenize
from ofa.data.unlabelled import Unlabelled
from ofa.data.vocab import SPECIAL, train_byte_level
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

TASK = TaskConfig("t", dev={"dev": "dev.tsv"}, text=["a"], label="y", labels=["no", "yes"], unlabelled=["more.tsv"])
PAIR = replace(TASK, text=["a", "b"])
WORDS = "one two three four five six seven eight".split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.tsv").write_text("a\tb\ty\none\t1\tyes\ntwo\t2\tno\n")
    (tmp_path / "dev.tsv").write_text("a\tb\ty\nthree \t3\tyes\n")
    return tmp_path


def scan(folder: Path, content: str, task: TaskConfig = TASK, name: str = "more.tsv") -> Unlabelled:
    (folder / name).write_text(content)
    task = replace(task, data_dir=str(folder), unlabelled=[name])
    found = load_unlabelled(task, folder, load_splits(task, folder))
    assert found is not None
    return found


def test_rows_that_are_new_count(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = scan(folder, "a\nfour\none\nfour\n four  \nthree\nfive\nthree\n")
    assert found.counts == {"used": 2, "left_out": 0, "repeated": 4, "in_dev": 1}
    assert np.flatnonzero(found.new).tolist() == [0, 5]
    said = "task.unlabelled: 2 of 7 rows of more.tsv join the distillation, without labels; 4 are repeated or training"
    assert said in caplog.text and "1 stand in dev or test" in caplog.text


def test_white_space_counts_where_the_tokenizer_sees_it(folder: Path) -> None:
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in SPECIAL))
    train_byte_level(WORDS, 300, folder / "bytes")
    words, by_byte = plain(folder / "vocab.txt"), read_tokenizer(folder / "bytes")
    plainly, widely = (scan(folder, f"a\n{text}\n", name=name) for name, text in (("f.tsv", "x y"), ("g.tsv", "x  y")))
    assert plainly.digest_for(words) == widely.digest_for(words) == plainly.digest
    assert plainly.digest_for(by_byte) != widely.digest_for(by_byte)
    same = scan(folder, "a\nx y\n", name="h.tsv")
    assert same.digest_for(by_byte) == plainly.digest_for(by_byte)


def test_test_rows_are_left_out_as_dev_rows_are(folder: Path) -> None:
    (folder / "test.tsv").write_text("a\tb\ty\nfour\t4\tyes\n")
    assert scan(folder, "a\nfour\nfive\n", replace(TASK, test="test.tsv")).counts["in_dev"] == 1


def test_a_pair_is_the_same_if_both_texts_are(folder: Path) -> None:
    found = scan(folder, "b\ta\n1\tone\n2\tone\n\tone\none\t\n", PAIR)
    assert found.counts == {"used": 3, "left_out": 0, "repeated": 1, "in_dev": 0}


def test_labels_are_passed_over_and_that_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scan(folder, "a\ty\nfour\tno label of this task\n")
    assert "column 'y' of more.tsv is not read" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("more.csv", 'a,b\n"four, or so",4\n'),
        ("more.jsonl", json.dumps({"a": "four, or so"}) + "\n"),
        ("more.tsv", "four, or so\t4\tno\n"),  # as task.columns says
        ("more.tsv", "a\nfour, or so\n"),  # or as a header line does
    ],
)
def test_forms_and_headers(folder: Path, name: str, content: str) -> None:
    for split in ("train", "dev"):
        lines = (folder / f"{split}.tsv").read_text().splitlines()[1:]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    found = scan(folder, content, replace(TASK, columns=["a", "b", "y"]), name)
    assert found.counts["used"] == 1
    assert list(found.new) == [True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "more.tsv: the file is empty"),
        ("a\n", "task.unlabelled: {folder}/more.tsv has no usable row"),
        ("b\nx\n", "more.tsv:1: no column 'a' (task.text); found: 'b'"),
        ("a\n\t\n", "more.tsv:2: 2 fields where the header line names 1"),
        ("a\none\n", "task.unlabelled: 0 of 1 rows of more.tsv join the distillation, without labels; 1 are repeated"),
    ],
)
def test_what_cannot_be_used_is_refused(folder: Path, content: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        scan(folder, content)
    assert words.format(folder=folder) in str(error.value)


def test_a_missing_file_is_named(folder: Path) -> None:
    task = replace(TASK, data_dir=str(folder), unlabelled=["nowhere.tsv"])
    with pytest.raises(UserError, match="task.unlabelled: .*nowhere.tsv is not a file; a name without a folder is one"):
        load_unlabelled(task, folder, load_splits(task, folder))


def test_malformed_rows_are_left_out_where_that_is_asked(folder: Path) -> None:
    found = scan(folder, "a\nfour\n\t\nfive\n", replace(TASK, bad_rows="skip"))
    assert found.counts == {"used": 2, "left_out": 1, "repeated": 0, "in_dev": 0}


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    return tmp_path / "vocab.txt"


def test_token_ids_are_those_of_the_same_rows_with_labels(folder: Path, vocab: Path) -> None:
    lines = [
        f"{WORDS[row % 8]} {WORDS[row // 8 % 8]} {WORDS[row // 64 % 8]} {WORDS[row // 512 % 8]}" for row in range(4096)
    ]
    (folder / "labelled.tsv").write_text("a\tb\ty\n" + "".join(f"{line} {line}\tx\tyes\n" for line in lines))
    labelled = read_rows(folder / "labelled.tsv", TASK)
    # Over the end of a chunk, with a row that does not count in each.
    found = scan(folder, "a\none\n" + "".join(f"{line} {line}\n" for line in lines) + f"{lines[0]} {lines[0]}\nsix\n")
    train = read_rows(folder / "train.tsv", TASK)
    encoded = found.encoded(plain(vocab), 16, train.labels)
    expected = tokenize(labelled, plain(vocab), 16)
    assert len(encoded) == 4097 and encoded.labels.dtype == train.labels.dtype
    assert (encoded.input_ids[: len(expected.input_ids)] == expected.input_ids).all()
    assert not has_label(encoded.labels).any() and has_label(train.labels).all()


def test_a_file_that_changes_is_noticed(folder: Path, vocab: Path) -> None:
    found = scan(folder, "a\nfour\nfive\n")
    (folder / "more.tsv").write_text("a\nfour\nsix\n")
    with pytest.raises(UserError, match="more.tsv changed while the job ran"):
        found.encoded(plain(vocab), 16, np.zeros(2, np.int64))


def test_a_large_file_is_never_held_as_text(folder: Path) -> None:
    content = "a\n" + "".join(f"{row} {'word ' * 100}\n" for row in range(20_000))
    (folder / "more.tsv").write_text(content)
    task = replace(TASK, data_dir=str(folder))
    splits = load_splits(task, folder)
    tracemalloc.start()
    load_unlabelled(task, folder, splits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(content) / 5

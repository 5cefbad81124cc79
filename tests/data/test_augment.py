"""Copies with words replaced: which words, by which others, and what is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ofa.data import augment
from ofa.data.rows import Rows
from ofa.data.tokenizer import TextTokenizer, plain
from ofa.data.tokens import tokenize
from ofa.data.unlabelled import Unlabelled, read_texts
from ofa.data.vocab import SPECIAL
from ofa.settings.schema import TaskConfig

TOKENS = ["good", "fine", "great", "bad", "film", "s", "##ly", "bad2", ".", "un", "##known"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> TextTokenizer:
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in [*SPECIAL, *TOKENS]))
    return plain(tmp_path / "vocab.txt")


def test_words_with_blanks_between_them_read_as_the_text(tokenizer: TextTokenizer) -> None:
    text = "A Good film's unknown, Badly."
    words = augment.words_of(text, tokenizer)
    assert words == ["a", "good", "film", "'", "s", "unknown", ",", "badly", "."]
    first, second = (
        tokenize(Rows([one], None, np.zeros(1, np.int64)), tokenizer, 32) for one in (text, " ".join(words))
    )
    assert (first.input_ids == second.input_ids).all()


def test_added_tokens_are_words_that_nothing_replaces(tokenizer: TextTokenizer) -> None:
    tokenizer.backend.add_tokens(["great", "fine film"])
    text = "Good[SEP]a fine film, [UNK] great"
    words = augment.words_of(text, tokenizer)
    assert words == ["good", "[SEP]", "a", "fine film", ",", "[UNK]", "great"]
    first, second = (tokenizer.backend.encode(one, add_special_tokens=False).ids for one in (text, " ".join(words)))
    assert first == second
    assert sorted(augment.whole_words(tokenizer)) == ["bad", "film", "fine", "good", "s", "un"]


def test_only_tokens_that_are_words_are_put_in_or_replaced(tokenizer: TextTokenizer) -> None:
    assert sorted(augment.whole_words(tokenizer)) == ["bad", "film", "fine", "good", "great", "s", "un"]


def test_neighbours_are_the_nearest_in_direction_and_never_the_word_itself() -> None:
    words = {"good": 0, "fine": 1, "great": 3, "bad": 4}
    table = np.array([[1, 0], [5, 1], [9, 9], [1, 1], [-1, 0]], np.float32)  # of the unlisted id 2 nothing is made
    found = augment.neighbours(words, {"good", "bad", "unknown"}, table, 2)
    assert found == {"good": ["fine", "great"], "bad": ["great", "fine"]}
    assert augment.neighbours(words, {"good"}, table, 99) == {"good": ["fine", "great", "bad"]}
    assert augment.neighbours({}, {"good"}, table, 2) == {} == augment.neighbours({"good": 0}, {"good"}, table, 2)


def test_a_copy_of_a_pair_changes_one_text_and_the_draw_decides_all() -> None:
    row = [["a", "good", "film"], ["so", "good"]]
    fits = [{1: ["fine", "great"]}, {1: ["fine"]}]

    def drawn(share: float, seed: int) -> list[tuple[str, ...]]:
        return list(augment.copies_of(row, fits, 40, share, np.random.default_rng(seed)))

    texts = drawn(1.0, 0)
    assert set(texts) == {("a fine film", "so good"), ("a great film", "so good"), ("a good film", "so fine")}
    assert texts == drawn(1.0, 0) != drawn(1.0, 1)
    same = drawn(0.4, 0).count(("a good film", "so good"))
    assert 14 <= same <= 34, "six of ten words stay"
    assert row == [["a", "good", "film"], ["so", "good"]]


def test_copies_that_stand_in_a_split_are_not_kept(tmp_path: Path) -> None:
    """Copies are words with blanks between them, which the rows of most files are not."""
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in [*SPECIAL, *TOKENS]))
    tokenizer = plain(tmp_path / "vocab.txt")
    task = TaskConfig("t", dev={"dev": "dev.tsv"}, text=["a", "b"], label="y", labels=["no", "yes"])
    labels = np.zeros(1, np.int64)
    splits = {"train": Rows(["Good!"], ["One"], labels), "dev": Rows(["(fine)"], ["one"], labels)}
    splits = {name: augment.as_words(rows, tokenizer) for name, rows in splits.items()}
    made = [("good !", "one"), ("( fine )", "one"), ('gr"eat\t', "one"), ("bad", "")]
    augment.write(tmp_path / "copies.jsonl", iter(made))
    found = Unlabelled.scan([tmp_path / "copies.jsonl"], augment.task_of_copies(task), splits, "ofa.augment.copies")
    assert found.counts == {"used": 2, "left_out": 0, "repeated": 1, "in_dev": 1}
    augment.keep(found, "neighbours", tmp_path)
    renamed = replace(task, text=["b", "a"], label="text_b", columns=["b", "a", "text_b"], bad_rows="skip")
    kept = augment.kept(tmp_path, renamed)
    assert kept.counts == found.counts and (kept.digest, kept.new.tolist()) == (found.digest, [True, True])
    like = np.zeros(3, np.int64)
    whole = replace(found, new=found.new).encoded(tokenizer, 16, like)
    assert (kept.encoded(tokenizer, 16, like).input_ids == whole.input_ids).all() and len(whole) == 2


def test_a_copy_is_as_long_as_a_row_may_be(tmp_path: Path) -> None:
    """A Chinese character is 3 bytes of a file, and would be 6 in ASCII; what words with blanks make too long goes."""
    task = TaskConfig("t", dev={"dev": "dev.tsv"}, text=["a"], label="y", labels=["no", "yes"])
    augment.write(tmp_path / "copies.jsonl", iter([("\u5f88 " * 200_000,), ("\u5f88 " * 250_000,), ("\u597d",)]))
    texts = read_texts(tmp_path / "copies.jsonl", augment.task_of_copies(task))
    assert list(texts) == [("\u5f88 " * 200_000,), ("\u597d",)]

"""The embedded task: read by the same reader, without leaks, and not to be had from words alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ofa.data import negation
from ofa.data.rows import Rows
from ofa.data.sources import load_splits
from ofa.errors import UserError
from ofa.settings.schema import Config


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, int]]:
    return negation.negation_rows(13_000, seed=0)


@pytest.fixture
def splits(tmp_path: Path, compose: Callable[..., Config]) -> dict[str, Rows]:
    return load_splits(compose("task=negation").task, tmp_path)


def test_splits(splits: dict[str, Rows]) -> None:
    assert {name: len(part) for name, part in splits.items()} == {"train": 12_000, "dev": 1_000}
    sentences = splits["train"].text_a + splits["dev"].text_a
    assert len(set(sentences)) == len(sentences)  # no row of dev in train, none twice
    assert all(0.45 < part.labels.mean() < 0.55 for part in splits.values())
    assert max(len(sentence.split()) for sentence in sentences) <= 24


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        negation.write_negation(tmp_path / name, seed, train_rows=200, dev_rows=50)
    files = {name: [(tmp_path / name / f"{part}.tsv").read_bytes() for part in ("train", "dev")] for name in "abc"}
    assert files["a"] == files["b"] != files["c"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["dev.tsv", "train.tsv"]


def bag_of_words_accuracy(train: Rows, dev: Rows) -> float:
    """Dev accuracy of a logistic regression on word counts: what is to be had without order."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    counts = CountVectorizer(token_pattern=r"\S+")
    model = LogisticRegression(max_iter=1000).fit(counts.fit_transform(train.text_a), train.labels)
    return float(model.score(counts.transform(dev.text_a), dev.labels))


def test_a_bag_of_words_is_not_enough(splits: dict[str, Rows]) -> None:
    assert bag_of_words_accuracy(splits["train"], splits["dev"]) < 0.65


def test_a_bag_of_words_is_enough_for_the_plain_rule() -> None:
    """The baseline itself is sound: it learns what words do decide."""
    plain = [row for row in negation.negation_rows(13_000, seed=0) if _rule(row[0]) == "plain"]
    half = len(plain) // 2
    train, dev = (Rows([s for s, _ in part], None, [y for _, y in part]) for part in (plain[:half], plain[half:]))
    assert bag_of_words_accuracy(train, dev) > 0.99


def test_every_word_but_the_plain_adjectives_has_both_labels(rows: list[tuple[str, int]]) -> None:
    counts: Counter[tuple[str, int]] = Counter()
    for sentence, label in rows:
        if _rule(sentence) != "plain":
            counts.update((word, label) for word in set(sentence.split()))
    for word in {word for word, _ in counts}:
        share = counts[word, 1] / (counts[word, 0] + counts[word, 1])
        assert 0.3 < share < 0.7, (word, share)


MEANING = {  # sentences and the opinion they state
    "the film was good": 1,
    "the film was dull": 0,
    "i had not seen the film but the book was good": 1,
    "i had seen the film but the book was not good": 0,
    "the film was not good but dull": 0,
    "the film was not dull but good": 1,
    "although the film was dull , the book was good": 1,
    "the book was dull although the film was good": 0,
    "our film was better than their book": 1,
    "their film was better than our book": 0,
    "their film was worse than our book": 1,
    "the critics who did not know the film did like the book": 1,
    "the critics who did know the film did not like the book": 0,
    "i deny that the film was good": 0,
    "it is false that the film was not dull but good": 0,
}


def test_labels_mean_what_the_sentences_say(rows: list[tuple[str, int]]) -> None:
    """An independent reading of the sentences, itself checked on sentences labelled by hand."""
    assert {sentence: _opinion(sentence) for sentence in MEANING} == MEANING
    for sentence, label in rows:
        assert _opinion(sentence) == label, sentence
    shares = Counter(_rule(sentence) for sentence, _ in rows)
    assert len(shares) == len(negation.RULES) and min(shares.values()) > 500


def _body(sentence: str) -> str:
    sentence = sentence.removesuffix(" .")
    for opening in filter(None, negation.OPENINGS):
        sentence = sentence.removeprefix(f"{opening} ")
    return sentence


def _rule(sentence: str) -> str:
    body = _body(sentence)
    for word in ("that", "although", "than", "who", "had", "not"):
        if word in body.split():
            return word
    return "plain"


def _opinion(sentence: str) -> int:
    """1 if the sentence praises, 0 if it complains."""
    body, rule = _body(sentence), _rule(sentence)
    if rule == "that":
        return 1 - _opinion(body.split(" that ", 1)[1])
    if rule == "although":
        before, after = body.split("although ", 1)
        body = before or after.split(" , ")[1]
    elif rule == "than":
        return int((body.split()[3] in negation.BETTER) == body.startswith("our"))
    elif rule == "who":
        return int(" did not like " not in body)
    elif rule == "not":
        body = body.split(" but ")[1]
    elif rule == "had":
        body = body.split(" but ")[1]
        return int((body.split()[-1] in negation.GOOD) != (" not " in body))
    return int(body.split()[-1] in negation.GOOD)


def test_a_cache_that_cannot_be_written(tmp_path: Path, compose: Callable[..., Config]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cache_dir: cannot write .*/file/generated/negation .Not a directory"):
        load_splits(compose("task=negation").task, tmp_path / "file")

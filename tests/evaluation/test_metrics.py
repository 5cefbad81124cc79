"""GLUE's metrics against values worked out by hand, and where they are not defined."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ofa.errors import UserError
from ofa.evaluation import metrics


def logits_of(classes: list[int], count: int = 2) -> np.ndarray:
    """Logits [N, count] whose greatest is the class wanted."""
    return np.eye(count, dtype=np.float32)[classes] * 3 - 1


# 3 hits of class 1, 1 miss, 2 false alarms, 4 hits of class 0
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
PREDICTED = [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]


def test_classes_by_hand() -> None:
    found = metrics.score(["matthews", "accuracy", "f1"], logits_of(PREDICTED), LABELS)
    assert list(found) == ["matthews", "accuracy", "f1"]
    assert found["accuracy"] == 0.7
    assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert found["matthews"] == pytest.approx((3 * 4 - 2 * 1) / np.sqrt(5 * 4 * 6 * 5))


def test_f1_counts_class_one() -> None:
    swapped = metrics.score(["f1"], logits_of([1 - c for c in PREDICTED]), 1 - LABELS)["f1"]
    assert swapped == pytest.approx(2 * 4 / (2 * 4 + 1 + 2))  # the other class is the positive one now


def test_three_classes() -> None:
    labels = np.array([0, 1, 2, 0])
    found = metrics.score(["accuracy", "matthews"], logits_of([0, 1, 1, 0], 3), labels)
    # Gorodkin's R_K: (4*3 - (2*2 + 2*1)) / sqrt((16 - 8) * (16 - 6))
    assert found == {"accuracy": 0.75, "matthews": pytest.approx(6 / np.sqrt(80))}
    with pytest.raises(UserError, match="f1 is for two classes, the model has 3"):
        metrics.score(["f1"], logits_of([0, 1, 1, 0], 3), labels)


def test_scores_by_hand() -> None:
    labels = np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    predicted = np.array([[0.0], [2.0], [1.0], [9.0]], np.float32)
    found = metrics.score(["pearson", "spearman"], predicted, labels)
    centred = (labels - labels.mean(), predicted[:, 0] - predicted.mean())
    expected = (centred[0] * centred[1]).sum() / np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    assert found == {"pearson": pytest.approx(expected, abs=1e-6), "spearman": pytest.approx(1 - 6 * 2 / (4 * 15))}
    assert metrics.score(["pearson"], predicted[:, 0], labels)["pearson"] == found["pearson"]  # [N] will do


def test_ties_share_their_rank() -> None:
    found = metrics.score(["spearman"], np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))["spearman"]
    assert found == pytest.approx(np.sqrt(3) / 2)  # ranks 1.5, 1.5, 3 against 1, 2, 3


@pytest.mark.parametrize("sign", [1, -1])
def test_against_numpy(sign: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(500)
    predicted = sign * labels + 0.3 * rng.random(500)
    found = metrics.score(["pearson", "spearman"], predicted, labels)
    ranks = predicted.argsort().argsort(), labels.argsort().argsort()
    assert found["pearson"] == pytest.approx(np.corrcoef(predicted, labels)[0, 1])
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_undefined_values_are_zero_and_silent() -> None:
    scores, classes = np.linspace(0, 5, 6), np.array([0, 1, 0, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.score(["pearson", "spearman"], np.full((6, 1), 2.5), scores) == {"pearson": 0.0, "spearman": 0.0}
        assert metrics.score(["pearson"], scores, np.full(6, 3.0)) == {"pearson": 0.0}
        assert metrics.score(["pearson", "spearman"], np.ones(1), np.ones(1)) == {"pearson": 0.0, "spearman": 0.0}
        constant = metrics.score(["matthews", "f1", "accuracy"], logits_of([0] * 6), classes)
        assert constant == {"matthews": 0.0, "f1": 0.0, "accuracy": 0.5}
        assert metrics.score(["f1"], logits_of([0] * 6), classes * 0) == {"f1": 0.0}
        assert metrics.score(["matthews"], logits_of([1] * 6), classes * 0 + 1) == {"matthews": 0.0}


def test_refusals() -> None:
    labels = np.array([0, 1, 1])
    broken = logits_of([0, 1, 1])
    broken[1, 0] = np.nan
    with pytest.raises(UserError, match="1 of 3 rows have logits that are not finite, first row 1"):
        metrics.score(["accuracy"], broken, labels)
    for name, logits in (("accuracy", np.ones((3, 1))), ("pearson", logits_of([0, 1, 1])), ("bleu", np.ones((3, 1)))):
        with pytest.raises(
            UserError, match=f"task.metrics: '{name}' does not fit logits .3, .*; allowed: accuracy, f1"
        ):
            metrics.score([name], logits, labels)
    with pytest.raises(ValueError, match="2 rows of logits for 3 labels"):
        metrics.score(["accuracy"], logits_of([0, 1]), labels)

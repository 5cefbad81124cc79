"""The interval of a loss: paired, and wider on fewer rows."""

from __future__ import annotations

import numpy as np
import pytest

from ofa.evaluation.intervals import interval_of_loss, resampled


def answers(labels: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Logits of two classes that are right but for the rows ``wrong``."""
    given = np.where(wrong, 1 - labels, labels)
    return np.eye(2)[given]


def test_a_network_that_answers_as_its_teacher_loses_nothing_for_sure():
    labels = np.arange(100) % 2
    teacher = answers(labels, np.arange(100) < 20)
    found = interval_of_loss(resampled("accuracy", teacher, labels), resampled("accuracy", teacher, labels))
    assert found == (0.0, 0.0)


@pytest.mark.parametrize(("rows", "expected"), [(400, (3.25, 6.75)), (100, (2.0, 9.0))])
def test_the_interval_is_that_of_the_rows_in_which_they_differ(rows, expected):
    """5% of the rows are lost: the binomial's 5th and 95th percentiles."""
    labels = np.arange(rows) % 2
    teacher = answers(labels, np.zeros(rows, bool))
    network = answers(labels, np.arange(rows) < rows // 20)
    found = interval_of_loss(resampled("accuracy", teacher, labels), resampled("accuracy", network, labels))
    assert found == pytest.approx(expected, abs=0.75)


def test_what_is_hard_for_both_cancels():
    """Unpaired, the interval would be that of two independent scores."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 400)
    hard = rng.random(400) < 0.3
    teacher, network = answers(labels, hard), answers(labels, hard | (np.arange(400) < 4))
    low, high = interval_of_loss(resampled("accuracy", teacher, labels), resampled("accuracy", network, labels))
    assert 0 <= low <= high < 2.5


@pytest.mark.parametrize("metric", ["matthews", "f1"])
def test_metrics_that_are_no_means_are_resampled_whole(metric):
    labels = np.arange(60) % 2
    sampled = resampled(metric, answers(labels, np.arange(60) < 10), labels, 50)
    assert sampled.shape == (50,) and 0 < sampled.std() < 0.3

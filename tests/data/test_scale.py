"""Scores are learned as deviations from their mean; classes are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.data.scale import Scale


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=50), st.floats(1, 1e4), st.floats(-1e4, 1e4))
def test_whatever_the_files_measure_in_the_same_is_learned(values, factor, shift) -> None:
    labels = np.array(values, np.float32)
    if np.ptp(labels) < 1e-2 * (1 + np.abs(labels).max()):
        return  # float32 has no digits left for it
    other = (factor * labels.astype(float) + shift).astype(np.float32)
    if np.ptp(other) < 1e-2 * (1 + np.abs(other).max()):
        return
    learned = Scale.of(labels).learned(labels)
    assert learned.dtype == np.float32 and abs(learned.mean()) < 1e-3 and learned.std() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(Scale.of(other).learned(other), learned, atol=1e-3)


def test_a_row_without_a_score_stays_without_one() -> None:
    found = Scale(50.0, 10.0).learned(np.array([60.0, np.nan], np.float32))
    assert found[0] == 1 and np.isnan(found[1])


@pytest.mark.parametrize("labels", [np.array([0, 1, 1]), np.array([[0, 1], [1, 1]], np.float32)])
def test_classes_are_left_alone(labels: np.ndarray) -> None:
    assert Scale.of(labels) == Scale() and Scale.of(labels).learned(labels) is labels

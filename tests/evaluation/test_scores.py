"""Scores: logits in the rows' order, metrics by split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.data.tokens import Encoded
from ofa.evaluation.scores import main_score, predict, scores


def encoded(lengths: list[int]) -> Encoded:
    """Rows of these lengths; the first token of row i is i."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.full(offsets[-1], 999, np.int32)
    ids[offsets[:-1]] = np.arange(len(lengths))
    rows = len(lengths)
    return Encoded(ids, offsets, np.array(lengths, np.int32), np.arange(rows) % 2, np.zeros(rows, bool))


@given(st.lists(st.integers(2, 9), min_size=1, max_size=40), st.integers(1, 50))
def test_logits_are_in_the_order_of_the_rows(lengths, batch_size):
    def forward(input_ids, token_type_ids):
        assert len(input_ids) <= batch_size
        return np.stack([input_ids[:, 0], (input_ids == 999).sum(axis=1)], axis=1).astype("float32")

    found = predict(forward, encoded(lengths), batch_size)
    assert found[:, 0].tolist() == list(range(len(lengths)))
    assert (found[:, 1] + 1).tolist() == lengths


def test_several_splits_have_their_name_before_their_metrics():
    splits = {"matched": encoded([2, 3]), "mismatched": encoded([4, 5])}
    right, wrong = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    found = scores({"matched": right, "mismatched": wrong}, splits, ["accuracy"])
    assert found == {"matched/accuracy": 1.0, "mismatched/accuracy": 0.0}
    assert main_score(found) == 1.0
    assert scores({"dev": wrong}, {"dev": splits["matched"]}, ["accuracy"]) == {"accuracy": 0.0}


def test_logits_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="1 rows of logits for 2 labels"):
        scores({"dev": np.zeros((1, 2))}, {"dev": encoded([2, 3])}, ["accuracy"])

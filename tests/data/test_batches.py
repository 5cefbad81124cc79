"""Batches: every row once, the same order on every rank, little padding; and what is in a batch."""

from __future__ import annotations

import numpy as np
import pytest

from ofa.data.batches import TrainBatches, collate, collate_part, epoch_batches, eval_batches, steps_per_epoch
from ofa.data.tokens import Encoded

LENGTHS = np.random.default_rng(5).integers(3, 60, 10_007)


@pytest.mark.parametrize(("rows", "batch_size"), [(10_007, 32), (64, 32), (65, 32), (1, 32), (7, 2), (0, 8)])
def test_every_row_once_and_evenly(rows: int, batch_size: int) -> None:
    batches = epoch_batches(LENGTHS[:rows], batch_size, 0, 0)
    assert len(batches) == steps_per_epoch(rows, batch_size)
    assert sorted(row for batch in batches for row in batch) == list(range(rows))
    sizes = [len(batch) for batch in batches] or [0]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) <= batch_size


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(**changes: int) -> list[list[int]]:
        return [batch.tolist() for batch in epoch_batches(LENGTHS, 32, **{"seed": 1, "epoch": 2, **changes})]

    assert order() == order()
    assert order() != order(epoch=3) and order() != order(seed=2)
    # (1, 2) and (2, 1) are different streams
    assert order() != order(seed=2, epoch=1)


def test_bucketing_saves_padding_yet_mixes() -> None:
    def padded(batches: list[np.ndarray]) -> float:
        return sum(len(batch) * LENGTHS[batch].max() for batch in batches) / LENGTHS.sum()

    first, second = (epoch_batches(LENGTHS, 32, 0, epoch) for epoch in (0, 1))
    assert padded(first) < 1.05 < 1.5 < padded(np.array_split(np.arange(len(LENGTHS)), 313))
    means = np.array([LENGTHS[batch].mean() for batch in first])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.2  # short and long batches alternate at random
    together = {
        frozenset(pair) for batch in first for pair in zip(batch[:-1].tolist(), batch[1:].tolist(), strict=True)
    }
    again = {frozenset(pair) for batch in second for pair in zip(batch[:-1].tolist(), batch[1:].tolist(), strict=True)}
    assert len(together & again) < 0.02 * len(together)  # who meets whom changes from epoch to epoch


def test_equal_lengths_are_shuffled() -> None:
    first, second = (np.concatenate(epoch_batches(np.full(1000, 9), 10, 0, epoch)) for epoch in (0, 1))
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.15 and (first != second).mean() > 0.9


def test_eval_batches() -> None:
    batches = eval_batches(LENGTHS, 100)
    assert [len(batch) for batch in batches] == [100] * 100 + [7]
    order = np.concatenate(batches)
    assert sorted(order) == list(range(len(LENGTHS))) and (np.diff(LENGTHS[order]) >= 0).all()
    assert eval_batches(np.zeros(0, np.int64), 4) == []
    assert np.concatenate(eval_batches(np.full(5, 3), 2)).tolist() == [0, 1, 2, 3, 4]


def test_collate() -> None:
    encoded = Encoded(  # rows: 2 7 3 | 2 8 3 9 9 3 | 2 3 5 3
        input_ids=np.array([2, 7, 3, 2, 8, 3, 9, 9, 3, 2, 3, 5, 3], np.int32),
        offsets=np.array([0, 3, 9, 13]),
        first_lengths=np.array([3, 3, 2], np.int32),
        labels=np.array([1, 0, 1]),
        cut=np.zeros(3, bool),
    )
    batch = collate(encoded, np.array([2, 1]))
    assert batch.input_ids.tolist() == [[2, 3, 5, 3, 0, 0], [2, 8, 3, 9, 9, 3]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert (batch.labels.tolist(), batch.rows.tolist()) == ([1, 0], [2, 1])
    assert batch.input_ids.dtype == batch.token_type_ids.dtype == batch.rows.dtype == np.int64
    assert (batch.row_share, batch.token_share) == (1, 1)
    assert collate(encoded, np.array([0])).input_ids.tolist() == [[2, 7, 3]]
    assert collate(encoded, np.array([0, 2])).input_ids.tolist() == [[2, 7, 3, 0], [2, 3, 5, 3]]


@pytest.mark.parametrize(("rows", "parts"), [(9, 1), (9, 2), (9, 4), (2, 3)])
def test_parts_share_a_batch(rows: int, parts: int) -> None:
    lengths = LENGTHS[:rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    encoded = Encoded(np.ones(offsets[-1], np.int32), offsets, lengths, np.zeros(rows), np.zeros(rows, bool))
    found = [collate_part(encoded, np.arange(rows)[::-1], part, parts) for part in range(parts)]
    counted = [part for part in found if part.row_share > 0]
    assert sorted(row for part in counted for row in part.rows) == list(range(rows))
    assert len(counted) == min(rows, parts) and all(len(part.rows) for part in found)
    for part in counted:
        assert part.row_share == len(part.rows) / rows
        assert part.token_share == (part.input_ids > 0).sum() / lengths.sum()
        assert part.input_ids.shape[1] == lengths[part.rows].max(), "padded to its own longest row"
    assert sum(part.token_share for part in found) == pytest.approx(1)


def test_rows_of_a_batch_are_named_by_their_numbers_among_the_training_rows() -> None:
    """Wherever they were taken to; rows that were joined to them have none."""
    ids = np.arange(6, dtype=np.int32)
    rows = Encoded(ids, np.arange(7), np.ones(6, np.int32), np.zeros(6, np.int64), np.zeros(6, bool))
    learned, held = rows.hold_out(2, 3)
    assert sorted([*learned.numbers, *held.numbers]) == list(range(6))
    assert (learned.input_ids == learned.numbers).all() and (held.input_ids == held.numbers).all()
    batches = TrainBatches(learned.join([rows.take([0, 1])]), 4, 0)
    first, second = learned.numbers[:2]
    assert batches.words(np.array([0, 1])) == f"training rows {first}, {second}"
    assert batches.words(np.array([1, 4, 5])) == f"training rows {second} and 2 rows without labels or copies"
    assert batches.words(np.array([5])) == "1 rows without labels or copies"
    assert batches.words(np.zeros(20, int)).endswith(", ...")

"""Which rows make a batch, and a batch as padded arrays.

The order of an epoch depends on (seed, epoch) alone, so a resumed run and every rank see the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ofa.encode import Encoded

POOL_BATCHES = 50  # batches whose rows are sorted by length together: little padding, much randomness


@dataclass
class Batch:
    """Rows padded to the longest of them.

    Attributes:
        input_ids: int64 [B, S].
        token_type_ids: int64 [B, S]; 0 for the first segment and padding, 1 for the second segment.
        labels: [B] class ids (int64) or scores (float32).
        rows: int64 [B]; the rows' numbers in their split.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def collate(encoded: Encoded, rows: np.ndarray, pad_id: int = 0) -> Batch:
    """The batch of the rows numbered ``rows``, in that order."""
    rows = np.asarray(rows, dtype=np.int64)
    taken = encoded.take(rows)
    lengths = taken.lengths[:, None]
    position = np.arange(taken.lengths.max(initial=0))[None, :]  # [1, S]
    filled = position < lengths  # [B, S], true where there is a token
    input_ids = np.full(filled.shape, pad_id, dtype=np.int64)
    input_ids[filled] = taken.input_ids
    token_type_ids = (filled & (position >= taken.first_lengths[:, None])).astype(np.int64)
    return Batch(input_ids, token_type_ids, taken.labels, rows)


def steps_per_epoch(rows: int, batch_size: int, ranks: int = 1) -> int:
    """Batches of one epoch: as few as hold all rows, ``batch_size`` rows per rank."""
    return -(-rows // (batch_size * ranks))


def epoch_batches(
    lengths: np.ndarray, batch_size: int, seed: int, epoch: int, ranks: int = 1, rank: int = 0
) -> list[np.ndarray]:
    """Row numbers of each batch of one epoch, for one of ``ranks`` devices.

    Every row comes once per epoch and all ranks have equally many batches. Rows are shared out evenly, so
    there is no tiny last batch: sizes differ by at most one row between batches, and by at most one
    between the ranks' parts of a batch. A part is empty only if batch_size is 1 or there are fewer
    rows than ranks.

    Args:
        lengths: [N] tokens per row.
        batch_size: rows per rank at most.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = len(lengths)
    steps = steps_per_epoch(rows, batch_size, ranks)
    edges = np.arange(steps + 1) * rows // max(1, steps)
    order = rng.permutation(rows)
    for pool in range(0, steps, POOL_BATCHES):
        part = slice(edges[pool], edges[min(pool + POOL_BATCHES, steps)])
        shuffled = order[part]
        order[part] = shuffled[np.argsort(lengths[shuffled], kind="stable")]  # equal lengths stay shuffled
    return [order[edges[step] : edges[step + 1]][rank::ranks] for step in rng.permutation(steps)]


def eval_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers of each batch, shortest rows first; every row once, always the same."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

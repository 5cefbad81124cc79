"""Which rows make a batch, and a batch as padded arrays.

The order of an epoch depends on (seed, epoch) alone, so a resumed run and every rank see the same,
and each rank takes its part of every batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ofa.data.tokens import Encoded
from ofa.system import ranks

SHOWN = 8  # row numbers in a message
POOL_BATCHES = 50  # batches whose rows are sorted by length together: little padding, much randomness


@dataclass
class Batch:
    """Rows padded to the longest of them.

    Attributes:
        input_ids: int64 [B, S].
        token_type_ids: int64 [B, S]; 0 for the first segment and padding, 1 for the second segment.
        labels: [B, ...] as in Rows.
        rows: int64 [B]; the rows' numbers in their split.
        row_share, token_share: this part's share of the rows and of the tokens of the whole batch, from
            0 to 1. A mean over this part times its share, summed over all parts, is the mean over all.
    """

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    row_share: float = 1.0
    token_share: float = 1.0


def collate(encoded: Encoded, rows: np.ndarray) -> Batch:
    """The batch of the rows numbered ``rows``, in that order."""
    rows = np.asarray(rows, dtype=np.int64)
    taken = encoded.take(rows)
    lengths = taken.lengths[:, None]
    position = np.arange(taken.lengths.max(initial=0))[None, :]  # [1, S]
    filled = position < lengths  # [B, S], true where there is a token
    input_ids = np.full(filled.shape, encoded.pad, dtype=np.int64)
    input_ids[filled] = taken.input_ids
    token_type_ids = (filled & (position >= taken.first_lengths[:, None])).astype(np.int64)
    return Batch(input_ids, token_type_ids, taken.labels, rows)


def collate_part(encoded: Encoded, rows: np.ndarray, part: int, parts: int) -> Batch:
    """Part number ``part`` of ``parts`` of the batch of ``rows``, padded to its own longest row.

    Rows are dealt out in turns. A part that is left without any holds one of the others' with a share of
    0: its rank computes on it, and its result has weight 0.
    """
    dealt = rows[part::parts]
    batch = collate(encoded, dealt if len(dealt) else rows[:1])
    lengths = encoded.offsets[rows + 1] - encoded.offsets[rows]
    batch.row_share = len(dealt) / len(rows)
    batch.token_share = float(lengths[part::parts].sum() / lengths.sum())
    return batch


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches of one epoch: as few as hold all rows."""
    return -(-rows // batch_size)


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row numbers of each batch of one epoch.

    Every row comes once per epoch. Rows are shared out evenly, so there is no tiny last batch: sizes
    differ by at most one row between batches.

    Args:
        lengths: [N] tokens per row.
        batch_size: rows at most.
    """
    rng = np.random.default_rng([seed, epoch])
    rows = len(lengths)
    steps = steps_per_epoch(rows, batch_size)
    edges = np.arange(steps + 1) * rows // max(1, steps)
    order = rng.permutation(rows)
    for pool in range(0, steps, POOL_BATCHES):
        part = slice(edges[pool], edges[min(pool + POOL_BATCHES, steps)])
        shuffled = order[part]
        order[part] = shuffled[np.argsort(lengths[shuffled], kind="stable")]  # equal lengths stay shuffled
    return [order[edges[step] : edges[step + 1]] for step in rng.permutation(steps)]


@dataclass(frozen=True)
class TrainBatches:
    """The batches of a training loop over ``encoded`` rows: which rows each step takes, and this rank's part of them.

    Args:
        seed: with the number of an epoch, decides the order of its batches.
    """

    encoded: Encoded
    batch_size: int
    seed: int

    def __len__(self) -> int:
        """Steps per epoch."""
        return steps_per_epoch(len(self.encoded), self.batch_size)

    def epoch(self, number: int) -> list[np.ndarray]:
        """Row numbers of each batch of an epoch, always the same for the same number."""
        return epoch_batches(self.encoded.lengths, self.batch_size, self.seed, number)

    def part(self, rows: np.ndarray) -> Batch:
        """This rank's part of the batch of ``rows``."""
        return collate_part(self.encoded, rows, ranks.rank(), ranks.size())

    def words(self, rows: np.ndarray) -> str:
        """Which ``rows`` these are, for a message: numbers of training rows, from 0, where they have any."""
        numbers = self.encoded.numbers[rows]
        known = [str(number) for number in numbers if number >= 0]
        shown = ", ".join(known[:SHOWN]) + ", ..." * (len(known) > SHOWN)
        others = f"{len(rows) - len(known)} rows without labels or copies" if len(known) < len(rows) else ""
        return " and ".join(filter(None, [f"training rows {shown}" if known else "", others]))


def eval_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers of each batch, shortest rows first; every row once, always the same."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

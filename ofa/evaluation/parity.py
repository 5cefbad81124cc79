"""Parity check: exported files must reproduce the logits and scores of the network they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ofa.data.kinds import TaskKind
from ofa.data.tokens import Encoded
from ofa.errors import UserError
from ofa.evaluation.scores import scores

FP32_TOLERANCE = 1e-4  # largest difference between logits
# Differences up to this come from the order of float32 sums. A metric may still jump (the ranks of rows that score all
# but the same, a row between two classes), but it is the same network.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Parity:
    """How far an exported network is from the one it came from, over all dev rows.

    Attributes:
        logit_difference: the largest absolute difference between logits.
        score_drift: the largest change of a metric, in points (1 point = 0.01).
        rows: how many rows were compared.
    """

    engine: str
    precision: str
    logit_difference: float
    score_drift: float
    rows: int


def compare(
    expected: dict[str, np.ndarray],
    found: dict[str, np.ndarray],
    splits: dict[str, Encoded],
    metrics: list[str],
    engine: str,
    precision: str,
) -> Parity:
    """Of the logits ``[N, C]`` of every row by split, those of the network and those of its file."""
    difference = max(float(np.abs(expected[name] - found[name]).max()) for name in splits)
    wanted, got = scores(expected, splits, metrics), scores(found, splits, metrics)
    drift = max(100 * abs(wanted[key] - got[key]) for key in wanted)
    return Parity(engine, precision, difference, drift, sum(map(len, splits.values())))


def require_equal(parity: Parity, what: str, kind: TaskKind) -> None:
    """Refuse FP32 files that are not the network that was scored; reduced precision only reports.

    Args:
        what: the network, for the message.
        kind: of the task, which says by how much scores may differ.

    Raises:
        UserError: with the engine and by how much it is off.
    """
    if parity.precision != "fp32" or parity.logit_difference <= ROUNDING:
        return
    if not (parity.logit_difference <= FP32_TOLERANCE and parity.score_drift <= kind.fp32_drift):
        raise UserError(
            f"export: {what} through {parity.engine} is not the network that was scored: logits differ by "
            f"{parity.logit_difference:.3g} (allowed {FP32_TOLERANCE:g}), scores by {parity.score_drift:.3g} points "
            f"over {parity.rows} rows"
        )

"""How sure a loss against the teacher is: a paired bootstrap over the dev rows."""

from __future__ import annotations

import numpy as np

from ofa.evaluation.metrics import score

RESAMPLES = 1000
LEVEL = 0.9  # share of the resampled losses inside the interval


def resampled(metric: str, logits: np.ndarray, labels: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """The metric on ``resamples`` draws of as many rows with replacement, ``[R]``; the same draws for every network.

    Args:
        logits: ``[N, C]``.
        labels: ``[N]``.
    """
    rows = np.random.default_rng(0).integers(0, len(labels), (resamples, len(labels)))
    return np.array([score([metric], logits[drawn], labels[drawn])[metric] for drawn in rows])


def interval_of_loss(teacher: np.ndarray, network: np.ndarray) -> tuple[float, float]:
    """Ends of the interval of the points lost against the teacher (1 point = 0.01), from their :func:`resampled`.

    The percentile interval of paired differences (Efron and Tibshirani 1993, chapter 13): as both were scored on the
    same rows, what is hard about a row hits both and cancels.
    """
    low, high = np.quantile(100 * (teacher - network), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

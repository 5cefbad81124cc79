"""The scale that networks learn scores on: deviations from the mean of the training rows.

In the units of the files, scores of 0 to 100 are too far for a step of training to reach, and errors of millionths too
small to show. What is trained, distilled and scored inside a job is on this scale; what leaves it, and what comes from
outside, is in the files' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """A value of the files is ``mean + deviation * x``, with ``x`` what is learned; as it stands, they are the same."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, labels: np.ndarray) -> Scale:
        """Of training ``labels`` as in ``Rows``: scores are ``[N]`` and not whole numbers; classes have no scale."""
        if labels.ndim > 1 or not np.issubdtype(labels.dtype, np.floating):
            return cls()
        deviation = float(labels.std(dtype=np.float64))
        return cls(float(labels.mean(dtype=np.float64)), deviation or 1.0)  # of rows with one score, nothing is learned

    def learned(self, values: np.ndarray) -> np.ndarray:
        """``values`` of the files, labels or logits, on the scale that is learned; of classes they are left alone."""
        if self == Scale():
            return values
        return ((values.astype(np.float64) - self.mean) / self.deviation).astype(values.dtype)

"""The sub-networks a job serves, their names, and which of them a step trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def width_name(width: float) -> str:
    """The folder of a width: ``w0.75``, ``w0.6667``."""
    return f"w{width:.4g}"


def pick_widths(widths: Sequence[float], sampling: str, between: int, seed: int, step: int) -> list[float]:
    """The widths that one step trains.

    ``all`` is every width. ``sandwich`` is the widest, the narrowest and ``between`` others drawn for
    the step (Yu and Huang 2019, https://arxiv.org/abs/1903.05134), so a step's cost does not grow with
    the list. The draw depends on (seed, step) alone, so a resumed run makes the same.
    """
    if sampling == "all" or len(widths) <= between + 2:
        return list(widths)
    ordered = sorted(widths, reverse=True)
    drawn = np.random.default_rng([seed, step]).choice(ordered[1:-1], between, replace=False)
    return [ordered[0], *sorted((float(width) for width in drawn), reverse=True), ordered[-1]]

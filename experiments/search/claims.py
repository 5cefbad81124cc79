"""The claims of this study of nine jobs: points gained at equal MACs, the slowest search and the smallest front."""

from __future__ import annotations

import statistics
from itertools import product
from typing import Any

from claiming import claim
from glue_minilm.jobs import SEEDS

TASKS = ["sst2", "cola", "mrpc"]
WIDTHS = ["w0.75", "w0.5", "w0.25"]  # compared
LEAST_GAIN = 0.3  # points, in the mean
MOST_MINUTES = 10.0
LEAST_NETWORKS = 10  # on every front


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the runs with the study's seeds; trials with others are no part of these figures."""
    wanted = set(product(TASKS, SEEDS))
    runs = [run for run in record["runs"] if (run["task"], run["seed"]) in wanted]
    whole = len(runs) == len(wanted)
    every = [one for run in runs for one in run["compared"]]
    gains = {f"at the MACs of {name}": [one["gain"] for one in every if one["width"] == name] for name in WIDTHS}
    gains["mean of widths"] = [one["gain"] for one in every]
    found = [
        claim(f"points gained on dev, {what}", ">=", LEAST_GAIN, statistics.mean(of) if of else None, whole)
        for what, of in gains.items()
    ]
    minutes = max((run["search"]["seconds"] / 60 for run in runs), default=None)
    found.append(claim("minutes of a search", "<=", MOST_MINUTES, minutes, whole))
    least = min((run["front"] for run in runs), default=None)
    found.append(claim("networks on a front", ">=", LEAST_NETWORKS, least, whole))
    return found

"""The claims of this study: what INT8 costs in size and score, and gains in time.

``study`` is nine jobs, three tasks by three seeds; jobs of further tasks are in the tables alone. ``random`` has
networks of random weights, whose sizes and times do not depend on them.
"""

from __future__ import annotations

import statistics
from itertools import product
from typing import Any

from claiming import claim
from glue_minilm.jobs import SEEDS

STUDIED = ("sst2", "mrpc", "cola")
BATCHES = (16, 1)
FIGURES = [f"b{batch}" for batch in BATCHES]  # what times are kept by
FASTER, SMALLER, MEAN_DROP, MOST_DROP, CHEAPEST, CLOSE = 2.0, 0.30, 0.3, 0.5, 3.5, 1.0


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = set(product(STUDIED, SEEDS))
    rows = [row for row in record.get("study", {"rows": []})["rows"] if (row["task"], row["seed"]) in wanted]
    jobs = {(row["task"], row["seed"]) for row in rows}
    found = [*_costs("study", rows, jobs == wanted), *_scores(rows, jobs, jobs == wanted)]
    return [*found, *_costs("random", record.get("random", {"rows": []})["rows"])]


def _costs(of: str, rows: list[dict[str, Any]], complete: bool = True) -> list[dict[str, Any]]:
    """The aims on sizes and times; none is met by a study that is not ``complete``."""
    offered = [row for row in rows if row["size"]]
    sizes = [row["size"] for row in offered]
    found = [claim(f"{of}: file, as a share of FP32's, largest", "<=", SMALLER, max(sizes, default=None), complete)]
    for batch in FIGURES:
        ratios = [row["ms"][batch]["fp32"] / row["ms"][batch]["int8"] for row in offered]
        median = statistics.median(ratios) if ratios else None
        for which, got in (("median", median), ("least", min(ratios, default=None))):
            found.append(claim(f"{of}: FP32's time over INT8's, {batch}, {which}", ">=", FASTER, got, complete))
    return found


def _scores(rows: list[dict[str, Any]], jobs: set[tuple[str, int]], complete: bool) -> list[dict[str, Any]]:
    """The aims on scores, and on the cheapest form that is close to its teacher, of the seed where it gains least."""
    drops = [row["drop"] for row in rows if row["size"]]
    found = [
        claim("study: jobs finished", ">=", len(STUDIED) * len(SEEDS), len(jobs), complete),
        claim("study: points lost, mean", "<=", MEAN_DROP, statistics.mean(drops) if drops else None, complete),
        claim("study: points lost, most", "<=", MOST_DROP, max(drops, default=None), complete),
        claim("study: networks without an INT8 file", "<=", 0, len(rows) - len(drops), complete),
    ]
    for task, batch in product(STUDIED, FIGURES):
        gains = [
            gain([row for row in rows if (row["task"], row["seed"]) == job], batch) for job in jobs if job[0] == task
        ]
        name = f"study: {task}, cheapest within {CLOSE:g} point of its teacher, speed-up, {batch}, least seed"
        found.append(claim(name, ">=", CHEAPEST, min(gains, default=None), complete))
    return found


def gain(rows: list[dict[str, Any]], batch: str) -> float:
    """The full network's FP32 time over that of the fastest form of a job close to its teacher; 0: none is."""
    close = [
        row["full_fp32_ms"][batch] / row["ms"][batch][precision]
        for row in rows
        for precision, points in row["below_teacher"].items()
        if points <= CLOSE
    ]
    return max(close, default=0.0)

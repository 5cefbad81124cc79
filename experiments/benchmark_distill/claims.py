"""The claims of this benchmark: faster than PaddleSlim's own loop, at scores that are no lower."""

from __future__ import annotations

import statistics
from typing import Any

from claiming import claim

FASTER = 10  # times PaddleSlim's loop as shipped
THEIRS = "paddleslim_tuned"  # the loop whose scores are on the same rows; the process changes no score


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    speeds, scores = record.get("examples_per_second", {}), record.get("scores", {})
    found = [
        claim(
            "examples per second, times PaddleSlim as shipped", ">=", FASTER, _ratio(speeds, "paddleslim_as_shipped")
        ),
        claim("examples per second, times PaddleSlim in a tuned process", ">", 1, _ratio(speeds, THEIRS)),
        claim("examples per second, times PyTorch", ">", 1, _ratio(speeds, "pytorch")),
    ]
    for task, widths in scores.get("ofa", {}).items():
        theirs = scores.get(THEIRS, {}).get(task)
        for width, ours in widths.items():
            points = 100 * (statistics.mean(ours) - statistics.mean(theirs[width])) if theirs else None
            found.append(claim(f"{task}, width {width}: points above PaddleSlim at equal steps", ">", 0, points))
    return found


def _ratio(speeds: dict[str, float], other: str) -> float | None:
    return speeds["ofa"] / speeds[other] if {"ofa", other} <= speeds.keys() else None

"""The claims of this benchmark: faster than PaddleSlim's own loop, at scores that are no lower."""

from __future__ import annotations

import statistics
from typing import Any

from claiming import claim

FASTER = 10  # times PaddleSlim's loop as shipped
AT_SIZE, FASTER_THAN_PYTORCH = "6x384", 3  # with four widths
RATE, RATE_OF = 0.5, "6x384/32x128/2 threads"  # share of the machine's matrix-product rate, batches of 128 tokens
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
    sizes = record.get("sizes", {}).get(AT_SIZE, {})
    at_size = {loop: of["examples_per_second"] for loop, of in sizes.items()}
    share = record.get("rate", {}).get(RATE_OF, {}).get("share")
    found += [
        claim(f"{AT_SIZE}: times PaddleSlim as shipped", ">=", FASTER, _ratio(at_size, "paddleslim_as_shipped")),
        claim(f"{AT_SIZE}: times PyTorch", ">=", FASTER_THAN_PYTORCH, _ratio(at_size, "pytorch")),
        claim(f"{RATE_OF}: share of the machine's matrix-product rate", ">=", RATE, share),
    ]
    for task, widths in scores.get("ofa", {}).items():
        theirs = scores.get(THEIRS, {}).get(task)
        for width, ours in widths.items():
            points = 100 * (statistics.mean(ours) - statistics.mean(theirs[width])) if theirs else None
            found.append(claim(f"{task}, width {width}: points above PaddleSlim at equal steps", ">", 0, points))
    return found


def _ratio(speeds: dict[str, float], other: str) -> float | None:
    return speeds["ofa"] / speeds[other] if {"ofa", other} <= speeds.keys() else None

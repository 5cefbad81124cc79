"""The claims of this study: two ranks score as one process does, and are faster."""

from __future__ import annotations

from typing import Any

from claiming import claim

TOLERANCE = 0.5  # points of dev score
TEACHERS = {"same_teacher": "distilled from the same teacher", "from_scratch": "from random weights"}


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for part, words in TEACHERS.items():
        largest = record.get("scores", {}).get(f"{part}_largest_difference_points", {})
        found.append(claim(f"{words}: points between the two, largest", "<=", TOLERANCE, largest.get("two ranks")))
    for size, of_size in record.get("throughput", {}).items():
        found.append(claim(f"global batch {size}: times as fast as one process", ">", 1, of_size["ratio"]))
    return found

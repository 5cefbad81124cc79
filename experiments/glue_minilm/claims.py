"""The claims of this study: points lost by widths 2/3 and 1/2, and teachers that clearly learned."""

from __future__ import annotations

import statistics
from typing import Any

from claiming import claim
from glue_minilm.jobs import SEEDS, TASKS

TWO_THIRDS, HALF = "w0.6667", "w0.5"
# What a teacher that clearly learned scores at least: SST-2's aim; else the constant answer's score and some points.
LEARNED = {"cola": 0.10, "mrpc": 0.85, "stsb": 0.10, "sst2": 0.90, "qnli": 0.60, "qqp": 0.73, "mnli": 0.45}


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The study's aims; one on all eight tasks is not met before they were run. Their seeds are a claim of its own."""
    table = record["tasks"]
    complete = set(table) == set(TASKS)
    found = []
    for key, what in (("last", "at the last step"), ("score", "at its best dev score")):
        for name, most, worst in ((TWO_THIRDS, 0.3, 1.0), (HALF, 1.5, None)):
            points = [of["lost"][name][key] for of in table.values()]
            label, of = f"{name}, {what}: points lost", f"of {len(table)} of 8 tasks"
            mean = statistics.mean(points) if points else None
            found.append(claim(f"{label}, mean {of}", "<=", most, mean, complete))
            if worst is not None:
                found.append(claim(f"{label}, most {of}", "<=", worst, max(points, default=None), complete))
    for task, least in LEARNED.items():
        found.append(
            claim(f"{task}: teacher's score, least", ">=", least, min(table.get(task, {}).get("teachers", [None])))
        )
    small = [len(table[task]["seeds"]) if task in table else 0 for task in ("cola", "mrpc", "stsb", "rte")]
    found.append(claim("seeds of each small task, least", ">=", len(SEEDS), min(small)))
    return found

"""The claims of this study: what copies gain over the same steps without them, on each task; known with all seeds."""

from __future__ import annotations

from typing import Any

from claiming import claim
from glue_minilm.jobs import SEEDS

EQUAL_STEPS = "the copies, at equal steps"


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    what = f"by {record['copies']} copies of each row, at equal steps, mean of 3 seeds"
    return [
        claim(
            f"{task}: points gained at {width} {what}",
            ">",
            0,
            of_width["mean"] if len(of_width["points"]) == len(SEEDS) else None,
        )
        for task, of_task in record["worth"][EQUAL_STEPS].items()
        for width, of_width in of_task.items()
    ]

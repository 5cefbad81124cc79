"""The claims of this study: the aim is the comparison itself, every arm of every task with three seeds."""

from __future__ import annotations

from typing import Any

from claiming import claim
from glue_minilm.jobs import SEEDS

TASKS = ("sst2", "cola", "mrpc")


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = len(TASKS) * len(SEEDS)
    return [claim(f"{arm}: jobs run, both widths", ">=", wanted, jobs) for arm, jobs in record["jobs"].items()]

"""The claims of this study: what the README says of the errors, as shares of the published latency."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from claiming import claim

MEASURED = "transformer-deploy benchmarks"


def summary(errors: Iterable[float]) -> dict[str, float]:
    """How many, median and largest absolute error."""
    sizes = [abs(value) for value in errors]
    return {"rows": len(sizes), "median": round(median(sizes), 4), "worst": round(max(sizes), 4)}


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    t4, v100, a100 = (record[name]["holdout"] for name in ("t4", "v100", "a100"))
    lines = record["t4"]["rows"]
    measured = [line for line in lines if line["source"] == MEASURED and line["engine"] != "pytorch_eager"]
    held = summary(line["error"] for line in measured if line["use"] == "holdout")
    crossed = summary(line["leave_one_out"] for line in measured if line["leave_one_out"] is not None)
    paddle = record["t4"]["profiles"]["paddle_tensorrt/fp16"]["leave_one_out"]
    return [
        claim(f"{name} ({got['rows']} rows): {kind} error", "<=", aim, got[kind])
        for name, kind, aim, got in [
            ("T4, rows kept out of the fit", "median", 0.04, t4),
            ("T4, rows kept out of the fit", "worst", 0.10, t4),
            ("T4, transformer-deploy, rows kept out of the fit", "median", 0.10, held),
            ("T4, transformer-deploy, rows kept out of the fit", "worst", 0.25, held),
            ("T4, transformer-deploy, one row left out at a time", "median", 0.10, crossed),
            ("T4, transformer-deploy, one row left out at a time", "worst", 0.25, crossed),
            ("T4, Paddle's TensorRT, one row left out at a time", "worst", 0.10, paddle),
            ("V100, rows kept out of the fit", "median", 0.04, v100),
            ("V100, rows kept out of the fit", "worst", 0.10, v100),
            ("A100 (withheld), rows kept out of the fit", "median", 0.04, a100),
            ("A100 (withheld), rows kept out of the fit", "worst", 0.10, a100),
        ]
    ]

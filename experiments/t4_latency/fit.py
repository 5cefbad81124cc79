"""Fit the constants of GPUs to published latencies and say how far off the estimate is on rows it never saw.

    python experiments/t4_latency/fit.py [published.csv]

Writes results.json beside this file; its ``constants`` are those of conf/hardware. Deterministic, a few minutes.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from claiming import show, write
from t4_latency.claims import summary

from ofa import hardware
from ofa.settings.schema import HardwareConfig
from ofa.settings.target import EngineProfile
from ofa.supernet.subnet import EncoderShape, SubNet

HOLDOUT_RULE = "every third row of each GPU, engine and precision, in the file's order"
LEAVE_ONE_OUT_RULE = "each T4 row of a profile with two rows or more, unless it alone determines a constant"
FUSED = ("tensorrt", "paddle_tensorrt", "onnxruntime_optimized")
# Where the host's time to issue an operation shows; the other unfused engines take TorchScript's (conf/hardware).
DISPATCHED = ("torchscript", "onnxruntime")
START = {"launch_us": 10.0, "memory_efficiency": 0.7, "dispatch_us": 50.0, "efficiency": 0.4}
KEYS = ("layers", "hidden", "heads", "ffn", "seq_len", "batch_size")

Row = dict[str, str]
Constants = dict[str, float]


def read(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def profile(row: dict) -> str:
    return f"{row['engine']}/{row['precision']}"


def is_holdout(rows: list[Row]) -> list[bool]:
    """:data:`HOLDOUT_RULE`, for each row of one GPU."""
    seen: Counter[str] = Counter()
    marks = []
    for row in rows:
        seen[profile(row)] += 1
        marks.append(seen[profile(row)] % 3 == 0)
    return marks


def with_constants(target: HardwareConfig, constants: Constants) -> HardwareConfig:
    """``target`` with its engines made of the named constants; peaks are kept."""
    engines: dict[str, EngineProfile] = {}
    for name in constants:
        kind, *rest = name.split("/")
        if kind == "efficiency":
            engine, precision = rest
            old = engines.setdefault(
                engine, EngineProfile(engine in FUSED, constants.get(f"dispatch_us/{engine}", 0.0))
            )
            old.efficiency[precision] = constants[name]
    of_target = {key: constants[key] for key in ("launch_us", "memory_efficiency")}
    return replace(target, **of_target, engines=engines)


def estimate(target: HardwareConfig, row: Row) -> float:
    """Estimated latency in ms of a row; ``kept_heads`` and ``kept_ffn``, where it has them, are the sub-network's."""
    layers, hidden, heads, ffn, *sizes = (int(row[key]) for key in (*KEYS[:4], "batch_size", "seq_len"))
    kept = SubNet((int(row["kept_heads"] or heads),) * layers, (int(row["kept_ffn"] or ffn),) * layers)
    shape = EncoderShape(layers, hidden, heads, ffn)
    return hardware.estimate(target, row["engine"], row["precision"], shape, kept, *sizes).ms


def error(target: HardwareConfig, row: Row) -> float:
    """(estimated - published) / published."""
    return estimate(target, row) / float(row["latency_ms"]) - 1


def start(rows: list[Row]) -> Constants:
    """Where a fit begins: an efficiency per profile, a dispatch time per engine that shows it, two of the GPU's."""
    engines = {row["engine"] for row in rows}
    names = ["launch_us", "memory_efficiency", *(f"dispatch_us/{engine}" for engine in DISPATCHED if engine in engines)]
    names += [f"efficiency/{name}" for name in sorted({profile(row) for row in rows})]
    return {name: START[name.partition("/")[0]] for name in names}


def fit(target: HardwareConfig, rows: list[Row], begin: Constants) -> Constants:
    """Constants with the least sum of squared log ratios on ``rows``, to four significant digits."""

    def residuals(logs: np.ndarray) -> list[float]:
        fitted = with_constants(target, dict(zip(begin, np.exp(logs), strict=True)))
        return [math.log(1 + error(fitted, row)) for row in rows]

    # A latency has kinks where an operation changes what bounds it: wider steps see past them.
    most = [0.0 if "efficiency" in key else np.inf for key in begin]  # an efficiency is 1 at most
    bounds = (np.full(len(most), -np.inf), np.array(most))
    solution = least_squares(residuals, np.log(list(begin.values())), bounds=bounds, diff_step=1e-3)
    return {key: float(f"{math.exp(value):.4g}") for key, value in zip(begin, solution.x, strict=True)}


def leave_one_out(target: HardwareConfig, rows: list[Row], constants: Constants) -> list[float | None]:
    """The error of each row under :data:`LEAVE_ONE_OUT_RULE`; None where it cannot be left out."""
    profiles, engines = Counter(map(profile, rows)), Counter()
    for row in rows:  # a row that shows what its engine's host takes
        engines[row["engine"]] += _dispatch_bound(with_constants(target, constants), row)
    found: list[float | None] = []
    for index, row in enumerate(rows):
        alone = _dispatch_bound(with_constants(target, constants), row) and engines[row["engine"]] == 1
        if profiles[profile(row)] < 2 or alone:
            found.append(None)
            continue
        others = rows[:index] + rows[index + 1 :]
        found.append(error(with_constants(target, fit(target, others, constants)), row))
    return found


def _dispatch_bound(target: HardwareConfig, row: Row) -> bool:
    free = {row["engine"]: replace(target.engines[row["engine"]], dispatch_us=0.0)}
    return estimate(replace(target, engines=free), row) < estimate(target, row)


def table(target: HardwareConfig, rows: list[Row], held: list[bool]) -> list[dict]:
    return [
        {
            **{key: row[key] for key in ("source", "engine", "precision")},
            **{key: int(row[key]) for key in (*KEYS, "kept_heads", "kept_ffn") if row[key]},
            "published_ms": float(row["latency_ms"]),
            "estimated_ms": round(estimate(target, row), 3),
            "error": round(error(target, row), 4),
            "use": "holdout" if out else "fit",
        }
        for row, out in zip(rows, held, strict=True)
    ]


def ratios(lines: list[dict]) -> list[dict]:
    """Published and estimated speed-up at width 2/3, for each pair of rows that differ in the width alone."""
    found = []
    for cut in (line for line in lines if "kept_heads" in line):
        same = ["source", "engine", "precision", "seq_len", "batch_size"]
        full = next(line for line in lines if "kept_heads" not in line and all(line[k] == cut[k] for k in same))
        published, estimated = (full[key] / cut[key] for key in ("published_ms", "estimated_ms"))
        speedup = {"published": round(published, 3), "estimated": round(estimated, 3)}
        found.append({**{key: cut[key] for key in same}, **speedup, "error": round(estimated / published - 1, 4)})
    return found


def by_profile(lines: list[dict]) -> dict[str, dict]:
    """Rows fitted on, and errors of those held out, of each engine and precision; null where none was."""
    found = {}
    for name in dict.fromkeys(profile(line) for line in lines):
        own = [line for line in lines if profile(line) == name]
        held = [line["error"] for line in own if line["use"] == "holdout"]
        crossed = [line["leave_one_out"] for line in own if line.get("leave_one_out") is not None]
        found[name] = {
            "fitted_rows": len(own) - len(held),
            "holdout": summary(held) if held else None,
            "leave_one_out": summary(crossed) if crossed else None,
        }
    return found


def study(name: str, rows: list[Row], cross: bool) -> dict:
    """Fit the target ``name`` to its rows that are not held out; ``cross`` leaves one out as well."""
    target, held = hardware.load_target(name), is_holdout(rows)
    used = [row for row, out in zip(rows, held, strict=True) if not out]
    constants = fit(target, used, start(used))
    lines = table(with_constants(target, constants), rows, held)
    if cross:
        for line, value in zip(lines, leave_one_out(target, rows, constants), strict=True):
            line["leave_one_out"] = None if value is None else round(value, 4)
    return {
        "constants": constants,
        "holdout": summary(line["error"] for line in lines if line["use"] == "holdout"),
        "profiles": by_profile(lines),
        "rows": lines,
    }


def main(path: Path) -> None:
    rows = read(path)
    studies = {
        name: study(name, [row for row in rows if row["gpu"].lower() == name], cross=name == "t4")
        for name in ("t4", "v100", "a100")
    }
    rules = {"holdout_rule": HOLDOUT_RULE, "leave_one_out_rule": LEAVE_ONE_OUT_RULE}
    speedups = ratios(studies["t4"]["rows"])
    show(write(HERE, {**rules, "width_two_thirds_speedup": speedups, **studies}))
    for name, of_target in studies.items():
        print(name, of_target["constants"])
        for key, value in of_target["profiles"].items():
            print(f"  {key}: {value}")
    for line in speedups:
        print("width 2/3:", line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path, default=HERE / "published.csv", help="rows as published.csv's")
    main(parser.parse_args().table)

"""Fit the T4's constants to published latencies and say how far off the estimate is on rows it never saw.

    python experiments/t4_latency/fit.py [t4_published.csv]

Writes results.json beside this file; its ``constants`` are those of conf/hardware/t4.yaml. Deterministic.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import least_squares

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(REPOSITORY))

from ofa import hardware
from ofa.hardware import load_target
from ofa.settings.schema import HardwareConfig
from ofa.supernet.subnet import EncoderShape, SubNet

PUBLISHED = REPOSITORY.parent / "shared" / "latency" / "t4_published.csv"
OUTSIDE = HERE / "outside.csv"
HOLDOUT_RULE = "every third row of each engine and precision, in the file's order"
LEAVE_ONE_OUT_RULE = "each row of an engine and precision with three rows or more, predicted by a fit to all others"
START = {"launch_us": 10.0, "dispatch_us/torchscript": 50.0}  # and 0.4 for every efficiency

Row = dict[str, str]
Constants = dict[str, float]


def read(path: Path) -> list[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def profile(row: dict) -> str:
    return f"{row['engine']}/{row['precision']}"


def is_holdout(rows: list[Row]) -> list[bool]:
    """:data:`HOLDOUT_RULE`, for each row."""
    seen: Counter[str] = Counter()
    marks = []
    for row in rows:
        seen[profile(row)] += 1
        marks.append(seen[profile(row)] % 3 == 0)
    return marks


def with_constants(target: HardwareConfig, constants: Constants) -> HardwareConfig:
    """``target`` with the named constants; only its peaks, bandwidth and fusing are kept."""
    engines = dict(target.engines)
    for key, value in constants.items():
        if key == "launch_us":
            target = replace(target, launch_us=value)
        else:
            kind, engine, *precision = key.split("/")
            old = engines[engine]
            if kind == "dispatch_us":
                engines[engine] = replace(old, dispatch_us=value)
            else:
                engines[engine] = replace(old, efficiency={**old.efficiency, precision[0]: value})
    return replace(target, engines=engines)


def estimate(target: HardwareConfig, row: Row) -> float:
    """Estimated latency in ms of a row; ``kept_heads`` and ``kept_ffn``, where it has them, are the sub-network's."""
    layers, hidden, heads, ffn = (int(row[key]) for key in ("layers", "hidden", "heads", "ffn"))
    kept = SubNet((int(row.get("kept_heads") or heads),) * layers, (int(row.get("kept_ffn") or ffn),) * layers)
    shape = EncoderShape(layers, hidden, heads, ffn)
    sizes = int(row["batch_size"]), int(row["seq_len"])
    return hardware.estimate(target, row["engine"], row["precision"], shape, kept, *sizes).ms


def error(target: HardwareConfig, row: Row) -> float:
    """(estimated - published) / published."""
    return estimate(target, row) / float(row["latency_ms"]) - 1


def fit(target: HardwareConfig, rows: list[Row]) -> Constants:
    """Constants with the least sum of squared log ratios on ``rows``, to four significant digits."""
    start = dict(START) | {f"efficiency/{name}": 0.4 for name in sorted({profile(row) for row in rows})}

    def residuals(logs: np.ndarray) -> list[float]:
        fitted = with_constants(target, dict(zip(start, np.exp(logs), strict=True)))
        return [math.log(1 + error(fitted, row)) for row in rows]

    # A latency has kinks where an operation changes what bounds it: wider steps see past them.
    solution = least_squares(residuals, np.log(list(start.values())), diff_step=1e-3)
    return {key: float(f"{math.exp(value):.4g}") for key, value in zip(start, solution.x, strict=True)}


def leave_one_out(target: HardwareConfig, rows: list[Row]) -> list[float | None]:
    """The error of each row under :data:`LEAVE_ONE_OUT_RULE`; None where the profile has too few rows."""
    counts = Counter(map(profile, rows))
    found: list[float | None] = []
    for index, row in enumerate(rows):
        others = rows[:index] + rows[index + 1 :]
        few = counts[profile(row)] < 3
        found.append(None if few else error(with_constants(target, fit(target, others)), row))
    return found


def summary(errors: list[float]) -> tuple[float, float]:
    """Median and largest absolute error; NaN-free because callers pass at least one."""
    sizes = [abs(value) for value in errors]
    return round(median(sizes), 4), round(max(sizes), 4)


def table(target: HardwareConfig, rows: list[Row], uses: list[str]) -> list[dict]:
    keys = ("layers", "hidden", "heads", "ffn", "seq_len", "batch_size")
    return [
        {
            **{key: row[key] for key in ("source", "engine", "precision")},
            **{key: int(row[key]) for key in keys},
            **{key: int(row[key]) for key in ("kept_heads", "kept_ffn") if row.get(key)},
            "published_ms": float(row["latency_ms"]),
            "estimated_ms": round(estimate(target, row), 3),
            "error": round(error(target, row), 4),
            "use": use,
        }
        for row, use in zip(rows, uses, strict=True)
    ]


def ratios(rows: list[dict]) -> list[dict]:
    """Published and estimated speed-up at width 2/3, for each pair of rows that differ in the width alone."""
    found = []
    for cut in (row for row in rows if "kept_heads" in row):
        same = [key for key in ("engine", "precision", "seq_len", "batch_size") if key in cut]
        full = next(r for r in rows if "kept_heads" not in r and all(r[k] == cut[k] for k in [*same, "source"]))
        published, estimated = (full[key] / cut[key] for key in ("published_ms", "estimated_ms"))
        speedup = {"published": round(published, 3), "estimated": round(estimated, 3)}
        found.append({**{key: cut[key] for key in same}, **speedup, "error": round(estimated / published - 1, 4)})
    return found


def by_profile(lines: list[dict]) -> dict[str, dict]:
    """Rows and (median, largest) absolute errors of each engine and precision; null where nothing was held out."""
    found = {}
    for name in dict.fromkeys(profile(line) for line in lines):
        own = [line for line in lines if profile(line) == name]
        held = [line["error"] for line in own if line["use"] == "holdout"]
        crossed = [line["leave_one_out_error"] for line in own if line["leave_one_out_error"] is not None]
        found[name] = {
            "rows": len(own),
            "holdout_rows": len(held),
            "holdout_median_max": summary(held) if held else None,
            "leave_one_out_median_max": summary(crossed) if crossed else None,
        }
    return found


def report(results: dict) -> None:
    print(f"{'engine/precision':<18}{'length':>7}{'batch':>6}{'published':>11}{'estimated':>11}{'error':>8}  use")
    for line in results["rows"]:
        sizes = f"{profile(line):<18}{line['seq_len']:>7}{line['batch_size']:>6}"
        print(f"{sizes}{line['published_ms']:>11.2f}{line['estimated_ms']:>11.2f}{line['error']:>+8.1%}  {line['use']}")
    for key, value in results.items():
        if isinstance(value, (float, dict)):
            print(f"{key}: {value}")
    for line in results["width_two_thirds_speedup"]:
        print("width 2/3:", line)


def main(path: Path) -> None:
    target, rows = load_target("t4"), read(path)
    held = is_holdout(rows)
    constants = fit(target, [row for row, out in zip(rows, held, strict=True) if not out])
    fitted = with_constants(target, constants)
    lines = table(fitted, rows, ["holdout" if out else "fit" for out in held])
    for line, value in zip(lines, leave_one_out(target, rows), strict=True):
        line["leave_one_out_error"] = None if value is None else round(value, 4)

    holdout = summary([line["error"] for line in lines if line["use"] == "holdout"])
    crossed = [line["leave_one_out_error"] for line in lines if line["leave_one_out_error"] is not None]
    outside = table(fitted, read(OUTSIDE), ["outside"] * len(read(OUTSIDE)))
    results = {
        "published": path.name,
        "holdout_rule": HOLDOUT_RULE,
        "holdout_rows": sum(held),
        "holdout_median_error": holdout[0],
        "holdout_max_error": holdout[1],
        "leave_one_out_rule": LEAVE_ONE_OUT_RULE,
        "leave_one_out_rows": len(crossed),
        **dict(zip(("leave_one_out_median_error", "leave_one_out_max_error"), summary(crossed), strict=True)),
        "constants": constants,
        "assumed": {"memory_efficiency": target.memory_efficiency},
        "width_two_thirds_speedup": ratios(outside),
        "outside_median_error": summary([line["error"] for line in outside])[0],
        "outside_max_error": summary([line["error"] for line in outside])[1],
        "profiles": by_profile(lines),
        "rows": lines,
        "outside": outside,
    }
    report(results)
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED)

"""What each width costs beside its score: size on disk, measured and estimated latency, and what to take."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

from ofa.config import Config
from ofa.hardware import bound_shares, estimate_latency_ms
from ofa.latency import key
from ofa.pipeline import width_name
from ofa.subnet import BertShape, SubNet

# A measured time this much longer than the share of MACs left is worth a word.
FAR = 1.25
# Below this share of the saving that arithmetic promises, a width is bound by something else.
LITTLE = 0.5


def add_estimates(results: dict[str, Any], config: Config, shape: BertShape) -> None:
    """Add the estimated latency of the settings' target to every width, in place."""
    settings, target = config.latency, config.hardware
    profile = target.engines.get(settings.estimate_engine)
    precisions = [name for name in settings.precisions if profile and name in profile.efficiency]
    for entry in results["widths"]:
        subnet = SubNet.at_width(entry["width"], shape)
        figures = entry.setdefault("latency_ms", {})
        for precision, batch, length in product(precisions, settings.batch_sizes, settings.seq_lengths):
            name = key(target.name, "", precision, batch, length, "estimated").partition("/")[2]
            figures[name] = estimate_latency_ms(
                target, settings.estimate_engine, precision, shape, subnet, batch, length
            )


def add_export(results: dict[str, Any], folder: Path) -> None:
    """Add sizes and parity from the export stage's folder, in place."""
    found = json.loads((folder / "parity.json").read_text())
    for entry in results["widths"]:
        of_width = found[width_name(entry["width"])]
        entry["bytes"] = of_width["bytes"]["model.safetensors"]
        entry["parity"] = of_width["parity"]


def add_measured(results: dict[str, Any], record: dict[str, Any]) -> None:
    """Add measured medians (ms per batch) and the machine they come from, in place."""
    for entry in results["widths"]:
        figures = entry.setdefault("latency_ms", {})
        for name, timing in record["timings"][str(entry["width"])].items():
            figures[name.partition("/")[2]] = timing["median_ms"]
    about = {key: record[key] for key in ("device", "threads", "machine", "versions")}
    results.setdefault("measured_on", {})[record["where"]] = about


def add_speedups(results: dict[str, Any]) -> None:
    """Add to every width how many times faster than full width it is, by figure, in place."""
    widest = max(results["widths"], key=lambda entry: entry["width"]).get("latency_ms", {})
    for entry in results["widths"]:
        entry["speedup"] = {name: widest[name] / value for name, value in entry.get("latency_ms", {}).items()}


def headline(results: dict[str, Any], kind: str) -> str | None:
    """The first figure of a kind (``measured`` or ``estimated``), the one a table and a chart show."""
    names = [name for name in results["widths"][0].get("latency_ms", {}) if name.endswith(kind)]
    return names[0] if names else None


def recommend(results: dict[str, Any], tolerance: float) -> dict[str, Any]:
    """The cheapest width (fewest MACs) whose score is at most ``tolerance`` points below the teacher's.

    Returns:
        ``{"width", "tolerance", "words"}``; ``width`` is None where no width is close enough.
    """
    teacher = results["teacher"]["score"]
    # Rounding guards a difference of exactly the tolerance against binary fractions.
    close = [e for e in results["widths"] if round(100 * (teacher - e["score"]), 6) <= tolerance]
    if not close:
        best = max(results["widths"], key=lambda entry: entry["score"])
        words = (
            f"No width is within {tolerance:g} points of the teacher ({teacher:.4f}); "
            f"the best is width {best['width']:.4g} at {best['score']:.4f}."
        )
        return {"width": None, "tolerance": tolerance, "words": words}
    chosen = min(close, key=lambda entry: entry["macs"])
    saved = 1 - chosen["params"] / results["teacher"]["params"]
    words = (
        f"Take width {chosen['width']:.4g}: the cheapest within {tolerance:g} points of the teacher "
        f"({chosen['score']:.4f} against {teacher:.4f}), with {saved:.0%} fewer parameters"
    )
    for kind in ("measured", "estimated"):
        name = headline(results, kind)
        if name:
            words += f", {chosen['speedup'][name]:.2f}x full width's speed {kind} ({name})"
    return {"width": chosen["width"], "tolerance": tolerance, "words": words + "."}


def warnings(results: dict[str, Any], config: Config, shape: BertShape) -> list[str]:
    """In words, one line for each width and kind: figures that miss what the arithmetic promises, and why."""
    found = []
    full = max(results["widths"], key=lambda entry: entry["width"])
    for entry in results["widths"]:
        share = entry["macs"] / full["macs"]
        left = {name: value / full["latency_ms"][name] for name, value in entry.get("latency_ms", {}).items()}
        slow = [name for name in left if name.endswith("measured") and left[name] > FAR * share]
        if slow:
            times = ", ".join(f"{name.removesuffix('_measured')} {left[name]:.0%}" for name in slow)
            found.append(
                f"width {entry['width']:.4g} has {share:.0%} of full width's MACs but takes more of its time, "
                f"measured: {times}; there the time is not in the matrix products."
            )
        stuck = [name for name in left if name.endswith("estimated") and 1 - left[name] < LITTLE * (1 - share)]
        if stuck:
            gains = ", ".join(f"{name.removesuffix('_estimated')} {1 / left[name]:.2f}x" for name in stuck)
            bound = _bound(entry, stuck[0], config, shape)
            found.append(f"width {entry['width']:.4g} is hardly faster, estimated: {gains}; {bound}.")
    return found


def _bound(entry: dict[str, Any], name: str, config: Config, shape: BertShape) -> str:
    """What most of the estimated time of the figure ``name`` goes to."""
    precision, batch, length = (name.split("_")[i] for i in (-4, -3, -2))
    subnet = SubNet.at_width(entry["width"], shape)
    engine = config.latency.estimate_engine
    shares = bound_shares(config.hardware, engine, precision, shape, subnet, int(batch[1:]), int(length[1:]))
    worst = max(shares, key=lambda kind: shares[kind])
    words = {"launch": "launching operations", "memory": "moving memory", "compute": "arithmetic at this size"}
    return f"{shares[worst]:.0%} of that time is bound by {words[worst]}"

"""The record of a run: what each network costs beside its score."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

from ofa.hardware import engines_to_estimate, estimate, fastest_first
from ofa.settings.schema import Config
from ofa.supernet.space import width_name
from ofa.supernet.subnet import BertShape, SubNet


def key(where: str, engine: str, precision: str, batch_size: int, seq_length: int, kind: str) -> str:
    """The name of a figure: ``latency_ms/cpu_paddle_fp32_b16_s128_measured``.

    Args:
        where: the target or device, e.g. ``t4``, ``cpu``.
        engine: left out of the name if empty (the first engine of the settings).
        kind: ``measured`` or ``estimated``; the one is never named as the other.
    """
    parts = [where, *([engine] if engine else []), precision, f"b{batch_size}", f"s{seq_length}", kind]
    return f"latency_ms/{'_'.join(parts)}"


def add_estimates(results: dict[str, Any], config: Config, shape: BertShape) -> None:
    """Add the estimated latency of the settings' target to every width, in place, and what each figure rests on.

    The first engine has no name of its own in a figure's name; ``results["estimated_for"]`` says which it is.
    """
    settings, target = config.latency, config.hardware
    engines = engines_to_estimate(target, settings.estimate_engines)
    profiles = [(name, way) for name in engines for way in fastest_first(target, name, settings.precisions)]
    for entry in results["widths"]:
        subnet = SubNet.at_width(entry["width"], shape)
        figures = entry.setdefault("latency_ms", {})
        for (engine, precision), batch, length in product(profiles, settings.batch_sizes, settings.seq_lengths):
            found = estimate(target, engine, precision, shape, subnet, batch, length)
            own = "" if engine == engines[0] else engine
            name = key(target.name, own, precision, batch, length, "estimated").partition("/")[2]
            figures[name] = found.ms
            results.setdefault("estimated_for", {})[name] = {"engine": engine, "evidence": found.evidence}


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

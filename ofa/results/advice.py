"""Which network to take, and what to be wary of."""

from __future__ import annotations

from math import nan
from typing import Any

from ofa.errors import UserError
from ofa.hardware import engines_to_estimate, estimate
from ofa.results.record import headline
from ofa.settings.schema import Config, ObjectiveConfig
from ofa.supernet.subnet import BertShape, SubNet

# A measured time this much longer than the share of MACs left is worth a word.
FAR = 1.25
# Below this share of the saving that arithmetic promises, a width is bound by something else.
LITTLE = 0.5


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
            rests = results.get("estimated_for", {}).get(name)
            on = f", {rests['engine']}, {rests['evidence']}" if rests else ""
            words += f", {chosen['speedup'][name]:.2f}x full width's speed {kind} ({name}{on})"
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
    *own, precision, batch, length, _ = name.removeprefix(f"{config.hardware.name}_").split("_")
    engine = "_".join(own) or engines_to_estimate(config.hardware, config.latency.estimate_engines)[0]
    subnet = SubNet.at_width(entry["width"], shape)
    shares = estimate(config.hardware, engine, precision, shape, subnet, int(batch[1:]), int(length[1:])).shares
    worst = max(shares, key=lambda kind: shares[kind])
    words = {"launch": "launching operations", "memory": "moving memory", "compute": "arithmetic at this size"}
    return f"{shares[worst]:.0%} of that time is bound by {words[worst]}"


def objective(results: dict[str, Any], settings: ObjectiveConfig) -> float:
    """The score (0 to 1) that ``settings`` ask for; nan for a job that scores no widths.

    Raises:
        UserError: if the width or the latency figure is not among the results, or no width is fast enough.
    """
    widths = results.get("widths")
    if not widths:
        return nan
    if settings.max_latency_ms is not None:
        return _under_limit(widths, settings.max_latency_ms, _figure(results, settings.latency))
    if settings.width is None:
        return float(min(widths, key=lambda entry: entry["width"])["score"])
    found = [entry["score"] for entry in widths if abs(entry["width"] - settings.width) < 1e-3]  # 0.6667 is 2/3
    if not found:
        raise UserError(f"objective.width: {settings.width:g} is not among ofa.widths; allowed: {_list(widths)}")
    return float(found[0])


def _list(widths: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['width']:.4g}" for entry in widths)


def _figure(results: dict[str, Any], name: str | None) -> str:
    """The latency figure that the limit is for."""
    known = list(results["widths"][0].get("latency_ms", {}))
    chosen = name or headline(results, "measured") or headline(results, "estimated")
    if chosen is None or chosen not in known:
        raise UserError(f"objective.latency: {chosen} was not found; this job has: {', '.join(known) or 'none'}")
    return chosen


def _under_limit(widths: list[dict[str, Any]], limit: float, figure: str) -> float:
    fast = [entry["score"] for entry in widths if entry["latency_ms"][figure] <= limit]
    if not fast:
        least = min(entry["latency_ms"][figure] for entry in widths)
        raise UserError(
            f"objective.max_latency_ms: no width is within {limit:g} ms; the fastest takes {least:.3g} ms ({figure})"
        )
    return float(max(fast))

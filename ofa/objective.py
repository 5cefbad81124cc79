"""The one number a job returns to a sweeper that searches: the score of a width, or under a latency limit."""

from __future__ import annotations

from math import nan
from typing import Any

from ofa.config import ObjectiveConfig
from ofa.costs import headline
from ofa.errors import UserError


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

"""The figure of a run: score against latency and against size, one point per width."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ofa.results.record import KINDS, NetworkResult, Results


def draw(results: Results, path: Path) -> None:
    """Write the score-cost curves of ``results`` as a PNG; the teacher is a dashed line and a star."""
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    assert results.teacher is not None
    panels: list[tuple[Callable[[NetworkResult], float], str]] = [
        (lambda network: network.params / 1e6, "parameters (millions)")
    ]
    for kind in KINDS:
        name = results.headline(kind)
        if name:
            panels.append((partial(results.ms, figure=name), f"ms per batch, {kind}\n{name}"))
    figure = Figure(figsize=(4.6 * len(panels), 4.2), layout="constrained")
    metric = next(iter(results.teacher.metrics))
    for index, (cost, label) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        points = sorted((cost(network), network.score, network.width) for network in results.networks)
        axes.axhline(results.teacher.score, color="0.5", linestyle="--", linewidth=1, label="teacher")
        axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o-", color="tab:blue", label="widths")
        # The teacher is as large and as slow as full width.
        axes.plot([points[-1][0]], [results.teacher.score], "*", color="tab:orange", markersize=13, label="_teacher")
        for x, y, width in points:
            axes.annotate(f"{width:.3g}", (x, y), textcoords="offset points", xytext=(0, 7), ha="center")
        axes.set_xlabel(label)
        axes.margins(0.12, 0.2)
        axes.grid(alpha=0.3)
        if index == 0:
            axes.set_ylabel(f"{metric} on dev")
            axes.legend(loc="best")
    figure.suptitle(f"{results.task}, {results.model}, seed {results.seed}")
    figure.savefig(path, dpi=120)


def draw_sweep(name: str, summary: dict[str, Any], path: Path) -> None:
    """Write the scores of a sweep by width as a PNG: one curve per task and variant, their average in black."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    widths = {name: shares["width"] for name, shares in summary["networks"].items()}
    curves: list[tuple[str, dict, dict]]
    curves = [(f"{row['task']} {row['label']}".strip(), row["scores"], {}) for row in summary["rows"]]
    thick = {"color": "black", "linewidth": 2.5}
    curves += [(f"average {row['label']}".strip(), row["scores"], thick) for row in summary["averages"]]
    for label, scores, style in curves:
        names = sorted((name for name in scores if name != "teacher"), key=widths.__getitem__)
        x = [widths[name] for name in names]
        means = [scores[name]["mean"] for name in names]
        spreads = [scores[name]["std"] or 0.0 for name in names]
        axes[0].errorbar(x, means, spreads, fmt="o-", markersize=4, capsize=3, label=label, **style)
        drops = [100 * (value - scores["teacher"]["mean"]) for value in means]
        axes[1].plot(x, drops, "o-", markersize=4, **style)
    axes[1].axhline(0, color="0.5", linestyle="--", linewidth=1)
    for panel, title in zip(axes, ("score on dev", "points from the teacher"), strict=True):
        panel.set_xlabel("width")
        panel.set_ylabel(title)
        panel.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.suptitle(name)
    figure.savefig(path, dpi=120)

"""Draw results.json beside this file as figure.png: speed, ablation, scaling and scores.

python experiments/benchmark_distill/plot.py
"""

from __future__ import annotations

import math
import statistics
from typing import Any

from harness import HERE, recorded
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LOOPS = {
    "paddleslim_as_shipped": "PaddleSlim\nas shipped",
    "paddleslim_tuned": "PaddleSlim\ntuned process",
    "pytorch": "PyTorch",
    "ofa": "ofa",
    "ofa_and_no_dropout": "ofa,\nno dropout",
}
WITHOUT = "ofa_without_"
SCORED = (  # shift, loop, colour, label
    (-0.3, "paddleslim_importance_on_dev", "0.7", "PaddleSlim, importance on dev: learns from the dev labels"),
    (-0.1, "paddleslim_tuned", "0.4", "PaddleSlim"),
    (0.1, "pytorch", "tab:orange", "PyTorch"),
    (0.3, "ofa", "tab:blue", "ofa"),
)


def bars(axes: Axes, loops: dict[str, dict[str, Any]], names: dict[str, str]) -> None:
    """Median examples per second with lowest and highest round."""
    found = {label: loops[name] for name, label in names.items() if name in loops}
    medians = [loop["examples_per_second"] for loop in found.values()]
    below = [loop["examples_per_second"] - loop["lowest"] for loop in found.values()]
    above = [loop["highest"] - loop["examples_per_second"] for loop in found.values()]
    drawn = axes.barh(list(found), medians, xerr=[below, above], color="tab:blue", capsize=3)
    axes.bar_label(drawn, fmt="%.0f", padding=4)
    axes.invert_yaxis()
    axes.set_xlabel("examples per second")
    axes.margins(x=0.15)


def scaling(axes: Axes, found: dict[str, dict[str, Any]], kind: str, label: str) -> None:
    """Examples per second over the number in a setting's name; the sandwich is a point of its own."""
    points = {name.partition("/")[2]: loop["examples_per_second"] for name, loop in found.items() if kind in name}
    numbered = [(int(name), speed) for name, speed in points.items() if name.isdigit()]
    axes.plot([x for x, _ in numbered], [y for _, y in numbered], "o-")
    for name, speed in points.items():
        if not name.isdigit():
            axes.plot([int(name.split()[0])], [speed], "*", markersize=13, label=name.split()[1])
            axes.legend()
    axes.set_xlabel(label)
    axes.set_ylabel("examples per second")
    axes.set_ylim(bottom=0)


def scores(axes: Axes, found: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    """Every seed's score as a point, and the mean as a line, for each task and width."""
    tasks = list(next(iter(found.values())))
    widths = list(found["ofa"][tasks[0]])
    ticks = [f"{task}\n{width}" for task in tasks for width in widths]
    for shift, loop, colour, label in SCORED:
        for index, (task, width) in enumerate((task, width) for task in tasks for width in widths):
            seeds = found[loop][task][width] if loop in found else [math.nan]  # PyTorch is an extra
            axes.plot([index + shift] * len(seeds), seeds, ".", color=colour, alpha=0.6)
            axes.plot(index + shift, statistics.mean(seeds), "_", color=colour, markersize=16, markeredgewidth=3)
        axes.plot([], [], "_", color=colour, markeredgewidth=3, label=label)
    axes.set_xticks(range(len(ticks)), ticks, fontsize=8)
    axes.set_ylabel("dev accuracy after equal steps")
    axes.legend()


def main() -> None:
    results = recorded()
    figure = Figure(figsize=(13, 11), layout="constrained")
    grid = figure.add_gridspec(3, 2)
    bars(figure.add_subplot(grid[0, 0]), results["loops"], LOOPS)
    ablation = {name: "without\n" + name.removeprefix(WITHOUT) for name in results["loops"] if name.startswith(WITHOUT)}
    bars(figure.add_subplot(grid[0, 1]), results["loops"], {"ofa": "ofa", **ablation})
    scaling(figure.add_subplot(grid[1, 0]), results["scaling"], "widths/", "widths (4 layers x 192, 12 heads)")
    scaling(figure.add_subplot(grid[1, 1]), results["scaling"], "batch/", "batch size (4x128, 3 widths)")
    scores(figure.add_subplot(grid[2, :]), results["scores"])
    machine = results["machine"]
    figure.suptitle(f"Distilling a supernet, {machine['cores']} cores of {machine['cpu']}: SST-2, BERT 4x128")
    figure.savefig(HERE / "figure.png", dpi=110)


if __name__ == "__main__":
    main()

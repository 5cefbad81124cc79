"""Pictures: the networks of a run, and the scores of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa.results.advice import score_of
from ofa.results.figure import ENGINES, Latency
from ofa.results.lettering import lettering, title
from ofa.results.record import NetworkResult, Results
from ofa.supernet.space import SEARCHED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = "osD^vP"
ROOM = 0.6  # points above and below what is drawn: an axis must not turn noise into a trend
FEW = 6  # names of curves that fit among the points
SPAN = 2.0  # the least ratio of an axis of latencies' ends, for the same reason
WIDE = 5.0  # a ratio at which not every digit of a decade has room for its number


@lettering()
def draw(results: Results, path: Path) -> None:
    """Write a PNG of points from the teacher over milliseconds per row, or over size where no latency is known.

    A curve for every engine (and depth) of each device, at the scores of the files that these run; intervals of 90%,
    of networks in FP32; a band for the tolerance; a star on the recommended network.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    assert results.recommended is not None
    headlines = results.headlines
    figure = Figure(figsize=(6.2 * max(1, len(headlines)), 4.8), layout="constrained")
    axes = figure.subplots(1, max(1, len(headlines)), squeeze=False, sharey=True)[0]
    for panel, headline in zip(axes, headlines, strict=False):
        _latencies(panel, results, headline)
    if not headlines:
        _curve(axes[0], results, [(network.params / 1e6, network, None) for network in results.networks], "networks", 0)
        axes[0].set_xlabel("parameters (millions)")
    low, high = _range(results)
    for panel in axes:
        panel.axhspan(-results.recommended.tolerance, high + ROOM, color="tab:green", alpha=0.08)
        panel.axhline(0, color="0.4", linestyle="--", linewidth=1)
        panel.set_ylim(low - ROOM, high + ROOM)
        panel.grid(alpha=0.25)
        _legend(panel)
    metric = next(iter(results.networks[0].metrics))
    axes[0].set_ylabel(f"points of {metric} from the teacher")
    words = [f"{results.task}, {results.model}, seed {results.seed}", *_subtitle(results)]
    figure.suptitle(title(words, figure.get_figwidth()), fontsize="medium")
    figure.savefig(path, dpi=120, bbox_inches="tight")  # a legend below a panel included


def _legend(panel: Axes) -> None:
    """Names of the curves among them, or below the panel where there are so many that they would hide points."""
    if len(panel.get_legend_handles_labels()[0]) <= FEW:
        panel.legend(loc="lower right", fontsize="small")
    else:
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.27), ncols=2, fontsize="x-small")


def _subtitle(results: Results) -> list[str]:
    chosen = results.network(results.recommended.name if results.recommended else None)
    bars = f"90% intervals on {results.dev_rows:,} dev rows" if results.networks[0].lost else ""
    return [f"take {chosen.label}" if chosen else "nothing to recommend", bars, "green: within the tolerance"]


def _range(results: Results) -> tuple[float, float]:
    """Lowest and highest point that is drawn, bars and tolerance included."""
    assert results.teacher is not None and results.recommended is not None
    scores = [network.score for network in results.networks]
    scores += [reduced.score for network in results.networks for reduced in network.reduced]
    points = [100 * (score - results.teacher.score) for score in scores]
    ends = [end for network in results.networks if network.lost for end in (-network.lost[0], -network.lost[1])]
    return min([-results.recommended.tolerance, *points, *ends]), max([0.0, *points, *ends])


def _families(results: Results) -> dict[str, list[NetworkResult]]:
    """The networks that a curve joins, by what its label adds: those of a depth, and those that a search found."""
    uniform = [network for network in results.networks if not network.searched]
    depths = sorted({network.depth for network in uniform}, reverse=True)
    families = {
        f", depth {depth:.4g}" if depth != 1 else "": [network for network in uniform if network.depth == depth]
        for depth in depths
    }
    found = [network for network in results.networks if network.searched]
    return families | ({", search": found} if found else {})


def _latencies(panel: Axes, results: Results, headline: Latency) -> None:
    """A device's curves: each of its engines and precisions at the headline's batch and length, and of each depth."""
    from matplotlib.ticker import LogLocator

    same = ("where", "kind", "batch_size", "seq_length")
    figures = results.figures.items()
    shown = {name: one for name, one in figures if all(getattr(one, k) == getattr(headline, k) for k in same)}
    place = 0
    for name, latency in shown.items():
        for family, networks in _families(results).items():
            timed = [(one, found) for one in networks if (found := results.latency(one, name))]
            points = [(found.ms / found.batch_size, one, found) for one, found in timed]
            label = f"{ENGINES.get(latency.engine, latency.engine)} {latency.precision}{family}"
            _curve(panel, results, points, label, place, latency == headline)
            place += 1
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    if high < SPAN * low:
        middle = (low * high) ** 0.5
        panel.set_xlim(middle / SPAN**0.5, middle * SPAN**0.5)
    if high > WIDE * low:
        panel.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter("{x:g}")
    panel.tick_params(axis="x", which="both", labelsize="small", labelrotation=30)
    panel.set_xlabel(
        f"milliseconds per row, batch {headline.batch_size}, {headline.seq_length} tokens\n{headline.basis}"
    )


def _curve(
    panel: Axes,
    results: Results,
    points: Sequence[tuple[float, NetworkResult, Latency | None]],
    label: str,
    place: int,
    named: bool = True,
) -> None:
    """Points from the teacher over a cost; only the curve of the recommended engine names its networks."""
    assert results.teacher is not None and results.recommended is not None
    points = sorted(points, key=lambda point: point[0])
    costs = [cost for cost, _, _ in points]
    drops = [100 * (score_of(network, latency) - results.teacher.score) for _, network, latency in points]
    bars = [network.lost for _, network, latency in points if network.lost and not _reduced(network, latency)]
    below = [drop + lost[1] for drop, lost in zip(drops, bars, strict=False)]
    above = [-lost[0] - drop for drop, lost in zip(drops, bars, strict=False)]
    color, mark = f"C{place}", MARKS[place % len(MARKS)]
    panel.plot(costs, drops, f"{mark}-", color=color, markersize=5, label=label)
    if len(bars) == len(points) and named:
        ends = ([max(0.0, end) for end in below], [max(0.0, end) for end in above])
        panel.errorbar(costs, drops, ends, fmt="none", ecolor=color, alpha=0.5, capsize=3)
    for cost, drop, (_, network, _) in zip(costs, drops, points, strict=True) if named else ():
        chosen = network.name == results.recommended.name
        text = f"{'★ ' if chosen else ''}{network.name if network.searched else f'{network.width:.3g}'}"
        weight = "bold" if chosen else "normal"
        panel.annotate(
            text, (cost, drop), textcoords="offset points", xytext=(6, 6), fontsize="small", fontweight=weight
        )


def _reduced(network: NetworkResult, latency: Latency | None) -> bool:
    """Whether ``latency`` is of a file with a score of its own, which no interval is known of."""
    return latency is not None and network.in_precision(latency.engine, latency.precision) is not None


@lettering()
def draw_sweep(name: str, summary: dict[str, Any], path: Path) -> None:
    """Write the points from the teacher of a sweep's rows as a PNG: a small panel per task and variant, same scale.

    Bars are the standard deviation over seeds of these points, each seed's network against that seed's teacher.
    """
    from matplotlib.figure import Figure

    rows = [*summary["rows"], *({**average, "task": "average"} for average in summary["averages"])]
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.7 * lines + 0.6), layout="constrained")
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
    shares = summary["networks"]
    for panel, row in zip(panels, rows, strict=False):
        points = row["points"]
        uniform = [one for one in points if not one.startswith(SEARCHED)]
        for depth in sorted({shares[one]["depth"] for one in uniform}, reverse=True):
            names = [one for one in uniform if shares[one]["depth"] == depth]
            names.sort(key=lambda one: shares[one]["width"])
            drops = [points[one]["mean"] for one in names]
            spreads = [points[one]["std"] or 0.0 for one in names]
            label = f"depth {depth:.4g}" if depth != 1 else None
            panel.errorbar([shares[one]["width"] for one in names], drops, spreads, fmt="o-", capsize=3, label=label)
        panel.axhline(0, color="0.4", linestyle="--", linewidth=1)
        panel.set_title(f"{row['task']} {row['label']}".strip(), fontsize="small")
        panel.margins(y=0.25)
        panel.grid(alpha=0.25)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="x-small")
    low, high = panels[0].get_ylim()  # which all share
    panels[0].set_ylim(min(low, -ROOM), max(high, ROOM))
    for panel in panels[len(rows) :]:
        panel.axis("off")
    figure.supxlabel("width")
    figure.supylabel("points from the teacher")
    several = any(len(row["seeds"]) > 1 for row in summary["rows"])
    bars = "bars: standard deviation over seeds, each against its own teacher" if several else ""
    figure.suptitle(title([name, bars], figure.get_figwidth()))
    figure.savefig(path, dpi=120)

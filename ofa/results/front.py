"""The front that a search found, as a table and a picture: what is best at every cost within the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa.results.record import Results
from ofa.supernet.space import record_of_search
from ofa.supernet.subnet import SubNet, uniform

FRONT = "front.png"
UNITS = {"max_latency_ms": "ms", "max_params": "parameters", "max_macs": "MACs", "max_bytes": "bytes"}


def found(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """What the search of a job left in ``folders`` (by stage), and what became of its networks; None without one.

    ``specialised``, if they were distilled alone: a network's score ``before``, and the ``step`` and ``score`` kept.
    """
    record = record_of_search(folders.get("search"))
    if record and "specialise" in folders:
        record["specialised"] = json.loads((folders["specialise"] / "specialise.json").read_text())
    return record


def remarks(search: Mapping[str, Any]) -> list[str]:
    """What came of distilling the networks found alone, in one sentence."""
    specialised = search.get("specialised", {})
    if not specialised:
        return []
    helped = [
        f"{name} {kept['before']:.4f} to {kept['score']:.4f}" for name, kept in specialised.items() if kept["step"]
    ]
    words = f"it helped {len(helped)} of {len(specialised)}" + f" ({', '.join(helped)})" * bool(helped)
    return [
        f"The networks found were distilled alone, which is kept where it helps on the {search['rows']:,} rows held "
        f"out: {words}."
    ]


def limits_of(search: Mapping[str, Any]) -> str:
    """``max_macs 60,000,000 and max_params 400,000``."""
    return " and ".join(f"{name} {limit:,.10g}" for name, limit in search["limits"].items())


def words(search: Mapping[str, Any]) -> str:
    """What the table is of."""
    by = f" ({search['figure']})" if search["figure"] else ""
    scored = f"{search['evaluations']} networks scored"
    scores = f"{search['metric']} on {search['rows']:,} training rows held out of distillation"
    return (
        f"The front of the search within {limits_of(search)}{by}: of {scored}, those that none "
        f"beats at its cost. Scores are {scores}. ★: networks of this job; below the front, "
        "the uniform ones as the search saw them."
    )


def table(search: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows: the front, the best first, then the uniform networks."""
    rows = [["network", search["metric"], *(UNITS[name] for name in search["limits"]), "layers", "heads", "neurons"]]
    for entry in [*search["front"], *search["uniform"]]:
        subnet = SubNet.from_dict(entry["subnet"])
        row = ["★ " * entry.get("chosen", False) + entry["name"], f"{entry['score']:.4f}"]
        row += [f"{cost:.3f}" if name == "max_latency_ms" else f"{cost:,.0f}" for name, cost in entry["costs"].items()]
        rows.append([*row, str(subnet.depth), str(uniform(subnet.heads)), str(uniform(subnet.neurons))])
    return rows


def draw(results: Results, path: Path) -> None:
    """Write a PNG of the front and the uniform networks: score on the rows held out over the share of the limits."""
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    search = results.search
    assert search is not None
    figure = Figure(figsize=(6.2, 4.8), layout="constrained")
    panel = figure.subplots()
    for key, style, label in (("uniform", "s", "uniform"), ("front", "o-", "front")):
        points = sorted((100 * entry["share"], 100 * entry["score"]) for entry in search[key])
        panel.plot(*zip(*points, strict=True), style, markersize=4, label=label)
    for entry in search["front"]:
        if entry["chosen"]:
            point = (100 * entry["share"], 100 * entry["score"])
            panel.annotate(entry["name"], point, textcoords="offset points", xytext=(4, 6), fontsize="small")
    panel.axvline(100, color="0.4", linestyle="--", linewidth=1)
    panel.set_xlabel(f"percent of {limits_of(search)}" + (f"\n{search['figure']}" if search["figure"] else ""))
    panel.set_ylabel(f"{search['metric']} on {search['rows']:,} rows held out, percent")
    panel.grid(alpha=0.25)
    panel.legend(loc="lower right", fontsize="small")
    figure.suptitle(f"{results.task}, {results.model}, seed {results.seed}", fontsize="medium")
    figure.savefig(path, dpi=120)

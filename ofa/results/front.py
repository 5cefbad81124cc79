"""The front that a search found, as a table and a picture: what is best at every cost within the limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa.results.lettering import lettering, title
from ofa.results.record import Results
from ofa.supernet.space import record_of_search
from ofa.supernet.subnet import SubNet, uniform
from ofa.system.files import read_json

FRONT, MEASURED = "front.png", "_measured"  # the name of a picture; how names of measured figures end
FAR = 15  # percent by which a prediction may be off without a word
UNITS = {"max_latency_ms": "ms", "max_params": "parameters", "max_macs": "MACs", "max_bytes": "bytes"}


def found(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """What the search of a job left in ``folders`` (by stage), and what became of its networks; None without one.

    ``specialised``, if they were distilled alone: a network's score ``before``, and the ``step`` and ``score`` kept.
    """
    record = record_of_search(folders.get("search"))
    if record and "layer_times" in folders:
        record["timed_on"] = read_json(folders["layer_times"] / "stage.json")["machine"]
    if record and "specialise" in folders:
        record["specialised"] = json.loads((folders["specialise"] / "specialise.json").read_text())
    return record


def checked(results: Results) -> dict[str, Any] | None:
    """The record of the search with what its networks take that were timed whole, where the limit is on that.

    ``checked``: by name, ``predicted_ms`` by the table of layers, ``measured_ms``, and the ``error`` of the one
    against the other in percent; not where these are of another machine than the table's.
    """
    search = results.search
    if search is None or not str(search["figure"]).endswith(MEASURED):
        return search
    timed = results.measured_on.get(str(search["figure"]).partition("_")[0])
    if timed and "timed_on" in search and timed["machine"] != search["timed_on"]:
        return {key: value for key, value in search.items() if key != "checked"}
    found = {}
    for entry in search["front"]:
        network = results.network(entry["name"])
        if network is None or (ms := results.ms(network, search["figure"])) is None:
            continue
        predicted = entry["costs"]["max_latency_ms"]
        error = round(100 * (predicted / ms - 1), 1)
        found[entry["name"]] = {"predicted_ms": predicted, "measured_ms": ms, "error": error}
    return {**search, "checked": found}


def remarks(results: Results) -> list[str]:
    """What is worth knowing of a search: what its table of layers and distilling alone came to, and the dev rows."""
    search = results.search
    return [*_off(search), *_specialised(search), *_beaten(results, search)] if search else []


def _beaten(results: Results, search: Mapping[str, Any]) -> list[str]:
    """Uniform networks within the limits that the dev rows place above the one that the search chose."""
    chosen = next((network for entry in search["front"] if (network := results.network(entry["name"]))), None)
    within = [results.network(entry["name"]) for entry in search["uniform"] if entry["share"] <= 1]
    better = [one for one in within if one and chosen and one.score > chosen.score]
    if not chosen or not better:
        return []
    said = ", ".join(f"{one.label} {one.score:.4f}" for one in better)
    return [
        f"Within the limits, too, and higher on the dev rows than {chosen.name} ({chosen.score:.4f}): {said}. The "
        "search chooses on training rows that are held out, by the weights of the last step; dev rows only judge it."
    ]


def _off(search: Mapping[str, Any]) -> list[str]:
    """Networks whose latency was predicted badly, or is over the limit; that none was timed whole."""
    if "checked" not in search:
        return []
    if not search["checked"]:
        return [f"The limit on {search['figure']} is on sums over layers: none of those found has it timed whole."]
    found, limit = [], search["limits"]["max_latency_ms"]
    far = {name: one for name, one in search["checked"].items() if abs(one["error"]) > FAR}
    if far:
        said = ", ".join(f"{name} {one['error']:+.0f}%" for name, one in far.items())
        found.append(
            f"The table of layers is off by more than {FAR}% ({said}), as on a machine that was busy at either time: "
            "force=[layer_times,search,latency] times all of it again."
        )
    over = {name: one["measured_ms"] for name, one in search["checked"].items() if one["measured_ms"] > limit}
    if over:
        said = ", ".join(f"{name} {ms:.3g} ms" for name, ms in over.items())
        found.append(f"Timed whole, over the limit of {limit:g} ms: {said}.")
    return found


def _specialised(search: Mapping[str, Any]) -> list[str]:
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
        "the uniform ones as the search saw them." + _checks(search)
    )


def _checks(search: Mapping[str, Any]) -> str:
    """What was predicted by the table of layers, beside what was measured."""
    said = "; ".join(
        f"{name} {one['predicted_ms']:.3g} ms, measured {one['measured_ms']:.3g} ms ({one['error']:+.1f}%)"
        for name, one in search.get("checked", {}).items()
    )
    return f" Predicted by a table of layers: {said}." if said else ""


def table(search: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows: the front, the best first, then the uniform networks."""
    rows = [["network", search["metric"], *(UNITS[name] for name in search["limits"]), "layers", "heads", "neurons"]]
    for entry in [*search["front"], *search["uniform"]]:
        subnet = SubNet.from_dict(entry["subnet"])
        row = ["★ " * entry.get("chosen", False) + entry["name"], f"{entry['score']:.4f}"]
        row += [f"{cost:.3f}" if name == "max_latency_ms" else f"{cost:,.0f}" for name, cost in entry["costs"].items()]
        rows.append([*row, str(subnet.depth), str(uniform(subnet.heads)), str(uniform(subnet.neurons))])
    return rows


@lettering()
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
    words = f"{results.task}, {results.model}, seed {results.seed}"
    figure.suptitle(title([words], figure.get_figwidth()), fontsize="medium")
    figure.savefig(path, dpi=120)

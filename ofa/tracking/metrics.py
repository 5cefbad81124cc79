"""Every name that is logged of a network's figures, and of a sweep's: the same in every job, so that runs compare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ofa.results import advice
from ofa.results.record import NetworkResult, Results, Scored
from ofa.results.reduced import MAIN


def of_scored(scored: Scored) -> dict[str, float]:
    """The scores and the size of a network, or of the teacher."""
    values = {f"eval/{key}": value for key, value in scored.metrics.items()}
    return values | {"eval/score": scored.score, "params": scored.params, "macs": scored.macs}


def of_network(results: Results, network: NetworkResult) -> dict[str, float]:
    """All that is known of a network in numbers."""
    values = of_scored(network) | _latencies(results, network) | {"width": network.width, "depth": network.depth}
    sizes = {"heads": network.heads, "neurons": network.neurons, "bytes": network.bytes}
    values |= {key: size for key, size in sizes.items() if isinstance(size, int)}
    for part in ("checked", "specialised"):  # of a network that a search found: latency by its sum, score when alone
        found = (results.search or {}).get(part, {}).get(network.name, {})
        values |= {f"{part}/{key}": value for key, value in found.items()}
    for one in network.reduced:  # eval_int8/score, eval_tensorrt_int8/score
        name = one.precision if one.what == MAIN else "_".join(one.what)
        values |= {f"eval_{name}/{metric}": value for metric, value in one.metrics.items()}
        values |= {f"eval_{name}/score": one.score, f"eval_{name}/drop": one.drop, f"bytes_{name}": one.bytes}
    values |= {f"score/{key}": value for key, value in _against_teacher(results, network.score).items()}
    for latency in results.headlines[:1]:
        name = latency.name(results.unnamed_engine)
        ms = results.ms(network, name)
        if ms is not None:
            values |= {"cost/target_ms": ms, "cost/speedup": results.speedups(network)[name]}
    return values


def _latencies(results: Results, network: NetworkResult) -> dict[str, float]:
    values = {f"latency_ms/{latency.name(results.unnamed_engine)}": latency.ms for latency in network.latencies}
    return values | {f"speedup/{name}": value for name, value in results.speedups(network).items()}


def _against_teacher(results: Results, score: float) -> dict[str, float]:
    assert results.teacher is not None
    kept = {"kept": score / results.teacher.score} if results.teacher.score > 0 else {}
    return {"points": 100 * (score - results.teacher.score), **kept}


def of_recommended(results: Results) -> dict[str, float]:
    """Score and speed of the network to take as it is to run, in INT8 if that is meant; empty where there is none."""
    recommended = results.recommended
    network = results.network(recommended.name) if recommended else None
    if recommended is None or network is None:
        return {}
    latency = results.latency(network, recommended.figure)
    score = advice.score_of(network, latency)
    values = {"width": network.width, "depth": network.depth, "score": score, **_against_teacher(results, score)}
    values |= {"target_ms": latency.ms} if latency else {}
    values |= {"speedup": speedup} if (speedup := advice.speedup(results, recommended)) else {}
    return {f"recommended/{key}": value for key, value in values.items()}


def version_tags(results: Results, network: NetworkResult, precision: str) -> dict[str, str]:
    """What a version of the registered model says of its network, in the ``precision`` that is registered."""
    tags = {"network": network.name, "width": f"{network.width:.4g}", "depth": f"{network.depth:.4g}"}
    reduced = network.in_precision(*MAIN) if precision == MAIN[1] else None
    score = reduced.score if reduced else network.score
    tags |= {"score": f"{score:.4f}", "points": f"{_against_teacher(results, score)['points']:+.2f}"}
    tags |= {"run": results.run} if results.run else {}
    for headline in results.headlines[:1]:
        another = network.in_precision(headline.engine, headline.precision) != reduced  # than the registered file
        latency = replace(headline, precision=precision) if another else headline
        figure = latency.name(results.unnamed_engine)
        if (speedup := results.speedups(network).get(figure)) is not None:
            tags |= {"speedup": f"{speedup:.2f}", "speedup.figure": figure}
    return tags


def of_sweep(of: str, entry: dict[str, Any]) -> dict[str, float]:
    """Means by name: ``sst2/teacher``, ``average/w0.75``; a variant is put before them."""
    prefix = f"{entry['variant']}/{of}" if entry["variant"] else of
    return {f"{prefix}/{name}": score["mean"] for name, score in entry["scores"].items()}

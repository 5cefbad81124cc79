"""Which network to take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf, nan
from typing import Any

from ofa.errors import UserError
from ofa.results.figure import Latency
from ofa.results.front import limits_of
from ofa.results.record import NetworkResult, Recommendation, Results
from ofa.settings.rules import SAME_SHARE
from ofa.settings.schema import ObjectiveConfig
from ofa.supernet.space import name_of

FASTER = 1.05  # the least speed-up worth losing score for
SAME = 1.02  # latencies this close are equal, and the score decides


def recommend(results: Results, tolerance: float) -> Recommendation:
    """The fastest network on the target among those that lose at most ``tolerance`` points against the teacher.

    By what was measured on the target, else by its estimates, else by what was measured on another device, else by
    parameters; where latencies are equal the score decides. If no network is faster than the full one, the best scorer.
    In a job with limits it is the best that was found within them.
    """
    assert results.teacher is not None
    teacher = results.teacher.score
    if not results.learned:
        words = f"Nothing to recommend: the teacher ({teacher:.4f}) is no better than always giving the same answer."
        return Recommendation(words, tolerance)
    if results.search:
        return _within_limits(results, results.search, tolerance)
    close = [network for network in results.networks if _lost(results, network.score) <= tolerance]
    if not close:
        best = max(results.networks, key=lambda network: network.score)
        words = (
            f"No width is within {tolerance:g} points of the teacher ({teacher:.4f}); "
            f"the best is {best.label} at {best.score:.4f}."
        )
        return Recommendation(words, tolerance)
    if not results.headlines:
        chosen = min(close, key=lambda network: (network.params, -network.score))
        words = f"Take {chosen.label}, the smallest within {tolerance:g} points: {_loss(results, chosen, tolerance)}."
        return _recommendation(results, words, tolerance, chosen, None)
    return _fastest(results, close, tolerance)


def _within_limits(results: Results, search: Mapping[str, Any], tolerance: float) -> Recommendation:
    """The network that scored best in the search, whatever the dev rows say of the others: these only judge.

    With a limit on a latency, the best of those that have it: one whose INT8 file is refused does not run so. One
    that was timed whole, and is over the limit that the sum over its layers meets, is taken only if all are.
    """
    found = [network for entry in search["front"] if (network := results.network(entry["name"]))]
    limited = [network for network in found if results.latency(network, search["figure"])]
    most = search["limits"].get("max_latency_ms", inf)
    within = [network for network in limited if (results.ms(network, search["figure"]) or 0) <= most]
    chosen = (within or limited or found)[0]
    latency = results.latency(chosen, search["figure"])
    over = " by the sum over its layers" if limited and not within else ""
    if search["figure"] is None and results.headlines:
        allowed = max(tolerance, _lost(results, chosen.score))
        options = _options(results, [chosen], results.headlines[0].where, allowed)
        latency = next((one for one, _ in options), None)
    taken = f"{chosen.label} with {latency.setting}" if latency else chosen.label
    took = f" ({latency.ms:.3g} ms, {latency.basis})" if latency else ""
    loss = _loss(results, chosen, tolerance, latency)
    words = f"Take {taken}: the best found within {limits_of(search)}{over}{took}; {loss}."
    return _recommendation(results, words, tolerance, chosen, latency)


def _recommendation(
    results: Results, words: str, tolerance: float, chosen: NetworkResult, latency: Latency | None
) -> Recommendation:
    """To take ``chosen``, and to run it as ``latency`` is of."""
    found = Recommendation(words, tolerance, chosen.name, chosen.width, chosen.depth)
    if latency is None:
        return found
    return replace(
        found,
        figure=latency.name(results.unnamed_engine),
        engine=latency.engine,
        precision=latency.precision,
        batch_size=latency.batch_size,
        evidence=latency.basis,
    )


def _fastest(results: Results, close: list[NetworkResult], tolerance: float) -> Recommendation:
    where, full_ms = results.headlines[0].where, _reference_ms(results, tolerance)
    options = list(_options(results, close, where, tolerance))
    if not options:
        words = f"No network within {tolerance:g} points of the teacher was timed in a precision that keeps its score."
        return Recommendation(words, tolerance)
    least = min(latency.ms for latency, _ in options)
    gain = full_ms / least >= FASTER
    most = SAME * least if gain else max(SAME * least, FASTER * full_ms)
    rivals = [(latency, network) for latency, network in options if latency.ms <= most]
    latency, chosen = max(rivals, key=lambda option: (score_of(option[1], option[0]), -option[0].ms))
    loss = _loss(results, chosen, tolerance, latency)
    if gain:
        speed = f"{full_ms / latency.ms:.2f}x the full network's speed"
        words = f"Take {chosen.label} with {latency.setting}: {speed} ({latency.basis}); {loss}."
    else:
        words = (
            f"No network is faster on {where} at this size ({latency.setting}, {latency.basis}): take the best "
            f"scorer, {chosen.label}; {loss}."
        )
    return _recommendation(results, words, tolerance, chosen, latency)


def speedup(results: Results, advised: Recommendation) -> float | None:
    """Of the network to take, as it is to run, against the full one; None if it, or that, was not timed so.

    At the figure that a search limited, else against the full network as it may run fastest.
    """
    network = results.network(advised.name)
    latency = results.latency(network, advised.figure) if network else None
    if network is None or latency is None:
        return None
    if results.search and results.search["figure"] == advised.figure:
        return results.speedups(network).get(str(advised.figure))
    return _reference_ms(results, advised.tolerance) / latency.ms


def not_a_headline(results: Results) -> Latency | None:
    """How the recommended network is to run, where no headline is of that, as of INT8 that the full network lacks."""
    advised = results.recommended
    network = results.network(advised.name) if advised else None
    found = results.latency(network, advised.figure) if advised and network else None
    shown = [latency.name(results.unnamed_engine) for latency in results.headlines]
    return found if found and advised and advised.figure not in shown else None


def _reference_ms(results: Results, tolerance: float) -> float:
    """Milliseconds of the full network on the target as it may run: an INT8 that loses too much is nothing to beat."""
    full, headline = results.largest, results.headlines[0]
    lost = _lost(results, full.score)
    allowed = tolerance if lost <= tolerance else lost + tolerance
    return next((latency.ms for latency, _ in _options(results, [full], headline.where, allowed)), headline.ms)


def _options(
    results: Results, close: list[NetworkResult], where: str, tolerance: float
) -> Iterator[tuple[Latency, NetworkResult]]:
    """The fastest way to run each of the ``close`` networks on a device that stays within the tolerance, too."""
    for network in close:
        of_device = [latency for latency in network.latencies if latency.where == where]
        near = [latency for latency in of_device if _lost(results, score_of(network, latency)) <= tolerance]
        if near:
            yield min(results.comparable(near), key=lambda latency: latency.ms), network


def _lost(results: Results, score: float) -> float:
    """Points lost against the teacher; rounded, as binary fractions may miss a difference of exactly the tolerance."""
    assert results.teacher is not None
    return round(100 * (results.teacher.score - score), 6)


def score_of(network: NetworkResult, latency: Latency | None) -> float:
    """The score of the file that ``latency`` is of; of none, the network's own."""
    reduced = network.in_precision(latency.engine, latency.precision) if latency else None
    return reduced.score if reduced else network.score


def _loss(results: Results, network: NetworkResult, tolerance: float, latency: Latency | None = None) -> str:
    """What a network loses against the teacher as it is run, how sure that is, and what it saves."""
    assert results.teacher is not None
    score = score_of(network, latency)
    lost = _lost(results, score)
    low, high = network.lost or (0.0, 0.0)
    if lost <= 0:
        words, low, high = f"gains {0.0 - lost:.2f} points", -high, -low
    else:
        words = f"loses {lost:.2f} points"
    if network.lost and score == network.score:  # the interval is of the network in FP32
        words += f" (90% interval {low + 0.0:.1f} to {high + 0.0:.1f} on {results.dev_rows:,} rows"
        words += ", wider than the tolerance)" if high - low > tolerance else ")"
    saved = 1 - network.params / results.teacher.params
    return f"{words}, {saved:.0%} fewer parameters"


def objective(results: Results, settings: ObjectiveConfig) -> float:
    """The one number a job returns to a sweeper that searches: the score (0 to 1) that ``settings`` ask for.

    Returns:
        nan for a job that scores no networks.

    Raises:
        UserError: if the width or the latency figure is not among the results, or no network is fast enough.
    """
    networks = results.networks
    if not networks:
        return nan
    if settings.max_latency_ms is not None:
        return _within(results, settings.max_latency_ms, _figure(results, settings.latency))
    if settings.width is None:
        return min(networks, key=lambda network: network.macs).score
    wanted = (settings.width, settings.depth or max(network.depth for network in networks))
    for network in networks:
        if all(abs(a - b) < SAME_SHARE for a, b in zip((network.width, network.depth), wanted, strict=True)):
            return network.score
    known = ", ".join(network.name for network in networks)
    raise UserError(f"objective.width: this job has no network {name_of(*wanted)}; allowed: those of {known}")


def _figure(results: Results, name: str | None) -> str:
    """The latency figure that the limit is for."""
    known = results.figures
    chosen = name or next((latency.name(results.unnamed_engine) for latency in results.headlines), None)
    if chosen is None or chosen not in known:
        raise UserError(f"objective.latency: {chosen} was not found; this job has: {', '.join(known) or 'none'}")
    return chosen


def _within(results: Results, limit: float, figure: str) -> float:
    """The best score among the networks whose ``figure`` is at most ``limit`` ms."""
    timed = [(one, network) for network in results.networks if (one := results.latency(network, figure))]
    fast = [score_of(network, one) for one, network in timed if one.ms <= limit]
    if not fast:
        least = min((one.ms for one, _ in timed), default=None)
        found = f"the fastest takes {least:.3g} ms" if least is not None else "none of them runs so"
        raise UserError(f"objective.max_latency_ms: no width is within {limit:g} ms; {found} ({figure})")
    return max(fast)

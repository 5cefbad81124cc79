"""Which network to take, and what to be wary of."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from math import nan
from typing import Any

from ofa.errors import UserError
from ofa.hardware import estimate
from ofa.results.figure import ENGINES, Latency
from ofa.results.front import limits_of
from ofa.results.record import NetworkResult, Recommendation, Results
from ofa.settings.rules import SAME_SHARE
from ofa.settings.schema import Config, ObjectiveConfig
from ofa.supernet.space import Network, name_of
from ofa.supernet.subnet import EncoderShape

LEFT_OUT = 0.01  # share of malformed rows that deserves a word
# A measured time this much longer than the share of MACs left is worth a warning.
FAR = 1.25
# Below this share of the saving that arithmetic promises, a network is bound by something else.
LITTLE = 0.5
FASTER = 1.05  # the least speed-up worth losing score for
SAME = 1.02  # latencies this close are equal, and the score decides
BOUND_BY = {"launch": "launching operations", "memory": "moving memory", "compute": "arithmetic at this size"}


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
    # Rounding guards a difference of exactly the tolerance against binary fractions.
    close = [network for network in results.networks if round(100 * (teacher - network.score), 6) <= tolerance]
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
        return Recommendation(words, tolerance, chosen.name, chosen.width, chosen.depth)
    return _fastest(results, close, tolerance)


def _within_limits(results: Results, search: Mapping[str, Any], tolerance: float) -> Recommendation:
    """The network that scored best in the search, whatever the dev rows say of the others: these only judge."""
    chosen = next(network for network in results.networks if network.name == search["front"][0]["name"])
    words = f"Take {chosen.label}, the best found within {limits_of(search)}: {_loss(results, chosen, tolerance)}."
    taken = (words, tolerance, chosen.name, chosen.width, chosen.depth)
    for latency in chosen.latencies:
        if latency.name(results.unnamed_engine) == search["figure"]:
            how = (search["figure"], latency.engine, latency.precision, latency.batch_size, latency.basis)
            return Recommendation(*taken, *how)
    return Recommendation(*taken)


def _fastest(results: Results, close: list[NetworkResult], tolerance: float) -> Recommendation:
    where, full_ms = results.headlines[0].where, results.headlines[0].ms
    options = list(_options(results, close, where, tolerance))
    if not options:
        words = f"No network within {tolerance:g} points of the teacher was timed in a precision that keeps its score."
        return Recommendation(words, tolerance)
    least = min(latency.ms for latency, _ in options)
    gain = full_ms / least >= FASTER
    rivals = [(latency, network) for latency, network in options if not gain or latency.ms <= SAME * least]
    latency, chosen = max(rivals, key=lambda option: (_score(option[1], option[0]), -option[0].ms))
    loss = _loss(results, chosen, tolerance, latency)
    if gain:
        speed = f"{full_ms / latency.ms:.2f}x the full network's speed"
        words = f"Take {chosen.label} with {latency.setting}: {speed} ({latency.basis}); {loss}."
    else:
        words = (
            f"No network is faster on {where} at this size ({latency.setting}, {latency.basis}): take the best "
            f"scorer, {chosen.label}; {loss}."
        )
    return Recommendation(
        words,
        tolerance,
        chosen.name,
        chosen.width,
        chosen.depth,
        latency.name(results.unnamed_engine),
        latency.engine,
        latency.precision,
        latency.batch_size,
        latency.basis,
    )


def _options(
    results: Results, close: list[NetworkResult], where: str, tolerance: float
) -> Iterator[tuple[Latency, NetworkResult]]:
    """The fastest way to run each of the ``close`` networks on a device that stays within the tolerance, too."""
    assert results.teacher is not None
    for network in close:
        of_device = [latency for latency in network.latencies if latency.where == where]
        lost = {latency: 100 * (results.teacher.score - _score(network, latency)) for latency in of_device}
        near = [latency for latency in of_device if round(lost[latency], 6) <= tolerance]
        if near:
            yield min(results.comparable(near), key=lambda latency: latency.ms), network


def _score(network: NetworkResult, latency: Latency | None) -> float:
    """The score of the file that ``latency`` is of."""
    reduced = network.in_precision(latency.engine, latency.precision) if latency else None
    return reduced.score if reduced else network.score


def _loss(results: Results, network: NetworkResult, tolerance: float, latency: Latency | None = None) -> str:
    """What a network loses against the teacher as it is run, how sure that is, and what it saves."""
    assert results.teacher is not None
    score = _score(network, latency)
    lost = 100 * (results.teacher.score - score)
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


def _busy(results: Results, output_dir: str) -> list[str]:
    """That figures are not to be relied on, with the command that measures them again."""
    if not results.unsteady:
        return []
    names = ", ".join(results.unsteady[:2]) + (f" and {len(results.unsteady) - 2} more" * (len(results.unsteady) > 2))
    run = shlex.quote(f"{output_dir}/runs/{results.run}")
    return [f"The machine was busy while {names} were timed (p90 over 1.5 times the median): ofa time {run}"]


def engine_remark(results: Results) -> list[str]:
    """That an engine is worth more than any network, where it is: the full network's latencies on one device."""
    for headline in results.headlines:
        latencies = [latency for latency in results.largest.latencies if latency.where == headline.where]
        same = [latency for latency in results.comparable(latencies) if latency.precision == headline.precision]
        slowest = max(same, key=lambda latency: latency.ms)
        name = headline.name(results.unnamed_engine)
        gained = max(results.speedups(network).get(name, 1.0) for network in results.networks)
        if slowest.ms / headline.ms > max(FAR, gained):
            fast, slow = (ENGINES.get(latency.engine, latency.engine) for latency in (headline, slowest))
            return [
                f"{fast} runs the full network {slowest.ms / headline.ms:.1f}x as fast as {slow} on {headline.where} "
                f"(batch {headline.batch_size}), more than any sub-network gains."
            ]
    return []


def warnings(results: Results, config: Config, shape: EncoderShape, networks: Mapping[str, Network]) -> list[str]:
    """One sentence for each network and kind of figure that misses what the arithmetic promises, and why."""
    found = _left_out(results) + _busy(results, config.output_dir) + engine_remark(results)
    for network in results.networks:
        share = network.macs / results.largest.macs
        speedups = results.speedups(network)
        named = [(latency, latency.name(results.unnamed_engine)) for latency in network.latencies]
        left = [(latency, 1 / speedups[name]) for latency, name in named if name in speedups]
        slow = [(latency, part) for latency, part in left if latency.kind == "measured" and part > FAR * share]
        if slow:
            times = ", ".join(f"{_short(results, latency)} {part:.0%}" for latency, part in slow)
            found.append(
                f"{network.label} has {share:.0%} of the full network's MACs but more of its measured latency "
                f"({times}): the rest is not matrix multiplication."
            )
        stuck = [(lat, part) for lat, part in left if lat.kind == "estimated" and 1 - part < LITTLE * (1 - share)]
        if stuck:
            gains = ", ".join(f"{_short(results, latency)} {1 / part:.2f}x" for latency, part in stuck)
            bound = _bound(stuck[0][0], config, shape, networks[network.name])
            found.append(f"{network.label} has an estimated speed-up of only {gains}; {bound}.")
    return found


def _left_out(results: Results) -> list[str]:
    """Splits of which malformed rows were left out: what the scores rest on, and what they do not."""
    return [
        f"{counts['left_out']:,} of {sum(counts.values()):,} rows of the {split} split were malformed and left out "
        "(task.bad_rows=skip); the log names the first."
        for split, counts in results.rows.items()
        if counts["left_out"] > LEFT_OUT * sum(counts.values())
    ]


def _short(results: Results, latency: Latency) -> str:
    return latency.name(results.unnamed_engine).removesuffix(f"_{latency.kind}")


def _bound(latency: Latency, config: Config, shape: EncoderShape, network: Network) -> str:
    """What most of an estimated time goes to."""
    setting = (latency.engine, latency.precision, shape, network.subnet, latency.batch_size, latency.seq_length)
    shares = estimate(config.hardware, *setting).shares
    worst = max(shares, key=lambda kind: shares[kind])
    return f"{shares[worst]:.0%} of that time is bound by {BOUND_BY[worst]}"


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
    known = [latency.name(results.unnamed_engine) for latency in results.largest.latencies]
    chosen = name or next((latency.name(results.unnamed_engine) for latency in results.headlines), None)
    if chosen is None or chosen not in known:
        raise UserError(f"objective.latency: {chosen} was not found; this job has: {', '.join(known) or 'none'}")
    return chosen


def _within(results: Results, limit: float, figure: str) -> float:
    """The best score among the networks whose ``figure`` is at most ``limit`` ms."""
    timed = [(ms, network) for network in results.networks if (ms := results.ms(network, figure)) is not None]
    fast = [network.score for ms, network in timed if ms <= limit]
    if not fast:
        least = min(ms for ms, _ in timed)
        raise UserError(
            f"objective.max_latency_ms: no width is within {limit:g} ms; the fastest takes {least:.3g} ms ({figure})"
        )
    return max(fast)

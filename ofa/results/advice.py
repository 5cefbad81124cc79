"""Which network to take, and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

from ofa.errors import UserError
from ofa.hardware import estimate
from ofa.results.record import Latency, NetworkResult, Recommendation, Results
from ofa.settings.schema import Config, ObjectiveConfig
from ofa.supernet.space import Network
from ofa.supernet.subnet import EncoderShape

# A measured time this much longer than the share of MACs left is worth a warning.
FAR = 1.25
# Below this share of the saving that arithmetic promises, a network is bound by something else.
LITTLE = 0.5
BOUND_BY = {"launch": "launching operations", "memory": "moving memory", "compute": "arithmetic at this size"}


def recommend(results: Results, tolerance: float) -> Recommendation:
    """The cheapest network (fewest MACs) whose score is at most ``tolerance`` points below the teacher's."""
    assert results.teacher is not None
    teacher = results.teacher.score
    # Rounding guards a difference of exactly the tolerance against binary fractions.
    close = [network for network in results.networks if round(100 * (teacher - network.score), 6) <= tolerance]
    if not close:
        best = max(results.networks, key=lambda network: network.score)
        words = (
            f"No width is within {tolerance:g} points of the teacher ({teacher:.4f}); "
            f"the best is {best.label} at {best.score:.4f}."
        )
        return Recommendation(None, None, tolerance, words)
    chosen = min(close, key=lambda network: network.macs)
    saved = 1 - chosen.params / results.teacher.params
    words = (
        f"Take {chosen.label}: the cheapest within {tolerance:g} points of the teacher "
        f"({chosen.score:.4f} against {teacher:.4f}), with {saved:.0%} fewer parameters"
    )
    for kind in ("measured", "estimated"):
        name = results.headline(kind)
        if name:
            words += f", {results.speedups(chosen)[name]:.2f}x full width's speed {kind} ({name})"
    return Recommendation(chosen.name, chosen.width, tolerance, words + ".")


def warnings(results: Results, config: Config, shape: EncoderShape, networks: Mapping[str, Network]) -> list[str]:
    """One sentence for each network and kind of figure that misses what the arithmetic promises, and why."""
    found = []
    for network in results.networks:
        share = network.macs / results.largest.macs
        speedups = results.speedups(network)
        left = [(latency, 1 / speedups[latency.name(results.unnamed_engine)]) for latency in network.latencies]
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
        return min(networks, key=lambda network: network.width).score
    scores = [network.score for network in networks if abs(network.width - settings.width) < 1e-3]  # 0.6667 is 2/3
    if not scores:
        raise UserError(f"objective.width: {settings.width:g} is not among ofa.widths; allowed: {_list(networks)}")
    return scores[0]


def _list(networks: tuple[NetworkResult, ...]) -> str:
    return ", ".join(f"{network.width:.4g}" for network in networks)


def _figure(results: Results, name: str | None) -> str:
    """The latency figure that the limit is for."""
    known = [latency.name(results.unnamed_engine) for latency in results.networks[0].latencies]
    chosen = name or results.headline("measured") or results.headline("estimated")
    if chosen is None or chosen not in known:
        raise UserError(f"objective.latency: {chosen} was not found; this job has: {', '.join(known) or 'none'}")
    return chosen


def _within(results: Results, limit: float, figure: str) -> float:
    """The best score among the networks whose ``figure`` is at most ``limit`` ms."""
    latencies = {network.name: results.ms(network, figure) for network in results.networks}
    fast = [network.score for network in results.networks if latencies[network.name] <= limit]
    if not fast:
        least = min(latencies.values())
        raise UserError(
            f"objective.max_latency_ms: no width is within {limit:g} ms; the fastest takes {least:.3g} ms ({figure})"
        )
    return max(fast)

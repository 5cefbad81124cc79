"""What is worth knowing beside the recommendation: one line for each kind of remark, of however many networks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ofa.hardware import estimate
from ofa.results.figure import ENGINES, Latency
from ofa.results.record import NetworkResult, Results
from ofa.results.reduced import unsound
from ofa.settings.schema import Config
from ofa.supernet.space import Network
from ofa.supernet.subnet import EncoderShape

LEFT_OUT = 0.01  # share of malformed rows that deserves a word
# A measured time this much longer than the share of MACs left is worth a remark.
FAR = 1.25
# Below this share of the saving that arithmetic promises, a network is bound by something else.
LITTLE = 0.5
# Of ``ofa time``: which field of a figure each is.
OPTIONS = {
    "--engines": "engine",
    "--precisions": "precision",
    "--batch-sizes": "batch_size",
    "--seq-lengths": "seq_length",
}
BOUND_BY = {"launch": "their launch", "memory": "moving memory", "compute": "arithmetic at this size"}


def remarks(
    results: Results, run_folder: Path, config: Config, shape: EncoderShape, networks: Mapping[str, Network]
) -> list[str]:
    """What the rows and the figures miss: rows left out, a busy machine, engines, speed that arithmetic promises."""
    found = [*_left_out(results), *_busy(results, run_folder), *_engines(results), *_measured(results)]
    return [*found, *_estimated(results, config, shape, networks)]


def _left_out(results: Results) -> list[str]:
    """Splits of which malformed rows were left out: what the scores rest on, and what they do not."""
    return [
        f"{counts['left_out']:,} of {sum(counts.values()):,} rows of the {split} split were malformed and left out "
        "(task.bad_rows=skip); the log names the first."
        for split, counts in results.rows.items()
        if counts["left_out"] > LEFT_OUT * sum(counts.values())
    ]


def _busy(results: Results, run_folder: Path) -> list[str]:
    """That figures are not to be relied on, with the commands that measure them again."""
    if not results.unsteady:
        return []
    more = len(results.unsteady) - 2
    names = ", ".join(results.unsteady[:2]) + f" and {more} more" * (more > 0)
    commands = " and ".join(again(results, run_folder))
    return [f"Unreliable, as the machine was busy (p90 over 1.5 times the median): {names}. Measure again: {commands}"]


def again(results: Results, run_folder: Path) -> list[str]:
    """The commands that measure what is unsteady of the run in ``run_folder`` again, one for each device.

    With the threads that it had: at others, all figures of the CPU would go.
    """
    figures = [Latency.parse(name, 0.0, results.unnamed_engine) for name in results.unsteady]
    found = []
    for where in dict.fromkeys(one.where for one in figures):
        ones = [one for one in figures if one.where == where]
        threads = results.measured_on.get(where, {}).get("threads")
        options: list[object] = ["--device", "cpu" if where == "cpu" else "gpu"]
        options += ["--threads", threads] if threads and where == "cpu" else []
        for option, key in OPTIONS.items():
            options += [option, *dict.fromkeys(getattr(one, key) for one in ones)]
        found.append(f"ofa time {shlex.join(map(str, [run_folder, *options]))}")
    return found


def _engines(results: Results) -> list[str]:
    """That an engine is worth more than any network: of the full network, where two of a device differ the most."""
    full = [one for one in results.largest.latencies if one.name(results.unnamed_engine) not in results.unsteady]
    found = []
    for where in dict.fromkeys(one.where for one in full if one.where in {line.where for line in results.headlines}):
        kinds = {latency.kind for latency in full if latency.where == where}
        kind = "measured" if "measured" in kinds else "estimated"
        alike: dict[tuple[str, int, int], list[Latency]] = {}
        for one in full:
            if (one.where, one.kind) == (where, kind):
                alike.setdefault((one.precision, one.batch_size, one.seq_length), []).append(one)
        pairs = [sorted(results.comparable(ones), key=lambda one: one.ms) for ones in alike.values()]
        widest = max(pairs, key=lambda ones: ones[-1].ms / ones[0].ms)
        fast, slow = widest[0], widest[-1]
        name = fast.name(results.unnamed_engine)
        gained = max(results.speedups(network).get(name, 1.0) for network in results.networks)
        if slow.ms / fast.ms > max(FAR, gained):
            words = [ENGINES.get(one.engine, one.engine) for one in (fast, slow)]
            found.append(
                f"{words[0]} runs the full network {slow.ms / fast.ms:.1f}x as fast as {words[1]} on {where} ({kind}, "
                f"{fast.precision}, batch {fast.batch_size}), more than any sub-network gains."
            )
    return found


def _left(results: Results, network: NetworkResult, kind: str) -> list[tuple[Latency, float]]:
    """A network's figures of a kind that can be relied on, and the share of the full network's time that each is.

    Those of a precision that nothing is recommended by are left out, as the table leaves them out.
    """
    speedups, wary = results.speedups(network), unsound(results.networks, network.latencies)
    sound = [one for one in network.latencies if one.kind == kind and (one.engine, one.precision) not in wary]
    named = [(one, one.name(results.unnamed_engine)) for one in sound]
    return [(one, 1 / speedups[name]) for one, name in named if name in speedups and name not in results.unsteady]


def _span(values: Sequence[float], form: str) -> str:
    """``96% to 131%``, or one of them where they read the same."""
    ends = dict.fromkeys(format(end, form) for end in (min(values), max(values)))
    return " to ".join(ends)


def _measured(results: Results) -> list[str]:
    """Networks whose measured times fall much less than their MACs."""
    found = []
    for network in results.networks:
        share = network.macs / results.largest.macs
        left = _left(results, network, "measured")
        slow = [part for _, part in left if part > FAR * share]
        if slow:
            counted = f" ({len(slow)} of {len(left)} figures)" if len(left) > 1 else ""
            found.append(f"{network.label} {_span(slow, '.0%')} of the time with {share:.0%} of the MACs{counted}")
    lines = ", ".join(found)
    return [f"Measured times fall less than the MACs: {lines}. The rest is not matrix multiplication."] if found else []


def _estimated(results: Results, config: Config, shape: EncoderShape, networks: Mapping[str, Network]) -> list[str]:
    """Networks whose estimated speed-ups are much smaller than their MACs promise, by what bounds their time."""
    by_bound: dict[str, list[tuple[str, list[float], list[str]]]] = {}
    for network in results.networks:
        share = network.macs / results.largest.macs
        stuck = [(one, part) for one, part in _left(results, network, "estimated") if 1 - part < LITTLE * (1 - share)]
        if stuck:
            shares = [_shares(one, config, shape, networks[network.name]) for one, _ in stuck]
            bound = max(shares[0], key=shares[0].__getitem__)
            words = f"{network.label} {_span([1 / part for _, part in stuck], '.2f')}x"
            sizes = [f"batch {one.batch_size} x {one.seq_length}" for one, _ in stuck]
            by_bound.setdefault(bound, []).append((words, [of[bound] for of in shares], sizes))
    return [_stuck(bound, ones) for bound, ones in by_bound.items()]


def _stuck(bound: str, ones: Sequence[tuple[str, list[float], list[str]]]) -> str:
    """What networks bound by the same gain, at which sizes of a batch, and what would help where something does."""
    sizes = " and ".join(dict.fromkeys(size for _, _, of in ones for size in of))
    line = (
        f"At {sizes} fewer MACs save little time (estimated): {', '.join(words for words, _, _ in ones)}; "
        f"{_span([part for _, of, _ in ones for part in of], '.0%')} of it is in operations bound by {BOUND_BY[bound]}"
    )
    return line + (", which only fewer layers save (ofa.depths)." if bound == "launch" else ".")


def _shares(latency: Latency, config: Config, shape: EncoderShape, network: Network) -> dict[str, float]:
    """What bounds the operations of an estimated time -> their share of it."""
    setting = (latency.engine, latency.precision, shape, network.subnet, latency.batch_size, latency.seq_length)
    return estimate(config.hardware, *setting).shares

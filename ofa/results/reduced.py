"""Networks in reduced precision: what was proved of them, and what to be wary of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ofa.results.figure import ENGINES, Latency

if TYPE_CHECKING:
    from ofa.results.record import NetworkResult, Results

MAIN = ("onnxruntime", "int8")
ON_CPU = {MAIN: "model.int8.onnx", ("openvino", "int8"): "model.int8.openvino.onnx"}  # what a CPU runs: its file
FURTHER = {"cpu_graphs": ("openvino",), "gpu_graphs": ("tensorrt", "onnxruntime")}  # key in results.json: its engines
MOST_DRIFT = 0.5  # points a reduced precision may change a score by and still be recommended
SMALL = 0.05  # share of the time that INT8 must save to be worth its name


@dataclass(frozen=True)
class Reduced:
    """A graph of one network in reduced precision that scores as the network does.

    Attributes:
        drop: the most points that any metric loses; its scores are means over batches of several sizes, if it answers
            otherwise in each.
        drop_in_batches: the same for each size of batch.
        bytes: of its file.
        kept_fp32: the parts that stayed in FP32, the most sensitive first.
        parity: how far it is from the network that was scored.
        smoothed: whether outliers of its activations were moved into the weights.
    """

    engine: str
    precision: str
    score: float
    metrics: dict[str, float]
    drop: float
    bytes: int
    kept_fp32: tuple[str, ...]
    parity: dict[str, Any]
    smoothed: bool = False
    drop_in_batches: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Reduced:
        """Of an entry of int8.json."""
        values = {**entry, "kept_fp32": tuple(entry["kept_fp32"])}
        return cls(**{key: values[key] for key in cls.__dataclass_fields__ if key in values})  # some are newer

    @property
    def what(self) -> tuple[str, str]:
        """Engine and precision."""
        return self.engine, self.precision


# In results.json, where the parity stands in a list of its own.
KEYS = ("score", "metrics", "drop", "drop_in_batches", "bytes", "kept_fp32", "smoothed")


def entries(reduced: tuple[Reduced, ...]) -> dict[str, Any]:
    """``int8``, and by engine the further graphs for CPUs and for GPUs, in a network's entry of results.json."""
    found = {one.what: {key: getattr(one, key) for key in KEYS} for one in reduced}
    main = {"int8": found.pop(MAIN)} if MAIN in found else {}
    of_engines = {
        name: {"_".join(what): entry for what, entry in found.items() if what[0] in engines}
        for name, engines in FURTHER.items()
    }
    return main | {name: graphs for name, graphs in of_engines.items() if graphs}


def of_entries(entry: Mapping[str, Any]) -> tuple[Reduced, ...]:
    """The graphs in reduced precision that a network's entry of results.json tells of."""
    parities = {(parity["engine"], parity["precision"]): parity for parity in entry.get("parity", ())}
    found = {MAIN: entry["int8"]} if "int8" in entry else {}
    for key in FURTHER:
        found |= {tuple(name.split("_")): values for name, values in entry.get(key, {}).items()}
    return tuple(
        Reduced.of({**values, "engine": what[0], "precision": what[1], "parity": parities[what]})
        for what, values in found.items()
    )


def unsound(networks: Sequence[NetworkResult], latencies: Sequence[Latency]) -> set[tuple[str, str]]:
    """Engines and precisions that answer otherwise than the networks scored, or, on a CPU, were not compared with them.

    A graph of its own has a score of its own. FP32 that differs is not exported.
    """
    parities = [
        (network, parity, (parity["engine"], parity["precision"])) for network in networks for parity in network.parity
    ]
    drift = {
        what
        for network, parity, what in parities
        if parity["score_drift"] > MOST_DRIFT and not network.in_precision(*what)
    }
    on_cpu = {(one.engine, one.precision) for one in latencies if one.where == "cpu" and one.precision != "fp32"}
    return drift | (on_cpu - {what for _, _, what in parities})


def slower(results: Results) -> list[str]:
    """A sentence for each engine and device of the networks and figures in INT8 that are not faster than in FP32."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for network in results.networks:
        for one, base in _slower(network, results):
            of_engine = found.setdefault((one.engine, one.where), {})
            figures = of_engine.setdefault(network.label, [])
            figures.append(f"batch {one.batch_size}, {one.ms:.3g} ms, FP32 {base:.3g} ms")
    return [
        f"INT8 gains nothing in {ENGINES.get(engine, engine)} on {where}: "
        + "; ".join(f"{label} ({'; '.join(figures)})" for label, figures in networks.items())
        + "."
        for (engine, where), networks in found.items()
    ]


def _slower(network: NetworkResult, results: Results) -> Iterator[tuple[Latency, float]]:
    """Measured figures in INT8, and the same in FP32 in milliseconds, where that is no more; of a busy machine none."""
    steady = [one for one in network.latencies if one.name(results.unnamed_engine) not in results.unsteady]
    fp32 = {_setting(one): one.ms for one in steady if one.precision == "fp32"}
    for one in steady:
        base = fp32.get(_setting(one)) if one.precision == "int8" and one.kind == "measured" else None
        if base is not None and one.ms > (1 - SMALL) * base:
            yield one, base


def _setting(latency: Latency) -> tuple:
    return latency.where, latency.engine, latency.batch_size, latency.seq_length, latency.kind

"""Networks in reduced precision: what was proved of them, and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofa.results.record import NetworkResult, Results

MAIN = ("onnxruntime", "int8")
SMALL = 0.05  # share of the time that INT8 must save to be worth its name


@dataclass(frozen=True)
class Reduced:
    """A graph of one network in reduced precision that scores as the network does.

    Attributes:
        drop: the most points that any metric loses.
        bytes: of its file.
        kept_fp32: the parts that stayed in FP32, the most sensitive first.
        parity: how far it is from the network that was scored.
    """

    engine: str
    precision: str
    score: float
    metrics: dict[str, float]
    drop: float
    bytes: int
    kept_fp32: tuple[str, ...]
    parity: dict[str, Any]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Reduced:
        """Of an entry of int8.json."""
        values = {**entry, "kept_fp32": tuple(entry["kept_fp32"])}
        return cls(**{key: values[key] for key in cls.__dataclass_fields__})

    @property
    def what(self) -> tuple[str, str]:
        """Engine and precision."""
        return self.engine, self.precision


KEYS = ("score", "metrics", "drop", "bytes", "kept_fp32")  # in results.json; the parity stands in a list of its own


def entries(reduced: tuple[Reduced, ...]) -> dict[str, Any]:
    """``int8``, which runs on a CPU, and ``gpu_graphs``, in a network's entry of results.json."""
    found = {one.what: {key: getattr(one, key) for key in KEYS} for one in reduced}
    main = {"int8": found.pop(MAIN)} if MAIN in found else {}
    return main | ({"gpu_graphs": {"_".join(what): entry for what, entry in found.items()}} if found else {})


def of_entries(entry: Mapping[str, Any]) -> tuple[Reduced, ...]:
    """The graphs in reduced precision that a network's entry of results.json tells of."""
    parities = {(parity["engine"], parity["precision"]): parity for parity in entry.get("parity", ())}
    found = {MAIN: entry["int8"]} if "int8" in entry else {}
    found |= {tuple(name.split("_")): values for name, values in entry.get("gpu_graphs", {}).items()}
    return tuple(
        Reduced.of({**values, "engine": what[0], "precision": what[1], "parity": parities[what]})
        for what, values in found.items()
    )


def slower(results: Results) -> list[str]:
    """A sentence for each network and figure in INT8 that is not faster than the same in FP32."""
    return [sentence for network in results.networks for sentence in _slower(network)]


def _slower(network: NetworkResult) -> list[str]:
    fp32 = {_setting(one): one.ms for one in network.latencies if one.precision == "fp32"}
    found = []
    for one in network.latencies:
        base = fp32.get(_setting(one)) if one.precision == "int8" and one.kind == "measured" else None
        if base is not None and one.ms > (1 - SMALL) * base:
            found.append(
                f"{network.label}: INT8 gains nothing on {one.where} at batch {one.batch_size} "
                f"({one.ms:.3g} ms, FP32 {base:.3g} ms)."
            )
    return found


def _setting(latency: Any) -> tuple:
    return latency.where, latency.engine, latency.batch_size, latency.seq_length, latency.kind

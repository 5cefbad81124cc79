"""Results of jobs that never ran."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ofa.results.figure import Latency
from ofa.results.record import NetworkResult, Recommendation, Results, Scored
from ofa.supernet.space import name_of


def network(width: float, score: float, depth: float = 1.0, **more: Any) -> NetworkResult:
    """A network cut from 12 heads and 3,072 neurons; its costs are its width's share of a round number."""
    values: dict[str, Any] = {
        "name": name_of(width, depth),
        "width": width,
        "depth": depth,
        "heads": round(12 * width),
        "neurons": round(3072 * width),
        "score": score,
        "metrics": {"accuracy": score, "f1": score - 0.1},
        "params": int(1e8 * width * depth),
        "macs": round(1000 * width * depth),
    }
    return NetworkResult(**{**values, **more})


def results(
    task: str = "sst2", seed: int = 1, scores: dict[float, float] | None = None, teacher: float = 0.93, **more: Any
) -> Results:
    """A job that scored a network for each width of ``scores``."""
    scores = {1.0: 0.93, 0.75: 0.926, 0.5: 0.91} if scores is None else scores
    of_teacher = Scored(teacher, {"accuracy": teacher, "f1": teacher - 0.1}, int(1e8), 1000)
    networks = tuple(network(width, score) for width, score in scores.items())
    found = Results(task, "toy", seed, teacher=of_teacher, networks=networks)
    return replace(found, **{"recommended": Recommendation("Take width 1.", 0.5, "w1", 1.0, 1.0), **more})


def timed(found: Results, times: list[float], kind: str = "estimated", **more: Any) -> Results:
    """``found`` with one more latency for each of its networks, in their order."""
    setting = {"where": "t4", "engine": "paddle", "precision": "fp32", "batch_size": 16, "seq_length": 128, **more}
    networks = [
        replace(one, latencies=(*one.latencies, Latency(**setting, kind=kind, ms=ms)))
        for one, ms in zip(found.networks, times, strict=True)
    ]
    return replace(found, networks=tuple(networks))

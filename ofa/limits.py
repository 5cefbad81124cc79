"""What a network may cost: the limits of ``search.*``, and how each is counted before the network is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ofa.deploy.engines import available
from ofa.deploy.graphs import GRAPHS, reduced
from ofa.errors import UserError
from ofa.hardware import estimate
from ofa.results.collect import unnamed, ways
from ofa.results.figure import Latency
from ofa.results.front import MEASURED
from ofa.settings.schema import Config
from ofa.supernet.layer_times import LayerTimes
from ofa.supernet.layerwise import Space
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params
from ofa.system import machine

HERE = ("device", "devices", "threads", "name", "description")  # of hardware: where a job runs, and words
WEIGHT, GRAPH = 4, 10_000  # bytes in model.onnx of a parameter in FP32; of the nodes of a layer, and of all others


def figures(config: Config) -> dict[str, Latency]:
    """The latencies that can be limited, by name, without their milliseconds: what is estimated of a job's networks in
    floating point, then what this machine can time of ``latency.*``."""
    found = [Latency(config.hardware.name, *way, "estimated", 0.0) for way in ways(config)]
    device = "gpu" if config.hardware.device != "cpu" and "gpu" in machine.machine() else "cpu"
    settings, has, where = config.latency, available(device), machine.device_name(device)
    written = reduced(config)
    for way in product(settings.engines, settings.precisions, settings.batch_sizes, settings.seq_lengths):
        readable = way[1] == "fp32" or way[:2] in written or way[:2] not in GRAPHS
        if way[1] in has.get(way[0], ()) and readable:
            found.append(Latency(where, *way, "measured", 0.0))
    return {latency.name(unnamed(config)): latency for latency in found}


def figure(config: Config) -> str | None:
    """The name of the latency that is limited; None if there is none."""
    return config.search.figure or next(iter(figures(config)), None)


def times_layers(config: Config) -> bool:
    """Whether a limit is on what this machine takes, so that layers are timed for it."""
    return config.search.max_latency_ms is not None and str(figure(config)).endswith(MEASURED)


def target(config: Config) -> dict[str, Any]:
    """All that an estimate depends on besides the network and the figure."""
    return {key: value for key, value in asdict(config.hardware).items() if key not in HERE}


@dataclass(frozen=True)
class Limits:
    """Limits of one job on sub-networks of one shape.

    Attributes:
        allowed: the most that each setting allows, by its name.
        counted: how that is counted, by the same name.
    """

    allowed: Mapping[str, float]
    counted: Mapping[str, Callable[[SubNet], float]]

    @classmethod
    def of(cls, config: Config, shape: EncoderShape, times: LayerTimes | None = None) -> Limits:
        """The limits of ``config``; one on a measured latency is among them once there are ``times`` of its layers."""
        limits = config.search.limits
        # Once, as a search asks for hundreds of networks; and only where it is asked: it looks at the machine.
        one = figures(config).get(str(figure(config))) if "max_latency_ms" in limits else None

        def estimated(subnet: SubNet) -> float:
            assert one is not None  # `figure_problems` has refused the job else
            sizes = (one.batch_size, one.seq_length)
            return estimate(config.hardware, one.engine, one.precision, shape, subnet, *sizes).ms

        counted: dict[str, Callable[[SubNet], float]] = {
            "max_latency_ms": times.ms if times else estimated,
            "max_params": lambda subnet: count_params(shape, subnet),
            "max_macs": lambda subnet: count_macs(shape, subnet, config.trainer.max_seq_length),
            "max_bytes": lambda subnet: WEIGHT * count_params(shape, subnet) + GRAPH * (subnet.depth + 1),
        }
        unknown = {"max_latency_ms"} if times_layers(config) and times is None else set()
        allowed = {name: limit for name, limit in limits.items() if name not in unknown}
        return cls(allowed, {name: counted[name] for name in allowed})

    def costs(self, subnet: SubNet) -> dict[str, float]:
        """What ``subnet`` costs, by the name of the limit."""
        return {name: count(subnet) for name, count in self.counted.items()}

    def share(self, subnet: SubNet) -> float:
        """How much of what is allowed ``subnet`` takes, of the limit it is closest to; up to 1, it meets all."""
        return max(cost / self.allowed[name] for name, cost in self.costs(subnet).items())

    def problems(self, space: Space) -> Iterator[str]:
        """In words, the limits that no sub-network of ``space`` meets, with the least that is reachable."""
        for name, least in self.costs(space.smallest).items():
            if least > self.allowed[name]:
                yield (
                    f"search.{name}: {self.allowed[name]:,.10g} is less than any network of this job has; the least is "
                    f"{_rounded_up(least)} (ofa.widths and ofa.depths say how small they get)"
                )


def _rounded_up(least: float) -> str:
    """A limit that ``least`` meets, to type: as it is if whole, else to a thousandth."""
    return f"{least:.0f}" if least == int(least) else f"{least + 5e-4:.3f}"


def require_reachable(config: Config, shape: EncoderShape, space: Space, table: Path | None = None) -> None:
    """Refuse limits that no network meets; one on a measured latency by the table of layers in the folder ``table``.

    Raises:
        UserError: with the least that is reachable.
    """
    if found := list(Limits.of(config, shape, LayerTimes.read(table) if table else None).problems(space)):
        raise UserError("\n".join(found))


def figure_problems(config: Config) -> Iterator[str]:
    """In words, why the latency that is limited cannot be estimated, or not be timed on any machine."""
    if config.search.max_latency_ms is None:
        return
    if times_layers(config):
        if "_int8_" in str(figure(config)) and not config.int8.enabled:
            yield f"search.figure: {figure(config)} is of networks in INT8, which int8.enabled=false leaves out"
        if config.sweep.parallel_jobs > 1:
            yield from figure_at_once(config, "sweep.parallel_jobs=1")
    elif (known := figures(config)) and figure(config) not in known:
        yield f"search.figure: {config.search.figure!r} is unknown; allowed: {', '.join(known)}"
    elif not known:
        yield (
            f"search.max_latency_ms: nothing is estimated for {config.hardware.name}, and latency.* names nothing that "
            "this machine can time; allowed: max_macs, max_params"
        )


def figure_at_once(config: Config, instead: str = "no launch=...") -> Iterator[str]:
    """In words, why a sweep whose jobs run at once cannot limit a latency that is measured."""
    if times_layers(config):
        yield (
            f"search.figure: {figure(config)} would be timed while several jobs run at once; "
            f"allowed: an estimate, or {instead}"
        )


def timing_problems(config: Config) -> Iterator[str]:
    """In words, why this machine cannot time a latency that is limited: it has another name, or lacks the engine."""
    asked = {"search.figure": figure(config) if times_layers(config) else None}
    asked |= {"objective.latency": config.objective.latency}
    known = figures(config) if any(asked.values()) else {}
    for key, name in asked.items():
        if name is not None and name.endswith(MEASURED) and name not in known:
            here = [name for name, one in known.items() if one.kind == "measured"]
            yield f"{key}: {name!r} cannot be timed here; allowed: {', '.join(here)}, or an estimate"


def objective_problems(config: Config) -> Iterator[str]:
    """In words, why no network of the job will have the latency that a search over settings limits."""
    name = config.objective.latency
    if name is None or config.objective.max_latency_ms is None:
        return
    if not name.endswith(MEASURED) and "_int8_" not in name and name not in (known := figures(config)):
        yield f"objective.latency: {name!r} is unknown; allowed: {', '.join(known)}"
    if name.endswith(MEASURED) and "latency" not in config.stages:
        yield f"objective.latency: {name} is measured by the stage latency, which is not among stages={config.stages}"

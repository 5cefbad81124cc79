"""What a network may cost: the limits of ``search.*``, and how each is counted before the network is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ofa.hardware import estimate
from ofa.results.collect import unnamed, ways
from ofa.results.figure import Latency
from ofa.settings.schema import Config
from ofa.supernet.layerwise import Space
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params

HERE = ("device", "devices", "threads", "name", "description")  # of hardware: where a job runs, and words
WEIGHT, GRAPH = 4, 10_000  # bytes in model.onnx of a parameter in FP32; of the nodes of a layer, and of all others


def figures(config: Config) -> dict[str, Latency]:
    """The estimates that a job has of its networks in floating point, by name, without their milliseconds."""
    found = [Latency(config.hardware.name, *way, "estimated", 0.0) for way in ways(config)]
    return {latency.name(unnamed(config)): latency for latency in found}


def figure(config: Config) -> str | None:
    """The name of the latency that is limited; None if there is none."""
    return config.search.figure or next(iter(figures(config)), None)


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
    def of(cls, config: Config, shape: EncoderShape) -> Limits:
        one = figures(config).get(str(figure(config)))  # once: a search asks for hundreds of networks

        def milliseconds(subnet: SubNet) -> float:
            assert one is not None  # `figure_problems` has refused the job else
            sizes = (one.batch_size, one.seq_length)
            return estimate(config.hardware, one.engine, one.precision, shape, subnet, *sizes).ms

        counted: dict[str, Callable[[SubNet], float]] = {
            "max_latency_ms": milliseconds,
            "max_params": lambda subnet: count_params(shape, subnet),
            "max_macs": lambda subnet: count_macs(shape, subnet, config.trainer.max_seq_length),
            "max_bytes": lambda subnet: WEIGHT * count_params(shape, subnet) + GRAPH * (subnet.depth + 1),
        }
        allowed = config.search.limits
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


def figure_problems(config: Config) -> Iterator[str]:
    """In words, why the latency that is limited cannot be estimated."""
    known = figures(config)
    if config.search.max_latency_ms is None or config.search.figure in known:
        return
    if not known:
        yield f"search.max_latency_ms: nothing is estimated for {config.hardware.name}; allowed: max_macs, max_params"
    elif config.search.figure is not None:
        yield f"search.figure: {config.search.figure!r} is unknown; allowed: {', '.join(known)}"

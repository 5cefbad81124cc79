"""How long a BERT of any size would take on a described target: estimated, never measured.

The estimate walks over the network's operations. One operation has three times ::

    compute: flops / (peak_tops * efficiency)
    memory:  bytes read and written / (memory_gb_s * memory_efficiency)
    launch:  launch_us

and takes sqrt(max(compute, memory)^2 + launch^2): starting and ending an operation is partly hidden by its work.
The network takes the larger of their sum and ``operations * dispatch_us``: an engine's host issues operations
ahead of the device, so only the slower of the two is seen. Every term grows with every size, hence so does the
estimate. The constants are those of ``conf/hardware/*.yaml``, where each has its source;
``experiments/t4_latency`` says how far off they are.

    python -m ofa.hardware --target t4 --engine tensorrt --precision fp16 --widths 1 0.75 0.5 --depths 1 0.5
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import product
from math import fsum, hypot

import yaml

from ofa.errors import UserError
from ofa.settings.groups import CONF
from ofa.settings.rules import hardware_problems
from ofa.settings.schema import HardwareConfig
from ofa.settings.target import EngineProfile
from ofa.supernet.operations import ELEMENT_BYTES, operations
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params, uniform
from ofa.system.command import as_command

HARDWARE_DIR = CONF / "hardware"
BOUNDS = ("compute", "memory", "launch")
MODELS = {
    "bert_base": EncoderShape(12, 768, 12, 3072),
    "bert_large": EncoderShape(24, 1024, 16, 4096),
    "bert_medium": EncoderShape(8, 512, 8, 2048),
    "bert_small": EncoderShape(4, 512, 8, 2048),
    "bert_mini": EncoderShape(4, 256, 4, 1024),
}


@dataclass(frozen=True)
class OpCost:
    """Estimated time of one operation in ms, and which of :data:`BOUNDS` is the largest part of it."""

    name: str
    ms: float
    bound: str


@dataclass(frozen=True)
class Estimate:
    """Estimated latency of one forward pass over a batch; copies between host and device excluded.

    Attributes:
        ops: time and bound of every operation. Where the host issues operations more slowly than the device
            works them off, each takes the dispatch time and is bound by ``launch``.
        fitted_rows: published latencies that the engine's profile was fitted on; 0 if it is assumed.
    """

    ops: tuple[OpCost, ...]
    fitted_rows: int

    @property
    def ms(self) -> float:
        return fsum(op.ms for op in self.ops)

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the time bound by ``compute``, ``memory`` and ``launch``; they add up to 1.

        Time bound by launches does not shrink with the width, and some of the time bound by memory does not.
        """
        return {bound: fsum(op.ms for op in self.ops if op.bound == bound) / self.ms for bound in BOUNDS}

    @property
    def evidence(self) -> str:
        """What the figure rests on: ``fitted on 4 rows`` (of published latencies) or ``assumed``."""
        return evidence(self.fitted_rows)


def evidence(fitted_rows: int) -> str:
    """What an estimate rests on, in words."""
    return f"fitted on {fitted_rows} row{'s' * (fitted_rows != 1)}" if fitted_rows else "assumed"


def engines_to_estimate(target: HardwareConfig, asked: list[str] | None) -> list[str]:
    """The engines of ``asked``, or the one whose profile is fitted on the most rows (else the target's first)."""
    if asked is not None:
        return asked
    return sorted(target.engines, key=lambda name: -sum(target.engines[name].fitted_rows.values()))[:1]


def fastest_first(target: HardwareConfig, engine: str, precisions: list[str]) -> list[str]:
    """Those of ``precisions`` that the engine has, by the arithmetic it sustains in them."""
    share = target.engines[engine].efficiency
    return sorted((key for key in precisions if key in share), key=lambda key: -target.peak_tops[key] * share[key])


def known_targets() -> list[str]:
    """Names of the targets described in ``conf/hardware``."""
    return sorted(path.stem for path in HARDWARE_DIR.glob("*.yaml"))


def load_target(name: str) -> HardwareConfig:
    """The target described in ``conf/hardware/<name>.yaml``.

    Raises:
        UserError: if there is no such file, with the names there are.
    """
    if name not in known_targets():
        raise UserError(f"hardware: target {name!r} is unknown; known: {', '.join(known_targets())}")
    values = yaml.safe_load((HARDWARE_DIR / f"{name}.yaml").read_text(encoding="utf-8"))
    engines = {key: EngineProfile(**profile) for key, profile in values.pop("engines", {}).items()}
    return HardwareConfig(**values, engines=engines)


def _resolve(target: str | HardwareConfig, engine: str, precision: str) -> tuple[HardwareConfig, EngineProfile]:
    """The described target and the engine's profile on it, or a UserError that lists the known ones."""
    described = load_target(target) if isinstance(target, str) else target
    problems = hardware_problems(described)
    if problems:
        raise UserError("\n".join(problems))
    if engine not in described.engines:
        known = ", ".join(sorted(described.engines)) or "none"
        raise UserError(f"hardware: target {described.name!r} has no engine {engine!r}; known: {known}")
    profile = described.engines[engine]
    precisions = [key for key in ELEMENT_BYTES if key in profile.efficiency]
    if precision not in precisions:
        known = ", ".join(precisions)
        raise UserError(f"hardware: {engine} on {described.name!r} has no precision {precision!r}; known: {known}")
    return described, profile


def _check_sizes(shape: EncoderShape, batch_size: int, seq_length: int) -> None:
    sizes = {
        "num_hidden_layers": shape.num_hidden_layers,
        "hidden_size": shape.hidden_size,
        "num_attention_heads": shape.num_attention_heads,
        "intermediate_size": shape.intermediate_size,
        "num_labels": shape.num_labels,
        "batch_size": batch_size,
        "seq_length": seq_length,
    }
    small = [f"{key}: {value}" for key, value in sizes.items() if value < 1]
    if small:
        raise UserError(f"hardware: sizes must be at least 1, found {', '.join(small)}")


def estimate(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: EncoderShape,
    subnet: SubNet | None = None,
    batch_size: int = 16,
    seq_length: int = 128,
) -> Estimate:
    """The estimated latency of a network, or of a sub-network of it.

    Args:
        target: a name in ``conf/hardware`` or a description.
        engine: one of the target's engines, e.g. ``tensorrt``.
        precision: one of the engine's precisions, e.g. ``fp16``.
        shape: sizes of the full network.
        subnet: heads and neurons kept in each layer; None for all.
        batch_size: sequences in a batch, padded to ``seq_length`` tokens each.

    Raises:
        UserError: if the target, engine or precision is unknown, or a size is below 1.
    """
    described, profile = _resolve(target, engine, precision)
    _check_sizes(shape, batch_size, seq_length)
    flop_per_ms = described.peak_tops[precision] * profile.efficiency[precision] * 1e9
    bytes_per_ms = described.memory_gb_s * described.memory_efficiency * 1e6
    costs = []
    for op in operations(shape, subnet or SubNet.full(shape), batch_size, seq_length, precision, profile.fused):
        times = (op.flops / flop_per_ms, op.bytes_moved / bytes_per_ms, described.launch_us / 1e3)
        costs.append(OpCost(op.name, hypot(max(times[:2]), times[2]), BOUNDS[times.index(max(times))]))
    dispatch_ms = profile.dispatch_us / 1e3
    if len(costs) * dispatch_ms > fsum(cost.ms for cost in costs):
        costs = [OpCost(cost.name, dispatch_ms, "launch") for cost in costs]
    return Estimate(tuple(costs), profile.fitted_rows.get(precision, 0))


def plan_table(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: EncoderShape,
    widths: list[float],
    depths: list[float],
    batch_size: int,
    seq_length: int,
) -> str:
    """A line per width and depth: size, MACs per sequence, estimated latency, speed-up against full size, bounds."""
    sizes = (batch_size, seq_length)
    full = estimate(target, engine, precision, shape, None, *sizes)
    name = target if isinstance(target, str) else target.name
    lines = [
        f"estimated latency on {name}, {engine}, {precision}, batch {batch_size}, length {seq_length} ({full.evidence})"
    ]
    heading = (
        "width",
        "depth",
        "layers",
        "heads",
        "neurons",
        "params",
        "MACs",
        "estimated ms",
        "speed-up",
        "bound by (share of time)",
    )
    lines.append("{:>7}{:>7}{:>8}{:>7}{:>9}{:>9}{:>9}{:>14}{:>10}  {}".format(*heading))
    for depth, width in product(depths, widths):
        subnet = SubNet.at(width, depth, shape)
        found = estimate(target, engine, precision, shape, subnet, *sizes)
        bounds = ", ".join(f"{bound} {share:.0%}" for bound, share in found.shares.items())
        params, macs = count_params(shape, subnet) / 1e6, count_macs(shape, subnet, seq_length) / 1e9
        lines.append(
            f"{width:>7.4g}{depth:>7.4g}{subnet.depth:>8}{uniform(subnet.heads):>7}{uniform(subnet.neurons):>9}"
            f"{params:>8.1f}M{macs:>8.2f}G{found.ms:>14.2f}{full.ms / found.ms:>9.2f}x  {bounds}"
        )
    return "\n".join(lines)


@as_command
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m ofa.hardware", description="Estimate latency without any training.")
    parser.add_argument("--target", default="t4", help=f"one of {', '.join(known_targets())}")
    parser.add_argument("--engine", default="tensorrt")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--model", choices=MODELS, default="bert_base", help="sizes to start from")
    for key in ("layers", "hidden", "heads", "neurons"):
        parser.add_argument(f"--{key}", type=int, help=f"{key} instead of the model's")
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 5 / 6, 2 / 3, 0.5])
    parser.add_argument("--depths", type=float, nargs="+", default=[1.0])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seq-length", type=int, default=128)
    args = parser.parse_args(arguments)
    base = MODELS[args.model]
    given = (args.layers, args.hidden, args.heads, args.neurons)
    sizes = (base.num_hidden_layers, base.hidden_size, base.num_attention_heads, base.intermediate_size)
    shape = EncoderShape(*(size if value is None else value for value, size in zip(given, sizes, strict=True)))
    try:
        setting = (args.target, args.engine, args.precision, shape, args.widths, args.depths)
        print(plan_table(*setting, args.batch_size, args.seq_length))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

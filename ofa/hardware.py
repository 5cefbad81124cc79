"""How long a BERT of any size would take on a described target: estimated, never measured.

The estimate walks over the network's operations. One operation takes the largest of three times ::

    arithmetic: flops / (peak_tops * efficiency)
    memory:     bytes read and written / (memory_gb_s * memory_efficiency)
    launch:     launch_us

and the network takes the larger of their sum and ``operations * dispatch_us``: an engine's host issues
operations ahead of the device, so only the slower of the two is seen. Every term grows with every size,
hence so does the estimate. The constants are those of ``conf/hardware/*.yaml``, where each has its source;
``experiments/t4_latency`` says how far off they are.

    python -m ofa.hardware --target t4 --engine tensorrt --precision fp16 --widths 1 0.75 0.5
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import yaml

from ofa.errors import UserError
from ofa.settings.rules import hardware_problems
from ofa.settings.schema import EngineProfile, HardwareConfig
from ofa.supernet.subnet import BertShape, SubNet, count_macs, count_params, uniform

HARDWARE_DIR = Path(__file__).resolve().parent.parent / "conf" / "hardware"
BOUNDS = ("compute", "memory", "launch")
ELEMENT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1}
MODELS = {
    "bert_base": BertShape(12, 768, 12, 3072),
    "bert_large": BertShape(24, 1024, 16, 4096),
    "bert_medium": BertShape(8, 512, 8, 2048),
    "bert_small": BertShape(4, 512, 8, 2048),
    "bert_mini": BertShape(4, 256, 4, 1024),
}


@dataclass(frozen=True)
class Op:
    """One operation: arithmetic in FLOP (0 unless it is a matrix product) and bytes read and written."""

    name: str
    flops: float
    bytes_moved: float


@dataclass(frozen=True)
class OpCost:
    """Estimated time of one operation in ms, and which of :data:`BOUNDS` decides it."""

    name: str
    ms: float
    bound: str


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
    engines = {key: EngineProfile(**profile) for key, profile in values.pop("engines").items()}
    return HardwareConfig(**values, engines=engines)


def operations(
    shape: BertShape, subnet: SubNet, batch_size: int, seq_length: int, precision: str, fused: bool
) -> list[Op]:
    """Every operation of one forward pass, in order: embeddings, encoder layers, pooler and classifier.

    An element takes ``ELEMENT_BYTES[precision]`` in a matrix product. Elsewhere it takes 2 bytes at least:
    with INT8 engines the products are quantised and the rest stays in FP16. Biases are added inside the
    products. Weights are read once per product, activations once per operation that uses them.
    """
    element = ELEMENT_BYTES[precision]
    rest = max(element, 2)
    tokens, hidden = batch_size * seq_length, shape.hidden_size

    def product(name: str, rows: float, inner: float, columns: float) -> Op:
        moved = rows * inner + inner * columns + rows * columns
        return Op(name, 2 * rows * inner * columns, element * moved)

    def layer(heads: int, neurons: int) -> Iterator[Op]:
        kept = heads * hidden / shape.num_attention_heads  # not head_size: exact for any number of heads
        table = batch_size * heads * seq_length**2  # elements of the attention scores
        attention = Op("", 2 * table * hidden / shape.num_attention_heads, element * (2 * tokens * kept + table))
        if fused:
            yield product("query, key, value", tokens, hidden, 3 * kept)
        else:
            yield from (product(name, tokens, hidden, kept) for name in ("query", "key", "value"))
            yield from (Op(f"split heads ({name})", 0, 2 * rest * tokens * kept) for name in "qkv")
        yield Op("scores", attention.flops, attention.bytes_moved)
        if not fused:
            yield from (Op(name, 0, 2 * rest * table) for name in ("scale", "mask"))
        yield Op("softmax", 0, 2 * rest * table)
        yield Op("values", attention.flops, attention.bytes_moved)
        if not fused:
            yield Op("merge heads", 0, 2 * rest * tokens * kept)
        yield product("attention output", tokens, kept, hidden)
        yield from residual_norm()
        yield product("feed-forward in", tokens, hidden, neurons)
        yield Op("activation", 0, 2 * rest * tokens * neurons)
        yield product("feed-forward out", tokens, neurons, hidden)
        yield from residual_norm()

    def residual_norm() -> Iterator[Op]:
        if not fused:
            yield Op("residual", 0, 3 * rest * tokens * hidden)
        yield Op("layer norm", 0, (3 if fused else 2) * rest * tokens * hidden)

    ops = [Op("embeddings", 0, 4 * rest * tokens * hidden)]  # three tables read, one sum written
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        ops += layer(heads, neurons)
    ops.append(product("pooler", batch_size, hidden, hidden))
    ops.append(Op("pooler activation", 0, 2 * rest * batch_size * hidden))
    return [*ops, product("classifier", batch_size, hidden, shape.num_labels)]


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


def _check_sizes(shape: BertShape, batch_size: int, seq_length: int) -> None:
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


def op_costs(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: BertShape,
    subnet: SubNet | None = None,
    batch_size: int = 16,
    seq_length: int = 128,
) -> list[OpCost]:
    """Estimated time and bound of every operation; arguments as in :func:`estimate_latency_ms`.

    Where the host issues operations more slowly than the device works them off, every operation takes
    the dispatch time and is bound by ``launch``.
    """
    described, profile = _resolve(target, engine, precision)
    _check_sizes(shape, batch_size, seq_length)
    subnet = subnet or SubNet.full(shape)
    flop_per_ms = described.peak_tops[precision] * profile.efficiency[precision] * 1e9
    bytes_per_ms = described.memory_gb_s * described.memory_efficiency * 1e6
    costs = []
    for op in operations(shape, subnet, batch_size, seq_length, precision, profile.fused):
        times = (op.flops / flop_per_ms, op.bytes_moved / bytes_per_ms, described.launch_us / 1e3)
        costs.append(OpCost(op.name, max(times), BOUNDS[times.index(max(times))]))
    dispatch_ms = profile.dispatch_us / 1e3
    if len(costs) * dispatch_ms > fsum(cost.ms for cost in costs):
        return [OpCost(cost.name, dispatch_ms, "launch") for cost in costs]
    return costs


def estimate_latency_ms(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: BertShape,
    subnet: SubNet | None = None,
    batch_size: int = 16,
    seq_length: int = 128,
) -> float:
    """Estimated latency in ms of one forward pass over a batch; copies between host and device excluded.

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
    return fsum(cost.ms for cost in op_costs(target, engine, precision, shape, subnet, batch_size, seq_length))


def bound_shares(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: BertShape,
    subnet: SubNet | None = None,
    batch_size: int = 16,
    seq_length: int = 128,
) -> dict[str, float]:
    """Shares of the estimated time bound by ``compute``, ``memory`` and ``launch``; they add up to 1.

    Time bound by launches does not shrink with the width, and some of the time bound by memory does not.
    """
    costs = op_costs(target, engine, precision, shape, subnet, batch_size, seq_length)
    total = fsum(cost.ms for cost in costs)
    return {bound: fsum(cost.ms for cost in costs if cost.bound == bound) / total for bound in BOUNDS}


def fitted_rows(target: str | HardwareConfig, engine: str, precision: str) -> int:
    """How many published latencies the efficiency was fitted on; 0 if it is assumed or carried over."""
    return _resolve(target, engine, precision)[1].fitted_rows.get(precision, 0)


def plan_table(
    target: str | HardwareConfig,
    engine: str,
    precision: str,
    shape: BertShape,
    widths: list[float],
    batch_size: int,
    seq_length: int,
) -> str:
    """A line per width: size, MACs per sequence, estimated latency, speed-up against full width, bounds."""
    rows = fitted_rows(target, engine, precision)
    source = f"efficiency fitted on {rows} published latencies" if rows else "efficiency assumed, not calibrated"
    name = target if isinstance(target, str) else target.name
    lines = [f"estimated latency on {name}, {engine}, {precision}, batch {batch_size}, length {seq_length} ({source})"]
    heading = ("width", "heads", "neurons", "params", "MACs", "estimated ms", "speed-up", "bound by (share of time)")
    lines.append("{:>7}{:>7}{:>9}{:>9}{:>9}{:>14}{:>10}  {}".format(*heading))
    full_ms = estimate_latency_ms(target, engine, precision, shape, None, batch_size, seq_length)
    for width in widths:
        subnet = SubNet.at_width(width, shape)
        setting = (target, engine, precision, shape, subnet, batch_size, seq_length)
        ms = estimate_latency_ms(*setting)
        bounds = ", ".join(f"{bound} {share:.0%}" for bound, share in bound_shares(*setting).items())
        params, macs = count_params(shape, subnet) / 1e6, count_macs(shape, subnet, seq_length) / 1e9
        lines.append(
            f"{width:>7.4g}{uniform(subnet.heads):>7}{uniform(subnet.neurons):>9}{params:>8.1f}M{macs:>8.2f}G"
            f"{ms:>14.2f}{full_ms / ms:>9.2f}x  {bounds}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m ofa.hardware", description="Estimate latency without any training.")
    parser.add_argument("--target", default="t4", help=f"one of {', '.join(known_targets())}")
    parser.add_argument("--engine", default="tensorrt")
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--model", choices=MODELS, default="bert_base", help="sizes to start from")
    for key in ("layers", "hidden", "heads", "neurons"):
        parser.add_argument(f"--{key}", type=int, help=f"{key} instead of the model's")
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 5 / 6, 2 / 3, 0.5])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seq-length", type=int, default=128)
    args = parser.parse_args(arguments)
    base = MODELS[args.model]
    given = (args.layers, args.hidden, args.heads, args.neurons)
    sizes = (base.num_hidden_layers, base.hidden_size, base.num_attention_heads, base.intermediate_size)
    shape = BertShape(*(size if value is None else value for value, size in zip(given, sizes, strict=True)))
    try:
        setting = (args.target, args.engine, args.precision, shape, args.widths)
        print(plan_table(*setting, args.batch_size, args.seq_length))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

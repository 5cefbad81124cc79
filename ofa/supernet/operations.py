"""Every operation of one forward pass of an encoder classifier: its arithmetic, and the bytes it moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ofa.supernet.subnet import EncoderShape, SubNet

ELEMENT_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Op:
    """One operation: arithmetic in FLOP (0 unless it is a matrix product) and bytes read and written."""

    name: str
    flops: float
    bytes_moved: float


def operations(
    shape: EncoderShape, subnet: SubNet, batch_size: int, seq_length: int, precision: str, fused: bool
) -> list[Op]:
    """Every operation of one forward pass, in order: embeddings, encoder layers, pooler and classifier.

    An element takes ``ELEMENT_BYTES[precision]`` in a matrix product. Elsewhere it takes 2 bytes at least:
    with INT8 engines the products are quantised and the rest stays in FP16; a layer norm quantises what it
    hands to a product, elsewhere that takes an operation of its own. Biases are added inside the products.
    Weights are read once per product, activations once per operation that uses them.
    """
    element = ELEMENT_BYTES[precision]
    rest = max(element, 2)
    tokens, hidden = batch_size * seq_length, shape.hidden_size

    def product(name: str, rows: float, inner: float, columns: float) -> Op:
        moved = rows * inner + inner * columns + rows * columns
        return Op(name, 2 * rows * inner * columns, element * moved)

    def layer(heads: int, neurons: int) -> Iterator[Op]:
        kept = heads * hidden / shape.heads_of_hidden  # not head_size: exact for any number of heads
        table = batch_size * heads * seq_length**2  # elements of the attention scores
        attention = Op("", 2 * table * hidden / shape.heads_of_hidden, element * (2 * tokens * kept + table))
        if fused:
            yield product("query, key, value", tokens, hidden, 3 * kept)
        else:
            yield from (product(name, tokens, hidden, kept) for name in ("query", "key", "value"))
            yield from (Op(f"split heads ({name})", 0, 2 * rest * tokens * kept) for name in "qkv")
        yield Op("scores", attention.flops, attention.bytes_moved)
        yield from (Op(name, 0, 2 * rest * table) for name in (["scale and mask"] if fused else ["scale", "mask"]))
        yield Op("softmax", 0, 2 * rest * table)
        yield Op("values", attention.flops, attention.bytes_moved)
        if not fused:
            yield Op("merge heads", 0, 2 * rest * tokens * kept)
        yield from quantised(tokens * kept)
        yield product("attention output", tokens, kept, hidden)
        yield from residual_norm()
        yield product("feed-forward in", tokens, hidden, neurons)
        yield Op("activation", 0, 2 * rest * tokens * neurons)
        yield from quantised(tokens * neurons)
        yield product("feed-forward out", tokens, neurons, hidden)
        yield from residual_norm()

    def quantised(elements: float) -> Iterator[Op]:
        if element < rest:
            yield Op("quantise", 0, (rest + element) * elements)

    def residual_norm() -> Iterator[Op]:
        if not fused:
            yield Op("residual", 0, 3 * rest * tokens * hidden)
        yield Op("layer norm", 0, (3 if fused else 2) * rest * tokens * hidden)

    ops = [Op("embeddings", 0, 4 * rest * tokens * shape.embedded)]  # three tables read, one sum written
    if shape.projection:
        ops.append(product("embeddings to hidden size", tokens, shape.embedded, hidden))
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        ops += layer(heads, neurons)
    ops.append(product("pooler", batch_size, hidden, hidden))
    ops.append(Op("pooler activation", 0, 2 * rest * batch_size * hidden))
    return [*ops, product("classifier", batch_size, hidden, shape.num_labels)]

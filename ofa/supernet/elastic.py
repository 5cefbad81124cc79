"""An encoder that runs at any width and depth on one set of weights.

``make_elastic`` gives the six ``Linear`` layers of every encoder block the class ``ElasticLinear``,
and blocks, layer norms and dropouts a class that trains faster on a CPU, in place: parameters, their
names and the state dict stay what they were. ``select`` then picks which blocks run, and how many
heads and neurons each uses, always the leading ones; ``extract`` cuts a selection out as a plain
network. (DynaBERT, Hou et al. 2020, https://arxiv.org/abs/2004.04037; Once for All, Cai et al. 2019,
https://arxiv.org/abs/1908.09791.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import paddle
from paddle import nn
from paddleslim.nas.ofa.layers import SuperLinear

from ofa.supernet import kernels
from ofa.supernet.blocks import blocks, encoder
from ofa.supernet.cuts import CUTS, UNITS
from ofa.supernet.subnet import SubNet


def _trains_on_cpu(layer: nn.Layer, x: paddle.Tensor) -> bool:
    return layer.training and x.place.is_cpu_place()


class ElasticLinear(SuperLinear):
    """PaddleSlim's ``SuperLinear`` with its active width held as state.

    The output uses the first ``active`` columns of the weight ``[in, out]``; the input width follows
    from the last axis of ``x``, so that ``[B, S, n]`` uses the first ``n`` rows. ``active`` is the
    layer's full width until a sub-network is selected.
    """

    active: int

    @classmethod
    def adopt(cls, linear: nn.Linear) -> None:
        """Turn a plain ``Linear`` into an ``ElasticLinear`` in place; its parameters do not move."""
        if type(linear) is not nn.Linear:
            raise TypeError(f"only a paddle.nn.Linear becomes elastic, got {type(linear).__name__}")
        linear.__class__ = cls
        elastic = cast(ElasticLinear, linear)
        elastic._out_features = elastic.base_output_dim = elastic.active = linear.weight.shape[1]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if _trains_on_cpu(self, x):
            return kernels.linear(x, self.weight[: x.shape[-1], : self.active], self.bias[: self.active])
        return super().forward(x, channel=self.active)


class ElasticNorm(nn.LayerNorm):
    """A layer norm that trains on a CPU with the operation of :mod:`ofa.supernet.kernels`."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if _trains_on_cpu(self, x) and self.weight is not None and self.bias is not None:
            return kernels.normalize(x, self.weight, self.bias, self._epsilon)
        return super().forward(x)


class ElasticDropout(nn.Dropout):
    """A dropout that trains on a CPU with the operation of :mod:`ofa.supernet.kernels`."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if _trains_on_cpu(self, x):
            return kernels.dropout(x, self.p)
        return super().forward(x)


class ElasticBlock(nn.TransformerEncoderLayer):
    """A block that trains on a CPU with the operations of :mod:`ofa.supernet.kernels`; else it is Paddle's own."""

    def forward(self, src: paddle.Tensor, src_mask: paddle.Tensor | None = None, *others: Any, **options: Any) -> Any:
        if others or any(options.values()) or not _trains_on_cpu(self, src):  # a cache, or attention weights wanted
            return super().forward(src, src_mask, *others, **options)
        attended = self.self_attn.out_proj(_attend(self.self_attn, src, src_mask))
        src = self.norm1(src + self.dropout1(attended))
        return self.norm2(src + self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(src))))))


FASTER = {nn.LayerNorm: ElasticNorm, nn.Dropout: ElasticDropout, nn.TransformerEncoderLayer: ElasticBlock}
PLAIN = {faster: plain for plain, faster in FASTER.items()}


def _attend(attention: nn.MultiHeadAttention, x: paddle.Tensor, bias: paddle.Tensor | None) -> paddle.Tensor:
    """The context ``[B, S, inner]`` that the heads of ``attention`` compute of ``x`` ``[B, S, H]``."""
    shape = [0, 0, attention.num_heads, attention.head_dim]
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    query, key, value = (project(x).reshape(shape).transpose([0, 2, 1, 3]) for project in projections)
    scores = paddle.matmul(query * attention.head_dim**-0.5, key, transpose_y=True)
    if bias is not None:
        scores = scores + bias.expand(scores.shape)  # Paddle adds equal shapes ten times faster than it broadcasts
    weights = kernels.dropout(nn.functional.softmax(scores), attention.dropout)
    return paddle.matmul(weights, value).transpose([0, 2, 1, 3]).flatten(2)


def make_elastic(model: nn.Layer) -> nn.Layer:
    """Make ``model``, a PaddleNLP classifier, elastic in place and return it.

    The full sub-network computes what the plain model computed, bit for bit.
    """
    for block in blocks(model):
        for piece in CUTS:
            ElasticLinear.adopt(block.linear(piece))
    for layer in model.sublayers():
        layer.__class__ = FASTER.get(type(layer), type(layer))
    return model


def full(model: nn.Layer) -> SubNet:
    """The largest sub-network of an elastic or plain model: all its layers, heads and neurons."""
    heads, neurons = (tuple(block.most(unit) for block in blocks(model)) for unit in UNITS)
    return SubNet(heads, neurons)


def active(model: nn.Layer) -> SubNet:
    """The sub-network an elastic model computes now."""
    kept = {number: block for number, block in enumerate(blocks(model)) if block.kept}
    neurons = tuple(block.layer.linear1.active for block in kept.values())
    return SubNet(tuple(block.heads for block in kept.values()), neurons, tuple(kept))


def _require_fit(model: nn.Layer, subnet: SubNet) -> None:
    if not subnet.fits(full(model)):
        raise ValueError(f"{subnet} does not fit into the supernet {full(model)}")


def select(model: nn.Layer, subnet: SubNet) -> None:
    """Make an elastic ``model`` compute ``subnet`` until the next selection.

    Raises:
        ValueError: if ``subnet`` has layers that the model has not, or more heads or neurons in one.
    """
    _require_fit(model, subnet)
    sizes = subnet.by_layer()
    for number, block in enumerate(blocks(model)):
        block.kept = number in sizes
        if block.kept:
            block.heads = sizes[number]["heads"]
            for piece in CUTS:
                if piece.axis == 1:
                    block.linear(piece).active = sizes[number][piece.unit] * block.size(piece.unit)


@contextmanager
def selected(model: nn.Layer, subnet: SubNet) -> Iterator[None]:
    """Select ``subnet`` for the length of a ``with`` block, then what was active before."""
    before = active(model)
    select(model, subnet)
    try:
        yield
    finally:
        select(model, before)


def _leading(linear: nn.Linear, rows: int, columns: int) -> nn.Linear:
    """A plain ``Linear`` ``[rows, columns]`` holding a copy of the leading slice of ``linear``."""
    plain = nn.Linear(rows, columns)
    plain.weight.set_value(linear.weight[:rows, :columns])
    plain.bias.set_value(linear.bias[:columns])
    return plain


def cut(model: nn.Layer, subnet: SubNet) -> nn.Layer:
    """Replace the linears of every kept block of ``model`` by their leading slices, in place; drop the other blocks.

    Works on a plain or an elastic model; the result has only standard layers, numbered from 0.

    Raises:
        ValueError: if ``subnet`` does not fit.
    """
    _require_fit(model, subnet)
    whole = blocks(model)
    for number, sizes in subnet.by_layer().items():
        block = whole[number]
        block.heads, block.kept = sizes["heads"], True
        for piece in CUTS:
            shape = list(block.linear(piece).weight.shape)
            shape[piece.axis] = sizes[piece.unit] * block.size(piece.unit)
            block.replace(piece, _leading(block.linear(piece), *shape))
    if subnet.depth < len(whole):
        stack = encoder(model)
        stack.layers, stack.num_layers = nn.LayerList([whole[n].layer for n in subnet.layers]), subnet.depth
    for layer in model.sublayers():
        layer.__class__ = PLAIN.get(type(layer), type(layer))
    return model


def extract(model: nn.Layer, subnet: SubNet) -> nn.Layer:
    """``subnet`` cut out of an elastic ``model`` as a network of its own, weights copied."""
    return cut(copy.deepcopy(model), subnet)

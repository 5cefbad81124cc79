"""A BERT that runs at any width on one set of weights.

``make_elastic`` gives the six ``Linear`` layers of every encoder block the class ``ElasticLinear``,
in place: parameters, their names and the state dict stay what they were. ``select`` then picks how
many heads and neurons each block uses, always the leading ones; ``extract`` cuts a selection out as
a plain network. (DynaBERT, Hou et al. 2020, https://arxiv.org/abs/2004.04037; Once for All, Cai et
al. 2019, https://arxiv.org/abs/1908.09791.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import paddle
from paddle import nn
from paddle.autograd import PyLayer, PyLayerContext
from paddleslim.nas.ofa.layers import SuperLinear

from ofa.supernet.subnet import SubNet


class AddBias(PyLayer):
    """``x`` ``[..., n]`` plus ``bias`` ``[n]``, with the bias gradient as a matrix product.

    Paddle's CPU kernel sums a broadcast gradient column by column, up to ten times slower than the
    product it follows.
    """

    @staticmethod
    def forward(ctx: PyLayerContext, x: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        return x + bias

    @staticmethod
    def backward(ctx: PyLayerContext, grad: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        flat = grad.reshape([-1, grad.shape[-1]])
        return grad, paddle.matmul(paddle.ones([1, flat.shape[0]], flat.dtype), flat).reshape([-1])


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
        if self.training and x.place.is_cpu_place():
            weight = self.weight[: x.shape[-1], : self.active]
            return AddBias.apply(paddle.matmul(x, weight), self.bias[: self.active])
        return super().forward(x, channel=self.active)


def blocks(model: nn.Layer) -> list[nn.TransformerEncoderLayer]:
    """The encoder blocks of a ``BertForSequenceClassification``, first layer first."""
    return list(model.bert.encoder.layers)


def _linears(block: nn.TransformerEncoderLayer) -> tuple[nn.Linear, ...]:
    attention = block.self_attn
    return (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj, block.linear1, block.linear2)


def make_elastic(model: nn.Layer) -> nn.Layer:
    """Make ``model`` (a ``BertForSequenceClassification``) elastic in place and return it.

    The full sub-network computes what the plain model computed, bit for bit.
    """
    for block in blocks(model):
        for linear in _linears(block):
            ElasticLinear.adopt(linear)
    return model


def full(model: nn.Layer) -> SubNet:
    """The largest sub-network of an elastic or plain model: all its heads and neurons."""
    heads = tuple(b.self_attn.q_proj.weight.shape[1] // b.self_attn.head_dim for b in blocks(model))
    return SubNet(heads, tuple(b.linear1.weight.shape[1] for b in blocks(model)))


def active(model: nn.Layer) -> SubNet:
    """The sub-network an elastic model computes now."""
    return SubNet(tuple(b.self_attn.num_heads for b in blocks(model)), tuple(b.linear1.active for b in blocks(model)))


def select(model: nn.Layer, subnet: SubNet) -> None:
    """Make an elastic ``model`` compute ``subnet`` until the next selection.

    Raises:
        ValueError: if ``subnet`` has other layers than the model, or more heads or neurons.
    """
    largest = full(model)
    if subnet.layers != largest.layers or any(
        kept > most for kept, most in zip(subnet.heads + subnet.neurons, largest.heads + largest.neurons, strict=True)
    ):
        raise ValueError(f"{subnet} does not fit into the supernet {largest}")
    for block, heads, neurons in zip(blocks(model), subnet.heads, subnet.neurons, strict=True):
        attention = block.self_attn
        inner = heads * attention.head_dim
        attention.num_heads = heads
        attention.q_proj.active = attention.k_proj.active = attention.v_proj.active = inner
        block.linear1.active = neurons


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
    """Replace the linears of every block of ``model`` by their leading slices, in place.

    Works on a plain or an elastic model; the result has only standard layers.
    """
    for block, heads, neurons in zip(blocks(model), subnet.heads, subnet.neurons, strict=True):
        attention = block.self_attn
        hidden, inner = attention.embed_dim, heads * attention.head_dim
        attention.num_heads = heads
        for name in ("q_proj", "k_proj", "v_proj"):
            setattr(attention, name, _leading(getattr(attention, name), hidden, inner))
        attention.out_proj = _leading(attention.out_proj, inner, hidden)
        block.linear1 = _leading(block.linear1, hidden, neurons)
        block.linear2 = _leading(block.linear2, neurons, hidden)
    return model


def extract(model: nn.Layer, subnet: SubNet) -> nn.Layer:
    """``subnet`` cut out of an elastic ``model`` as a network of its own, weights copied."""
    return cut(copy.deepcopy(model), subnet)

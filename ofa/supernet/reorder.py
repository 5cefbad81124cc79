"""Permute heads and neurons once, physically, so that the important ones lead.

The permuted network computes the same function: whatever leaves a head or a neuron is permuted
together with what enters it.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from ofa.supernet.blocks import blocks
from ofa.supernet.cuts import CUTS


def descending(scores: np.ndarray) -> np.ndarray:
    """Indices ``[L, N]`` of ``scores`` ``[L, N]``, highest first; ties keep their order."""
    return np.argsort(-scores, axis=1, kind="stable")


def _permute(linear: nn.Linear, order: np.ndarray, axis: int) -> None:
    """Permute rows (axis 0: inputs) or columns (axis 1: outputs, bias too) of ``linear`` in place."""
    index = paddle.to_tensor(order, dtype="int64")
    linear.weight.set_value(paddle.index_select(linear.weight.detach(), index, axis=axis))
    if axis == 1:
        linear.bias.set_value(paddle.index_select(linear.bias.detach(), index))


def reorder(model: nn.Layer, head_order: np.ndarray, neuron_order: np.ndarray) -> None:
    """Put heads and neurons of every layer into the given order, in place.

    Args:
        model: a PaddleNLP classifier.
        head_order: ``[L, A]``, for each layer the old index of each new head.
        neuron_order: ``[L, F]``, likewise for feed-forward neurons.
    """
    for block, heads, neurons in zip(blocks(model), head_order, neuron_order, strict=True):
        orders = {"heads": heads, "neurons": neurons}
        for cut in CUTS:
            size = block.size(cut.unit)
            slices = orders[cut.unit][:, None] * size + np.arange(size)[None, :]  # [N, size]
            _permute(block.linear(cut), slices.reshape(-1), cut.axis)

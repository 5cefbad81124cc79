"""How much each attention head and each feed-forward neuron matters to the loss.

|gradient x weight|, the first-order change of the loss when a part is removed (Molchanov et al.
2017, https://arxiv.org/abs/1611.06440; as DynaBERT uses it). Of a neuron, the weights into it count
and those out of it, each by itself; of a head, those out of it, which is the gradient of a mask of
ones on its output (Michel et al. 2019, https://arxiv.org/abs/1905.10650). The absolute value is
taken per batch, and gradients are cleared between batches, so the scores of N batches are the sum of
the scores of each. Ranks share whole batches among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from ofa.supernet.blocks import Block, blocks
from ofa.supernet.cuts import CUTS, UNITS, Cut
from ofa.system import ranks


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise ValueError("the loss does not depend on the encoder's weights; is the model in a no_grad block?")
    return weight.grad


def _change(block: Block, cut: Cut) -> Tensor:
    """``[N]``: of each head or neuron, the sum of gradient x weight (and bias) over its rows or columns."""
    linear = block.linear(cut)
    change = (linear.weight * _gradient(linear.weight)).sum(axis=1 - cut.axis)
    if cut.axis == 1:
        change = change + linear.bias * _gradient(linear.bias)
    return change.reshape([-1, block.size(cut.unit)]).sum(axis=1)


def _scores(block: Block) -> dict[str, np.ndarray]:
    """Head scores ``[A]`` and neuron scores ``[F]`` of the gradients that ``block`` holds now."""
    scores = {unit: paddle.zeros([block.most(unit)]) for unit in UNITS}
    for cut in CUTS:
        if cut.axis == 0 or cut.unit == "neurons":
            scores[cut.unit] += _change(block, cut).abs()
    return {unit: score.numpy() for unit, score in scores.items()}


def random_scores(model: nn.Layer, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Head scores ``[L, A]`` and neuron scores ``[L, F]`` at random: a baseline for the order."""
    layers, generator = blocks(model), np.random.default_rng(seed)
    heads, neurons = (generator.random((len(layers), layers[0].most(unit))) for unit in UNITS)
    return heads, neurons


def importance(
    model: nn.Layer, batches: Sequence, loss_of: Callable[[nn.Layer, Any], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """Score every head and neuron of ``model``, which is left as it was, without gradients.

    Args:
        model: a plain PaddleNLP classifier with the same sizes in every layer.
        batches: what ``loss_of(model, batch)`` takes, in turn.
        loss_of: the scalar loss of one batch, a mean over its rows.

    Returns:
        Head scores ``[L, A]`` and neuron scores ``[L, F]``, float64, summed over batches.
    """
    layers = blocks(model)
    heads, neurons = (np.zeros((len(layers), layers[0].most(unit))) for unit in UNITS)
    scores: list[list[dict[str, np.ndarray]]] = []  # of this rank's batches, by layer
    training = model.training
    model.eval()
    try:
        for batch in ranks.shard(batches):
            model.clear_gradients()
            loss_of(model, batch).backward()
            scores.append([_scores(block) for block in layers])
    finally:
        model.clear_gradients()
        model.train() if training else model.eval()
    for of_batch in ranks.unshard(scores):  # in the batches' order, however many ranks there are
        heads += np.stack([of_layer["heads"] for of_layer in of_batch])
        neurons += np.stack([of_layer["neurons"] for of_layer in of_batch])
    return heads, neurons

"""How much each attention head and each feed-forward neuron matters to the loss.

|gradient x weight|, the first-order change of the loss when a part is removed (Molchanov et al.
2017, https://arxiv.org/abs/1611.06440; for heads, as the gradient of a mask of ones: Michel et al.
2019, https://arxiv.org/abs/1905.10650; as DynaBERT uses them). The absolute value is taken per
batch, and gradients are cleared between batches, so the scores of N batches are the sum of the
scores of each. Ranks share whole batches among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from ofa.supernet.elastic import blocks
from ofa.system import ranks


def _mask_heads(masks: list[Tensor], head_size: int) -> Callable[[int], Callable]:
    """Hooks that multiply the input ``[B, S, A x head_size]`` of an output projection by its mask."""

    def hook_of(layer: int) -> Callable:
        def hook(_: nn.Layer, inputs: tuple[Tensor, ...]) -> Tensor:
            mask = masks[layer].unsqueeze(-1).expand([-1, head_size]).flatten()
            return inputs[0] * mask

        return hook

    return hook_of


def _gradient(tensor: Tensor) -> np.ndarray:
    if tensor.grad is None:
        raise ValueError("the loss does not depend on a head's output; is the model in a no_grad block?")
    return tensor.grad.numpy()


def _neuron_scores(block: nn.TransformerEncoderLayer) -> np.ndarray:
    """``[F]``: |sum of gradient x weight| of the weights and bias into each neuron, plus out of it."""
    into, out = block.linear1, block.linear2
    entering = (into.weight * into.weight.grad).sum(axis=0) + into.bias * into.bias.grad
    leaving = (out.weight * out.weight.grad).sum(axis=1)
    return (entering.abs() + leaving.abs()).numpy()


def importance(
    model: nn.Layer, batches: Sequence, loss_of: Callable[[nn.Layer, Any], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """Score every head and neuron of ``model``, which is left as it was, without gradients.

    Args:
        model: a plain ``BertForSequenceClassification`` with the same sizes in every layer.
        batches: what ``loss_of(model, batch)`` takes, in turn.
        loss_of: the scalar loss of one batch, a mean over its rows.

    Returns:
        Head scores ``[L, A]`` and neuron scores ``[L, F]``, float64, summed over batches.
    """
    layers = blocks(model)
    attention = layers[0].self_attn
    heads = np.zeros((len(layers), attention.num_heads))
    neurons = np.zeros((len(layers), layers[0].linear1.weight.shape[1]))
    found: list[tuple[np.ndarray, np.ndarray]] = []  # of this rank's batches
    training = model.training
    model.eval()
    masks = [paddle.ones([attention.num_heads]) for _ in layers]
    hook_of = _mask_heads(masks, attention.head_dim)
    hooks = [b.self_attn.out_proj.register_forward_pre_hook(hook_of(i)) for i, b in enumerate(layers)]
    try:
        for batch in ranks.mine(batches):
            for mask in masks:
                mask.stop_gradient = False
                mask.clear_grad()
            model.clear_gradients()
            loss_of(model, batch).backward()
            of_heads = np.stack([np.abs(_gradient(mask)) for mask in masks])
            found.append((of_heads, np.stack([_neuron_scores(block) for block in layers])))
    finally:
        for hook in hooks:
            hook.remove()
        model.clear_gradients()
        model.train() if training else model.eval()
    for of_heads, of_neurons in ranks.dealt_back(found):  # in the batches' order, however many ranks there are
        heads += of_heads
        neurons += of_neurons
    return heads, neurons

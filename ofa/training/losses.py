"""The loss of hidden states (DynaBERT, Hou et al. 2020, section 2.2); those of logits are the task's (``TaskKind``)."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor


def hidden_loss(hidden: Sequence[Tensor], teacher_hidden: Sequence[Tensor], mask: Tensor | None) -> Tensor:
    """Mean squared error between hidden states, summed over embeddings and layers.

    Args:
        hidden, teacher_hidden: L + 1 tensors ``[B, S, H]``: embeddings, then each layer's output.
        mask: ``[B, S, 1]``, 1 on tokens and 0 on padding; None if no row is padded. Padding is left
            out of the mean, so that a loss does not depend on what a row was batched with.
    """
    total = paddle.zeros([])
    if mask is None:
        for student, teacher in zip(hidden, teacher_hidden, strict=True):
            total = total + F.mse_loss(student, teacher)
        return total
    values = mask.sum() * hidden[0].shape[-1]
    for student, teacher in zip(hidden, teacher_hidden, strict=True):
        error = (student - teacher) * mask
        total = total + (error * error).sum() / values
    return total

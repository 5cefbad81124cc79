"""The two distillation losses (DynaBERT, Hou et al. 2020, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import Tensor


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Cross-entropy against the teacher's distribution: summed over classes, mean over rows.

    Args:
        logits: the student's, ``[B, C]``.
        teacher_logits: ``[B, C]``.
    """
    return -(F.softmax(teacher_logits) * F.log_softmax(logits)).sum(axis=-1).mean()


def logit_loss(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Soft cross-entropy, or the squared error where the one logit is a score (``C`` = 1).

    A softmax over one class is constant, so the recipe's loss would teach nothing on STS-B.
    """
    if logits.shape[-1] == 1:
        return F.mse_loss(logits, teacher_logits)
    return soft_cross_entropy(logits, teacher_logits)


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


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, or the squared error where the one logit is a score; mean over rows."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.squeeze(-1), labels)
    return F.cross_entropy(logits, labels)

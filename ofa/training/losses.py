"""The loss of hidden states (DynaBERT, Hou et al. 2020, section 2.2); those of logits are the task's (``TaskKind``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

from ofa.data.kinds import TaskKind
from ofa.data.rows import has_label


def softened(kind: TaskKind, logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """The kind's logit loss at a temperature.

    Args:
        kind: of the task; one of scores has no temperature (refused in the settings).
        logits: the student's, ``[B, C]``.
        teacher_logits: ``[B, C]``.
        temperature: divides both logits. The loss is multiplied by its square, so that gradients stay of one size
            (Hinton et al. 2015, section 2).
    """
    if temperature == 1:
        return kind.logit_loss(logits, teacher_logits)
    return temperature**2 * kind.logit_loss(logits / temperature, teacher_logits / temperature)


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


def hard_loss(kind: TaskKind, logits: Tensor, labels: Tensor) -> Tensor:
    """The task's loss on the rows that have a label, as a mean over all rows: the others count as 0.

    So a labelled row weighs the same in every batch, however many rows without a label it shares it with.

    Args:
        kind: of the task.
        logits: ``[B, C]``.
        labels: ``[B]``, or ``[B, C]`` of several labels per row, as in :func:`ofa.data.rows.has_label`.
    """
    (rows,) = np.nonzero(has_label(labels.numpy()))
    if len(rows) == len(labels):
        return kind.loss(logits, labels)
    if not len(rows):
        return paddle.zeros([])
    picked = paddle.to_tensor(rows)
    known = kind.loss(paddle.index_select(logits, picked), paddle.index_select(labels, picked))
    return len(rows) / len(labels) * known

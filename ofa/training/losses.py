"""The losses of a task, and those of distillation (DynaBERT, Hou et al. 2020, section 2.2), by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

from ofa.data.rows import has_label


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy against the teacher's distribution: summed over classes, mean over rows.

    Args:
        logits: the student's, ``[B, C]``.
        teacher_logits: ``[B, C]``.
        temperature: divides both logits. The loss is multiplied by its square, so that gradients stay of one size
            (Hinton et al. 2015, section 2).
    """
    if temperature != 1:
        return temperature**2 * soft_cross_entropy(logits / temperature, teacher_logits / temperature)
    return -(F.softmax(teacher_logits) * F.log_softmax(logits)).sum(axis=-1).mean()


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


# Kind of task -> loss of logits ``[B, C]`` against labels, mean over rows: ids ``[B]`` of classes, or scores ``[B]``.
TASK_LOSS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "classes": F.cross_entropy,
    "score": lambda logits, labels: F.mse_loss(logits.squeeze(-1), labels),
}
# Kind of task -> loss of a student's logits ``[B, C]`` against the teacher's. A softmax over one score is constant,
# so the recipe's loss would teach nothing on STS-B, and a temperature would do nothing (refused in the settings).
LOGIT_LOSS: dict[str, Callable[..., Tensor]] = {
    "classes": soft_cross_entropy,
    "score": lambda logits, teacher_logits, temperature=1.0: F.mse_loss(logits, teacher_logits),
}


def hard_loss(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The task's loss on the rows that have a label, as a mean over all rows: the others count as 0.

    So a labelled row weighs the same in every batch, however many rows without a label it shares it with.

    Args:
        kind: of the task, a key of ``TASK_LOSS``.
        logits: ``[B, C]``.
        labels: ``[B]`` as in :func:`ofa.data.rows.has_label`.
    """
    (rows,) = np.nonzero(has_label(labels.numpy()))
    if len(rows) == len(labels):
        return TASK_LOSS[kind](logits, labels)
    if not len(rows):
        return paddle.zeros([])
    picked = paddle.to_tensor(rows)
    known = TASK_LOSS[kind](paddle.index_select(logits, picked), paddle.index_select(labels, picked))
    return len(rows) / len(labels) * known

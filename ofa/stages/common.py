"""What the two training stages share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from ofa import ranks
from ofa.batching import Batch, collate_part, epoch_batches
from ofa.config import LoopConfig
from ofa.pipeline import Job
from ofa.precision import Precision
from ofa.training import Best, Loop


def tensors(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """``input_ids`` ``[B, S]``, ``token_type_ids`` ``[B, S]`` and ``labels`` ``[B]`` on the device."""
    return paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids), paddle.to_tensor(batch.labels)


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, or the squared error where the one logit is a score; mean over rows."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.squeeze(-1), labels)
    return F.cross_entropy(logits, labels)


def loop_of(
    job: Job,
    name: str,
    model: nn.Layer,
    step: Callable[[Batch, int], dict[str, Tensor]],
    evaluate: Callable[[int], dict[str, float]],
    best: Best,
    precision: Precision,
) -> Loop:
    """The loop called ``name`` over the training rows with the settings of ``trainer.<name>``."""
    trainer, train = job.config.trainer, job.inputs.encoded("train")
    settings: LoopConfig = getattr(trainer, name)

    def epoch(number: int) -> list[np.ndarray]:
        return epoch_batches(train.lengths, settings.batch_size, trainer.seed, number)

    def collate(rows: np.ndarray) -> Batch:
        return collate_part(train, rows, ranks.rank(), ranks.size())

    watch = (evaluate, best, precision, job.monitor, job.stop)
    return Loop(name, model, step, epoch, collate, settings, trainer.seed, job.work, *watch)

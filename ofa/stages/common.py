"""What the two training stages share."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor

from ofa import ranks
from ofa.batching import Batch, collate_part, epoch_batches
from ofa.config import LoopConfig
from ofa.encode import Encoded
from ofa.pipeline import Job


def tensors(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """``input_ids`` ``[B, S]``, ``token_type_ids`` ``[B, S]`` and ``labels`` ``[B]`` on the device."""
    return paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids), paddle.to_tensor(batch.labels)


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, or the squared error where the one logit is a score; mean over rows."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.squeeze(-1), labels)
    return F.cross_entropy(logits, labels)


def epochs_of(job: Job, train: Encoded, settings: LoopConfig):
    """The batches of a numbered epoch, as arrays of row numbers; all ranks' rows."""

    def epoch(number: int) -> list[np.ndarray]:
        return epoch_batches(train.lengths, settings.batch_size, job.config.trainer.seed, number)

    return epoch


def collate_rows(train: Encoded):
    """This rank's part of the batch of some rows."""
    return lambda rows: collate_part(train, rows, ranks.rank(), ranks.size())

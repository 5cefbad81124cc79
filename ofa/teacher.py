"""What the supernet is distilled towards: the teacher's logits and hidden states, and a memory of them."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn
from tqdm import tqdm

from ofa.batching import Batch, collate, eval_batches
from ofa.encode import Encoded
from ofa.model import forward
from ofa.precision import Precision
from ofa.subnet import BertShape

Targets = tuple[Tensor, tuple[Tensor, ...]]  # logits [B, C]; L + 1 hidden states [B, S, H]


def teach(teacher: nn.Layer, input_ids: Tensor, token_type_ids: Tensor, precision: Precision) -> Targets:
    """The outputs of ``teacher``, in evaluation mode, on one batch ``[B, S]``."""
    with paddle.no_grad(), precision.autocast():
        return forward(teacher, input_ids, token_type_ids)


class TeacherMemory:
    """The teacher's outputs on all rows of a split, computed once, for epochs that read them again.

    They are computed in an order of their own, not as batches come, so that a run that goes on from a
    checkpoint finds the same numbers to the bit.
    """

    def __init__(self, teacher: nn.Layer, encoded: Encoded, batch_size: int, precision: Precision) -> None:
        self._offsets = encoded.offsets
        self._logits = np.empty([0])  # [N, C]
        self._hidden: list[np.ndarray] = []  # of each layer, [T, H]: a row's tokens lie together
        batches = eval_batches(encoded.lengths, batch_size)
        for rows in tqdm(batches, desc="teacher's outputs", unit="batch", leave=False, dynamic_ncols=True):
            batch = collate(encoded, rows)
            inputs = paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids)
            logits, hidden = teach(teacher, *inputs, precision)
            if not self._hidden:
                self._logits = np.empty([len(encoded), logits.shape[-1]], "float32")
                self._hidden = [np.empty([encoded.offsets[-1], layer.shape[-1]], "float32") for layer in hidden]
            self._logits[rows] = logits.astype("float32").numpy()
            tokens, filled = self._tokens(rows)
            for kept, layer in zip(self._hidden, hidden, strict=True):
                kept[tokens[filled]] = layer.astype("float32").numpy()[filled]

    @staticmethod
    def size_mb(encoded: Encoded, shape: BertShape) -> float:
        """Memory for a teacher of ``shape``, in MB."""
        hidden = int(encoded.offsets[-1]) * (shape.num_hidden_layers + 1) * shape.hidden_size
        return 4 * (hidden + len(encoded) * shape.num_labels) / 1e6

    def _tokens(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which token of the split is where in the padded batch of ``rows``, ``[B, S]``, and where any is.

        On padding it is the row's last one: there has to be one, and no loss reads it.
        """
        starts, lengths = self._offsets[rows, None], np.diff(self._offsets)[rows, None]
        place = np.arange(lengths.max())[None, :]
        return starts + np.minimum(place, lengths - 1), place < lengths

    def recall(self, batch: Batch) -> Targets:
        """The outputs on the rows of ``batch``; on padding, which no loss reads, those of the last token."""
        tokens, _ = self._tokens(batch.rows)
        return paddle.to_tensor(self._logits[batch.rows]), tuple(
            paddle.to_tensor(kept[tokens]) for kept in self._hidden
        )

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
        self._logits = np.empty([0])
        self._hidden = np.empty([0])  # [T, L + 1, H]: a row's tokens lie together
        batches = eval_batches(encoded.lengths, batch_size)
        for rows in tqdm(batches, desc="teacher's outputs", unit="batch", leave=False, dynamic_ncols=True):
            batch = collate(encoded, rows)
            inputs = paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids)
            logits, hidden = teach(teacher, *inputs, precision)
            if not self._hidden.size:
                self._logits = np.empty([len(encoded), logits.shape[-1]], "float32")
                self._hidden = np.empty([encoded.offsets[-1], len(hidden), hidden[0].shape[-1]], "float32")
            self._logits[rows] = logits.astype("float32").numpy()
            tokens, filled = self._tokens(rows)
            for layer, states in enumerate(hidden):
                self._hidden[tokens, layer] = states.astype("float32").numpy()[filled]

    @staticmethod
    def size_mb(encoded: Encoded, shape: BertShape) -> float:
        """Memory for a teacher of ``shape``, in MB."""
        hidden = int(encoded.offsets[-1]) * (shape.num_hidden_layers + 1) * shape.hidden_size
        return 4 * (hidden + len(encoded) * shape.num_labels) / 1e6

    def _tokens(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of ``rows`` in the split ``[t]``, and where they are in a padded batch ``[B, S]``."""
        starts, lengths = self._offsets[rows], self._offsets[rows + 1] - self._offsets[rows]
        place = np.arange(lengths.max())[None, :]
        filled = place < lengths[:, None]
        return (starts[:, None] + place)[filled], filled

    def recall(self, batch: Batch) -> Targets:
        """The outputs on the rows of ``batch``; zeros on padding, which no loss reads."""
        tokens, filled = self._tokens(batch.rows)
        layers, width = self._hidden.shape[1:]
        hidden = np.zeros([layers, *filled.shape, width], "float32")
        hidden[:, filled] = self._hidden[tokens].swapaxes(0, 1)
        return paddle.to_tensor(self._logits[batch.rows]), tuple(paddle.to_tensor(states) for states in hidden)

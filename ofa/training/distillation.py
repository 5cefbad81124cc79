"""One step of distilling sub-networks of a supernet from the finetuned teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add

import numpy as np
import paddle
from paddle import Tensor, nn
from tqdm import tqdm

from ofa.data.batches import Batch, collate, eval_batches
from ofa.data.kinds import KINDS, TaskKind
from ofa.data.tokens import Encoded
from ofa.model.network import embed, forward, padding, run_blocks
from ofa.supernet.elastic import select
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.training.losses import hard_loss, hidden_loss, softened
from ofa.training.precision import Precision
from ofa.training.workers import Workers


@dataclass(frozen=True)
class Distillation:
    """What a distillation step needs besides the batch.

    Attributes:
        supernet: an elastic model, started from the permuted teacher.
        teacher: the finetuned model, in evaluation mode.
        kind: of the task.
        threads: that share the rows of a batch; on a CPU, its cores.
        hard_weight: of the loss on the true labels.
        temperature: of the logit loss.
    """

    supernet: nn.Layer
    teacher: nn.Layer
    hidden_weight: float
    logit_weight: float
    precision: Precision = field(default_factory=lambda: Precision("fp32"))
    kind: TaskKind = KINDS["classes"]
    threads: int = 1
    hard_weight: float = 0.0
    temperature: float = 1.0

    def step(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        subnets: Sequence[SubNet],
        row_share: float = 1.0,
        token_share: float = 1.0,
        targets: Targets | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Forward and backward of ``subnets`` on one batch ``[B, S]``, or a share of it; gradients add up.

        The teacher runs once. So do the embeddings, which all sub-networks share: gradients of all
        accumulate at their output and are back-propagated through them once. A layer learns from the
        teacher's layer of the same number, whichever layers a sub-network leaves out. All but the
        embeddings is done by ``threads``, each on its part of the rows.

        Args:
            labels: ``[B]``, where ``hard_weight`` is above 0.

        Returns:
            ``loss``, summed over the sub-networks, and its parts.
        """
        with self.precision.autocast():
            embeddings, bias = embed(self.supernet, input_ids, token_type_ids)
        padded = padding(self.supernet, input_ids)
        tokens = (~padded).sum(axis=-1).numpy()

        def work(model: nn.Layer, rows: slice) -> tuple[Tensor | None, dict[str, Tensor]]:
            part = _Part(
                embeddings.detach()[rows],
                bias[rows],
                _token_mask(padded[rows]),
                _part_of(targets, rows)
                or teacher_outputs(self.teacher, input_ids[rows], token_type_ids[rows], self.precision),
                row_share * len(tokens[rows]) / len(tokens),
                token_share * float(tokens[rows].sum() / tokens.sum()),
                labels[rows] if labels is not None and self.hard_weight else None,
            )
            return self._learn(model, subnets, part)

        gradients, losses = zip(*self._workers.run(work, len(tokens)), strict=True)
        embeddings.backward(paddle.concat(gradients))
        parts = {name: sum(part[name] for part in losses) for name in losses[0]}
        return {"loss": self._weighted(parts), **parts}

    def _weighted(self, parts: Mapping[str, Tensor]) -> Tensor:
        weights = {"hidden_loss": self.hidden_weight, "logit_loss": self.logit_weight, "hard_loss": self.hard_weight}
        return reduce(add, (weights[name] * part for name, part in parts.items()))

    @cached_property
    def _workers(self) -> Workers:
        return Workers(self.supernet, self.threads)

    def _learn(
        self, model: nn.Layer, subnets: Sequence[SubNet], part: _Part
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Forward and backward of ``subnets`` of ``model``: gradient of the embeddings, and the parts of the loss."""
        part.embeddings.stop_gradient = False
        bias = None if part.mask is None else part.bias
        sums: dict[str, Tensor] = {}
        for subnet in subnets:
            select(model, subnet)
            with self.precision.autocast():
                losses = self._losses(*run_blocks(model, part.embeddings, bias), subnet, part)
            self.precision.backward(self._weighted(losses))
            sums = {name: sums.get(name, paddle.zeros([])) + loss.detach() for name, loss in losses.items()}
        return part.embeddings.grad, sums

    def _losses(self, logits: Tensor, hidden: Sequence[Tensor], subnet: SubNet, part: _Part) -> dict[str, Tensor]:
        """The parts of the loss of ``subnet``, which has these outputs on the rows of ``part``."""
        teacher_logits, teacher_hidden = part.targets
        matched = [teacher_hidden[0], *(teacher_hidden[number + 1] for number in subnet.layers)]
        losses = {
            "hidden_loss": part.token_share * hidden_loss(hidden, matched, part.mask),
            "logit_loss": part.row_share * softened(self.kind, logits, teacher_logits, self.temperature),
        }
        if part.labels is not None:
            losses["hard_loss"] = part.row_share * hard_loss(self.kind, logits, part.labels)
        return losses


@dataclass(frozen=True)
class _Part:
    """Rows of a batch, as one thread needs them: embeddings ``[R, S, H]``, attention bias ``[R, 1, 1, S]``, mask
    ``[R, S, 1]`` (None where nothing is padded), the teacher's outputs, shares of all rows and tokens, and labels
    ``[R]`` if they count.
    """

    embeddings: Tensor
    bias: Tensor
    mask: Tensor | None
    targets: Targets
    row_share: float
    token_share: float
    labels: Tensor | None


def _part_of(targets: Targets | None, rows: slice) -> Targets | None:
    return targets and (targets[0][rows], tuple(layer[rows] for layer in targets[1]))


def _token_mask(padded: Tensor) -> Tensor | None:
    """``[B, S, 1]``, 0 on padding; None where nothing is padded, as in most length-bucketed batches."""
    return (~padded).astype("float32").unsqueeze(-1) if bool(padded.any()) else None


Targets = tuple[Tensor, tuple[Tensor, ...]]  # logits [B, C]; L + 1 hidden states [B, S, H]


def teacher_outputs(teacher: nn.Layer, input_ids: Tensor, token_type_ids: Tensor, precision: Precision) -> Targets:
    """The outputs of ``teacher``, in evaluation mode, on one batch ``[B, S]``."""
    with paddle.no_grad(), precision.autocast():
        return forward(teacher, input_ids, token_type_ids)


class TeacherCache:
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
            logits, hidden = teacher_outputs(teacher, *inputs, precision)
            if not self._hidden:
                self._logits = np.empty([len(encoded), logits.shape[-1]], "float32")
                self._hidden = [np.empty([encoded.offsets[-1], layer.shape[-1]], "float32") for layer in hidden]
            self._logits[rows] = logits.astype("float32").numpy()
            tokens, filled = self._tokens(rows)
            for kept, layer in zip(self._hidden, hidden, strict=True):
                kept[tokens[filled]] = layer.astype("float32").numpy()[filled]

    @staticmethod
    def size_mb(encoded: Encoded, shape: EncoderShape) -> float:
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

    def lookup(self, batch: Batch) -> Targets:
        """The outputs on the rows of ``batch``; on padding, which no loss reads, those of the last token."""
        tokens, _ = self._tokens(batch.rows)
        return paddle.to_tensor(self._logits[batch.rows]), tuple(
            paddle.to_tensor(kept[tokens]) for kept in self._hidden
        )

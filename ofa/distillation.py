"""One step of distilling every width of a supernet from the finetuned teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import Tensor, nn

from ofa.elastic import select
from ofa.losses import hidden_loss, logit_loss
from ofa.model import embed, encode
from ofa.precision import Precision
from ofa.subnet import SubNet
from ofa.teacher import Targets, teach


@dataclass(frozen=True)
class Distillation:
    """What a distillation step needs besides the batch.

    Attributes:
        supernet: an elastic model, started from the permuted teacher.
        teacher: the finetuned model, in evaluation mode.
    """

    supernet: nn.Layer
    teacher: nn.Layer
    hidden_weight: float
    logit_weight: float
    precision: Precision = field(default_factory=lambda: Precision("fp32"))

    def step(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        subnets: Sequence[SubNet],
        row_share: float = 1.0,
        token_share: float = 1.0,
        targets: Targets | None = None,
    ) -> dict[str, Tensor]:
        """Forward and backward of ``subnets`` on one batch ``[B, S]``, or a share of it; gradients add up.

        The teacher runs once. So do the embeddings, which all widths share: each width's gradient
        gathers at their output and goes through them in one pass at the end.

        Returns:
            ``loss``, summed over the sub-networks, and its two parts.
        """
        mask = _token_mask(input_ids, self.supernet.bert.pad_token_id)
        teacher_logits, teacher_hidden = targets or teach(self.teacher, input_ids, token_type_ids, self.precision)
        with self.precision.autocast():
            embeddings, bias = embed(self.supernet, input_ids, token_type_ids)
        shared = embeddings.detach()
        shared.stop_gradient = False
        parts = {"hidden_loss": paddle.zeros([]), "logit_loss": paddle.zeros([])}
        for subnet in subnets:
            select(self.supernet, subnet)
            with self.precision.autocast():
                logits, hidden = encode(self.supernet, shared, bias)
                hidden_part = token_share * hidden_loss(hidden, teacher_hidden, mask)
                logit_part = row_share * logit_loss(logits, teacher_logits)
            self.precision.backward(self.hidden_weight * hidden_part + self.logit_weight * logit_part)
            parts["hidden_loss"] += hidden_part.detach()
            parts["logit_loss"] += logit_part.detach()
        embeddings.backward(shared.grad)
        total = self.hidden_weight * parts["hidden_loss"] + self.logit_weight * parts["logit_loss"]
        return {"loss": total, **parts}


def pick_widths(widths: Sequence[float], sampling: str, between: int, seed: int, step: int) -> list[float]:
    """The widths that one step trains.

    ``all`` is every width. ``sandwich`` is the widest, the narrowest and ``between`` others drawn for
    the step (Yu and Huang 2019, https://arxiv.org/abs/1903.05134), so a step's cost does not grow with
    the list. The draw depends on (seed, step) alone, so a resumed run makes the same.
    """
    if sampling == "all" or len(widths) <= between + 2:
        return list(widths)
    ordered = sorted(widths, reverse=True)
    drawn = np.random.default_rng([seed, step]).choice(ordered[1:-1], between, replace=False)
    return [ordered[0], *sorted((float(width) for width in drawn), reverse=True), ordered[-1]]


def _token_mask(input_ids: Tensor, pad: int) -> Tensor | None:
    """``[B, S, 1]``, 0 on padding; None where nothing is padded, as in most length-bucketed batches."""
    mask = input_ids != pad
    return None if bool(mask.all()) else mask.astype("float32").unsqueeze(-1)

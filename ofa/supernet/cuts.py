"""What of an encoder block is heads and what is neurons: one table, read by selection, cut, permutation and scores.

PaddleNLP's BERT, ERNIE, RoBERTa and ELECTRA are stacks of ``paddle.nn.TransformerEncoderLayer``: one table serves all.
Imports no Paddle, as those that only read weights need the table, too.
"""

from __future__ import annotations

from dataclasses import dataclass

UNITS = ("heads", "neurons")


@dataclass(frozen=True)
class Cut:
    """One elastic axis of one linear layer of a block: rows (0: inputs) or columns (1: outputs, bias too).

    Attributes:
        part: the linear layer's name in the block.
        unit: what the axis consists of, ``heads`` or ``neurons``.
    """

    part: str
    axis: int
    unit: str


CUTS = (
    Cut("self_attn.q_proj", 1, "heads"),
    Cut("self_attn.k_proj", 1, "heads"),
    Cut("self_attn.v_proj", 1, "heads"),
    Cut("self_attn.out_proj", 0, "heads"),
    Cut("linear1", 1, "neurons"),
    Cut("linear2", 0, "neurons"),
)

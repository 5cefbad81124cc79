"""An encoder block seen as heads and neurons, by the table of ``cuts.py``."""

from __future__ import annotations

from operator import attrgetter

from paddle import nn

from ofa.supernet.cuts import CUTS, Cut


class Block:
    """One encoder block, seen as heads and neurons."""

    def __init__(self, layer: nn.TransformerEncoderLayer) -> None:
        self.layer = layer

    def linear(self, cut: Cut) -> nn.Linear:
        return attrgetter(cut.part)(self.layer)

    def replace(self, cut: Cut, linear: nn.Linear) -> None:
        owner, _, name = cut.part.rpartition(".")
        setattr(getattr(self.layer, owner) if owner else self.layer, name, linear)

    def size(self, unit: str) -> int:
        """Rows or columns of one head, or of one neuron."""
        return self.layer.self_attn.head_dim if unit == "heads" else 1

    def most(self, unit: str) -> int:
        """Heads or neurons that the weights hold."""
        cut = next(cut for cut in CUTS if cut.unit == unit)
        return self.linear(cut).weight.shape[cut.axis] // self.size(unit)

    @property
    def heads(self) -> int:
        """Heads that the attention splits its projections into."""
        return self.layer.self_attn.num_heads

    @heads.setter
    def heads(self, count: int) -> None:
        self.layer.self_attn.num_heads = count

    @property
    def kept(self) -> bool:
        """Whether the selected sub-network has this layer."""
        return getattr(self.layer, "kept", True)

    @kept.setter
    def kept(self, kept: bool) -> None:
        self.layer.kept = kept


def base(model: nn.Layer) -> nn.Layer:
    """A PaddleNLP classifier without its head: ``model.bert`` of a BERT."""
    return getattr(model, model.base_model_prefix)


def encoder(model: nn.Layer) -> nn.TransformerEncoder:
    """The stack of blocks of a PaddleNLP classifier."""
    stack = base(model).encoder
    assert stack.norm is None, "the encoder's last block is followed by a norm, which run_blocks would leave out"
    return stack


def blocks(model: nn.Layer) -> list[Block]:
    """The encoder blocks of a PaddleNLP classifier, first layer first."""
    return [Block(layer) for layer in encoder(model).layers]

"""What a width means: heads and neurons kept per layer, and what that costs.

Pure arithmetic on integers: nothing here imports Paddle, so a plan can be made, checked and costed
before any library is loaded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction

from ofa.errors import UserError

# Widths are typed by hand (0.8333 for 5/6), so a head count this close to a whole number is meant.
HEAD_TOLERANCE = 0.01


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT encoder with a classification head (names as in Hugging Face's config.json).

    ``head_size`` is hidden_size / num_attention_heads in every BERT that was trained as usual; a
    network cut from a supernet keeps it while it has fewer heads.
    """

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int = 30522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    num_labels: int = 2

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class SubNet:
    """Heads and feed-forward neurons kept in each layer: leading slices of the supernet's weights.

    Attributes:
        heads: attention heads kept, one entry per layer.
        neurons: feed-forward neurons kept, one entry per layer.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.heads or len(self.heads) != len(self.neurons):
            raise ValueError(f"SubNet needs one entry per layer: {self}")
        if min(self.heads) < 1 or min(self.neurons) < 1:
            raise ValueError(f"SubNet keeps at least one head and neuron: {self}")

    @property
    def layers(self) -> int:
        return len(self.heads)

    @classmethod
    def full(cls, shape: BertShape) -> SubNet:
        """The whole network: every head and every neuron of every layer."""
        layers = shape.num_hidden_layers
        return cls((shape.num_attention_heads,) * layers, (shape.intermediate_size,) * layers)

    @classmethod
    def at_width(cls, width: float, shape: BertShape) -> SubNet:
        """The sub-network that keeps a share ``width`` of heads and neurons in every layer.

        At width 0.75 of 12 heads and 3072 neurons: 9 heads and 2304 neurons.

        Raises:
            UserError: if ``width`` is outside (0, 1] or does not keep a whole number of heads.
        """
        problem = width_problem(width, shape.num_attention_heads)
        if problem:
            raise UserError(problem)
        kept = Fraction(round(width * shape.num_attention_heads), shape.num_attention_heads)
        heads = int(kept * shape.num_attention_heads)
        neurons = max(1, round(kept * shape.intermediate_size))
        return cls((heads,) * shape.num_hidden_layers, (neurons,) * shape.num_hidden_layers)

    def to_dict(self) -> dict[str, list[int]]:
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, list[int]]) -> SubNet:
        return cls(tuple(values["heads"]), tuple(values["neurons"]))


def uniform(sizes: tuple[int, ...]) -> int | list[int]:
    """One number where every layer has the same, else the list: what tables and JSON show."""
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)


def width_problem(width: float, num_heads: int) -> str | None:
    """Why ``width`` cannot be used on ``num_heads`` heads, in words, or None if it can."""
    if not 0 < width <= 1:
        return f"ofa.widths: {width:g} is outside (0, 1]"
    heads = width * num_heads
    if round(heads) >= 1 and abs(heads - round(heads)) <= HEAD_TOLERANCE:
        return None
    below, above = int(heads), int(heads) + 1
    near = [f"{k / num_heads:.4g} ({k} heads)" for k in (below, above) if 1 <= k <= num_heads]
    return (
        f"ofa.widths: {width:g} of {num_heads} heads is {heads:.4g} heads, not a whole number; "
        f"near it: {' and '.join(near)}"
    )


def count_params(shape: BertShape, subnet: SubNet | None = None) -> int:
    """Trainable parameters: embeddings, encoder layers, pooler and classifier.

    BERT-base (12 x 768, 12 heads, 3072 neurons) has 109.5M; at width 2/3 it has 81.1M.
    """
    subnet = subnet or SubNet.full(shape)
    hidden = shape.hidden_size
    total = (shape.vocab_size + shape.max_position_embeddings + shape.type_vocab_size) * hidden
    total += 2 * hidden  # embedding layer norm
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        inner = heads * shape.head_size
        total += 3 * (hidden * inner + inner) + inner * hidden + hidden  # q, k, v; attention output
        total += hidden * neurons + neurons + neurons * hidden + hidden  # feed-forward
        total += 4 * hidden  # two layer norms
    return total + hidden * hidden + hidden + hidden * shape.num_labels + shape.num_labels


def count_macs(shape: BertShape, subnet: SubNet | None = None, seq_length: int = 128) -> int:
    """Multiply-accumulates of the matrix products for one sequence of ``seq_length`` tokens.

    BERT-base at 128 tokens: 11.17 G, that is 22.35 GFLOP.
    """
    subnet = subnet or SubNet.full(shape)
    hidden, total = shape.hidden_size, 0
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        inner = heads * shape.head_size
        total += seq_length * 4 * hidden * inner  # q, k, v and output projections
        total += 2 * seq_length * seq_length * inner  # scores, weighted values
        total += seq_length * 2 * hidden * neurons
    return total + hidden * hidden + hidden * shape.num_labels  # pooler and classifier see one token

"""What a width and a depth mean: layers kept, heads and neurons kept in each, and what that costs.

Pure arithmetic on integers: nothing here imports Paddle, so a plan can be made, checked and costed
before any library is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise

from ofa.errors import UserError

# Widths and depths are typed by hand (0.8333 for 5/6), so a count this close to a whole number is meant.
TOLERANCE = 0.01


# Sizes of an EncoderShape that are 0 where there is no such part.
OF_SOME = ("original_heads", "task_type_vocab_size", "embedding_size", "first_position")


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder with a classification head (names as in Hugging Face's config.json).

    Attributes:
        original_heads: of a network that was cut from another one, how many heads that had; 0: it was not cut.
        task_type_vocab_size: of an ERNIE with embeddings of its pretraining task; 0: it has none.
        embedding_size: of embeddings that are projected to ``hidden_size``, as an ELECTRA's; 0: they have that size.
        first_position: number of the first token's position: a RoBERTa counts from the one after its padding token's
            id, so that fewer tokens fit than it has positions.
    """

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int = 30522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    num_labels: int = 2
    task_type_vocab_size: int = 0
    original_heads: int = 0
    embedding_size: int = 0
    first_position: int = 0

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest row."""
        return self.max_position_embeddings - self.first_position

    @property
    def embedded(self) -> int:
        """Numbers per token in the embeddings."""
        return self.embedding_size or self.hidden_size

    @property
    def projection(self) -> int:
        """Multiply-accumulates that bring the embeddings of a token to ``hidden_size``; 0 where they have it."""
        return self.embedded * self.hidden_size if self.embedded != self.hidden_size else 0

    @property
    def heads_of_hidden(self) -> int:
        """The heads that ``hidden_size`` is divided by; a network keeps their size when it is cut."""
        return self.original_heads or self.num_attention_heads

    def neurons_of(self, heads: int) -> int:
        """How many neurons are the share that ``heads`` are of all heads."""
        return max(1, round(Fraction(heads, self.num_attention_heads) * self.intermediate_size))

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.heads_of_hidden

    def to_dict(self) -> dict[str, int]:
        """As JSON; what only some networks have is left out of the others'."""
        return {key: value for key, value in asdict(self).items() if value or key not in OF_SOME}


@dataclass(frozen=True)
class SubNet:
    """Layers kept, and heads and feed-forward neurons kept in each: leading slices of the supernet's weights.

    Attributes:
        heads, neurons: one entry per kept layer.
        layers: numbers of the kept layers in the supernet, ascending; the first ones if left out.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", self.layers or tuple(range(len(self.heads))))
        if not self.heads or not len(self.heads) == len(self.neurons) == len(self.layers):
            raise ValueError(f"SubNet needs one entry per layer: {self}")
        if min(self.heads) < 1 or min(self.neurons) < 1:
            raise ValueError(f"SubNet keeps at least one head and neuron: {self}")
        if self.layers[0] < 0 or any(a >= b for a, b in pairwise(self.layers)):
            raise ValueError(f"SubNet has its layers in ascending order, from 0: {self}")

    @property
    def depth(self) -> int:
        """How many layers are kept."""
        return len(self.layers)

    @classmethod
    def full(cls, shape: EncoderShape) -> SubNet:
        """The whole network: every head and every neuron of every layer."""
        layers = shape.num_hidden_layers
        return cls((shape.num_attention_heads,) * layers, (shape.intermediate_size,) * layers)

    @classmethod
    def at(cls, width: float, depth: float, shape: EncoderShape) -> SubNet:
        """The sub-network with a share ``depth`` of the layers and, in each, a share ``width`` of heads and neurons.

        At width 0.75 of 12 heads and 3072 neurons: 9 heads and 2304 neurons. At depth 0.75 of 12 layers: numbers 0,
        1, 3, 4, 5, 7, 8, 9 and 11, so that every fourth is left out and the last one stays (DynaBERT, Hou et al.
        2020, as in PaddleNLP's ``run_glue_ofa_depth.py``).

        Raises:
            UserError: if a share is outside (0, 1], or does not keep a whole number of heads or layers.
        """
        problem = width_problem(width, shape.num_attention_heads) or depth_problem(depth, shape.num_hidden_layers)
        if problem:
            raise UserError(problem)
        heads = round(width * shape.num_attention_heads)
        neurons = shape.neurons_of(heads)
        kept = round(depth * shape.num_hidden_layers)
        layers = tuple(i * shape.num_hidden_layers // kept - 1 for i in range(1, kept + 1))
        return cls((heads,) * kept, (neurons,) * kept, layers)

    def by_layer(self) -> dict[int, dict[str, int]]:
        """Number of each kept layer -> what it keeps, ``{"heads": 9, "neurons": 2304}``."""
        return {
            number: {"heads": heads, "neurons": neurons}
            for number, heads, neurons in zip(self.layers, self.heads, self.neurons, strict=True)
        }

    def fits(self, largest: SubNet) -> bool:
        """Whether ``largest`` has all these layers, and in each as many heads and neurons at least."""
        most = largest.by_layer()
        return all(
            number in most and kept[unit] <= most[number][unit]
            for number, kept in self.by_layer().items()
            for unit in kept
        )

    def to_dict(self) -> dict[str, list[int]]:
        """As JSON; ``layers`` is there only where one before the last is left out."""
        values = {"heads": list(self.heads), "neurons": list(self.neurons)}
        return values if self.layers == tuple(range(self.depth)) else {**values, "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[int]]) -> SubNet:
        """What :meth:`to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: if ``values`` is no sub-network.
        """
        sizes = [tuple(values[key]) for key in ("heads", "neurons")] + [tuple(values.get("layers", ()))]
        if any(type(size) is not int for part in sizes for size in part):
            raise ValueError(f"SubNet needs whole numbers: {values}")
        return cls(*sizes)


def uniform(sizes: tuple[int, ...]) -> int | list[int]:
    """One number where every layer has the same, else the list: what tables and JSON show."""
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)


def width_problem(width: float, num_heads: int) -> str | None:
    """Why ``width`` cannot be used on ``num_heads`` heads, in words, or None if it can."""
    return _share_problem("ofa.widths", width, num_heads, "heads")


def depth_problem(depth: float, num_layers: int) -> str | None:
    """Why ``depth`` cannot be used on ``num_layers`` layers, in words, or None if it can."""
    return _share_problem("ofa.depths", depth, num_layers, "layers")


def _share_problem(key: str, share: float, count: int, unit: str) -> str | None:
    if not 0 < share <= 1:
        return f"{key}: {share:g} is outside (0, 1]"
    kept = share * count
    if round(kept) >= 1 and abs(kept - round(kept)) <= TOLERANCE:
        return None
    near = [f"{k / count:.4g} ({k} {unit})" for k in (int(kept), int(kept) + 1) if 1 <= k <= count]
    return f"{key}: {share:g} of {count} {unit} is {kept:.4g} {unit}, not a whole number; near it: {' and '.join(near)}"


def count_params(shape: EncoderShape, subnet: SubNet | None = None) -> int:
    """Trainable parameters: embeddings, encoder layers, pooler (or a classifier's first layer) and classifier.

    BERT-base (12 x 768, 12 heads, 3072 neurons) has 109.5M; at width 2/3 it has 81.1M.
    """
    subnet = subnet or SubNet.full(shape)
    hidden = shape.hidden_size
    rows = shape.vocab_size + shape.max_position_embeddings + shape.type_vocab_size + shape.task_type_vocab_size
    total = (rows + 2) * shape.embedded  # and a layer norm
    total += shape.projection and shape.projection + hidden
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        inner = heads * shape.head_size
        total += 3 * (hidden * inner + inner) + inner * hidden + hidden  # q, k, v; attention output
        total += hidden * neurons + neurons + neurons * hidden + hidden  # feed-forward
        total += 4 * hidden  # two layer norms
    return total + hidden * hidden + hidden + hidden * shape.num_labels + shape.num_labels


def count_macs(shape: EncoderShape, subnet: SubNet | None = None, seq_length: int = 128) -> int:
    """Multiply-accumulates of the matrix products for one sequence of ``seq_length`` tokens.

    BERT-base at 128 tokens: 11.17 G, that is 22.35 GFLOP.
    """
    subnet = subnet or SubNet.full(shape)
    hidden, total = shape.hidden_size, seq_length * shape.projection
    for heads, neurons in zip(subnet.heads, subnet.neurons, strict=True):
        inner = heads * shape.head_size
        total += seq_length * 4 * hidden * inner  # q, k, v and output projections
        total += 2 * seq_length * seq_length * inner  # scores, weighted values
        total += seq_length * 2 * hidden * neurons
    return total + hidden * hidden + hidden * shape.num_labels  # pooler and classifier see one token

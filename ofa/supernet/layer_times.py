"""The latency of any sub-network as a sum over its layers: a table that is fitted on networks timed whole.

A layer's heads and its neurons are worked off one after the other, so what each number of them takes adds up (the
tables of ZipLM, Kurtic et al. 2023, https://arxiv.org/abs/2302.04089).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path

import numpy as np

from ofa.supernet.layerwise import Space
from ofa.supernet.subnet import EncoderShape, SubNet

TABLE = "layer_times.json"
# Of the networks that are timed: enough layers to be told from the rest, and more tokens than caches hold between two.
LAYERS, TOKENS = 4, 4096


@dataclass(frozen=True)
class LayerTimes:
    """Milliseconds of a batch.

    Attributes:
        rest: of all but the layers: embeddings, pooler, classifier, and what the engine takes for itself.
        heads: number of heads -> a layer that has them and the fewest neurons.
        neurons: number of neurons -> what these take more than the fewest.
    """

    rest: float
    heads: Mapping[int, float]
    neurons: Mapping[int, float]

    def ms(self, subnet: SubNet) -> float:
        """The latency of ``subnet``, whose sizes are in the table."""
        layers = zip(subnet.heads, subnet.neurons, strict=True)
        return self.rest + fsum(self.heads[heads] + self.neurons[neurons] for heads, neurons in layers)

    @classmethod
    def fit(cls, timed: Mapping[SubNet, float]) -> LayerTimes:
        """The table of all sizes in ``timed``, the milliseconds of networks, with the least relative errors squared.

        None of its parts is below 0, and more heads or neurons never take less: the smallest network of a search is
        its fastest one, also where the machine was busy.
        """
        from scipy.optimize import nnls

        heads, neurons = (sorted({n for net in timed for n in getattr(net, unit)}) for unit in ("heads", "neurons"))
        # A column for the rest and one for each step from a size to the next: in how many layers it is taken.
        rows = [
            [1, *(sum(n >= step for n in net.heads) for step in heads)]
            + [sum(n >= step for n in net.neurons) for step in neurons[1:]]
            for net in timed
        ]
        ms = np.array(list(timed.values()))
        steps, _ = nnls(np.array(rows) / ms[:, None], np.ones(len(ms)))
        by_heads = np.cumsum(steps[1 : 1 + len(heads)]).tolist()
        by_neurons = np.cumsum([0.0, *steps[1 + len(heads) :]]).tolist()
        tables = (dict(zip(heads, by_heads, strict=True)), dict(zip(neurons, by_neurons, strict=True)))
        return cls(float(steps[0]), *tables)

    def error(self, timed: Mapping[SubNet, float]) -> float:
        """The largest relative error over the networks ``timed``."""
        return max(abs(self.ms(subnet) / ms - 1) for subnet, ms in timed.items())

    def write(self, folder: Path, timed: Mapping[SubNet, float]) -> None:
        """Write it to ``folder``, with what it was fitted on."""
        tables = {"rest": self.rest, "heads": self.heads, "neurons": self.neurons}
        whole = [{"subnet": subnet.to_dict(), "ms": ms} for subnet, ms in timed.items()]
        (folder / TABLE).write_text(json.dumps({**tables, "timed": whole}, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> LayerTimes:
        """What :meth:`write` wrote."""
        found = json.loads((folder / TABLE).read_text())
        heads, neurons = ({int(size): ms for size, ms in found[unit].items()} for unit in ("heads", "neurons"))
        return cls(found["rest"], heads, neurons)


def as_timed(shape: EncoderShape) -> EncoderShape:
    """The sizes of the largest network that is timed for one of ``shape``: what hardly tells is small."""
    layers, tokens = min(LAYERS, shape.num_hidden_layers), min(TOKENS, shape.vocab_size)
    return replace(shape, num_hidden_layers=layers, vocab_size=tokens, num_labels=2)


def to_time(space: Space, layers: int) -> list[SubNet]:
    """The networks that a table of ``space`` is fitted on: of so many layers alike, and of one layer.

    Each number of heads with the most neurons, each number of neurons with the most heads, and the smallest.
    """
    most, least = (space.heads[-1], space.neurons[-1]), (space.heads[0], space.neurons[0])
    sizes = [(heads, most[1]) for heads in space.heads] + [(most[0], neurons) for neurons in space.neurons]
    deep = [SubNet((heads,) * layers, (neurons,) * layers) for heads, neurons in [*sizes, least]]
    return list(dict.fromkeys([*deep, *(SubNet((heads,), (neurons,)) for heads, neurons in (most, least))]))

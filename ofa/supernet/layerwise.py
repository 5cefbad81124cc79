"""Sub-networks whose layers differ: heads, neurons and the layers kept, drawn, changed and crossed at random.

The moves of a search (Cai et al. 2019, https://arxiv.org/abs/1908.09791) and what a step trains for it. Every function
is pure: what it returns is decided by its arguments and the generator's state, and is in the space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ofa.supernet.subnet import EncoderShape, SubNet

Layers = dict[int, tuple[int, int]]  # number of each kept layer -> its heads and neurons


@dataclass(frozen=True)
class Space:
    """All sub-networks between the smallest and the largest of a job, each layer with its own sizes.

    Attributes:
        heads, neurons: what a layer may keep, ascending; neurons by the share that one head is of all heads.
        layers: how many layers the supernet has.
        least_layers: how many a sub-network keeps at least.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    layers: int
    least_layers: int

    @classmethod
    def between(cls, subnets: Iterable[SubNet], shape: EncoderShape) -> Space:
        """The space that ``subnets``, uniform ones of ``shape``, are in, and no larger."""
        given = list(subnets)
        sizes = range(1, shape.num_attention_heads + 1)
        steps = map(shape.neurons_of, sizes)
        heads, neurons = (sorted(getattr(one, unit)[0] for one in given) for unit in ("heads", "neurons"))
        return cls(
            tuple(count for count in sizes if heads[0] <= count <= heads[-1]),
            tuple(dict.fromkeys(step for step in steps if neurons[0] <= step <= neurons[-1])),
            shape.num_hidden_layers,
            min(one.depth for one in given),
        )

    def __contains__(self, subnet: SubNet) -> bool:
        fits = self.least_layers <= subnet.depth and subnet.layers[-1] < self.layers
        return fits and set(subnet.heads) <= set(self.heads) and set(subnet.neurons) <= set(self.neurons)

    @property
    def smallest(self) -> SubNet:
        """One of the sub-networks that cost least."""
        return SubNet(self.heads[:1] * self.least_layers, self.neurons[:1] * self.least_layers)


def _layers(subnet: SubNet) -> Layers:
    return dict(zip(subnet.layers, zip(subnet.heads, subnet.neurons, strict=True), strict=True))


def _subnet(layers: Mapping[int, tuple[int, int]]) -> SubNet:
    kept = sorted(layers)
    heads, neurons = zip(*(layers[number] for number in kept), strict=True)
    return SubNet(heads, neurons, tuple(kept))


def _sizes(space: Space, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice(space.heads)), int(rng.choice(space.neurons))


def random_subnet(space: Space, rng: np.random.Generator) -> SubNet:
    """Any number of layers that the space allows, any of them, each with any sizes, all alike likely."""
    depth = rng.integers(space.least_layers, space.layers + 1)
    kept = rng.choice(space.layers, depth, replace=False)
    return _subnet({int(number): _sizes(space, rng) for number in kept})


def mutate(space: Space, subnet: SubNet, rng: np.random.Generator, rate: float = 0.15) -> SubNet:
    """``subnet`` with each of its choices drawn anew with probability ``rate``, and one of any layer, kept or not."""
    layers = _layers(subnet)
    forced = rng.integers(space.layers)
    for number in range(space.layers):
        anew = rng.random(3) < rate
        if number == forced:
            anew[rng.integers(2 if space.least_layers == space.layers else 3)] = True
        heads, neurons = _sizes(space, rng)
        if number in layers:
            layers[number] = (heads if anew[0] else layers[number][0], neurons if anew[1] else layers[number][1])
            if anew[2] and len(layers) > space.least_layers:
                del layers[number]
        elif anew[2]:
            layers[number] = heads, neurons
    return _subnet(layers)


def cross(space: Space, first: SubNet, second: SubNet, rng: np.random.Generator) -> SubNet:
    """Each layer, kept or not, as one of two sub-networks has it; too few kept ones are filled up from either."""
    parents = [_layers(first), _layers(second)]
    picks = rng.integers(2, size=space.layers)
    child = {number: parents[pick][number] for number, pick in enumerate(picks) if number in parents[pick]}
    missing = sorted({*parents[0], *parents[1]} - set(child))
    for number in rng.permutation(missing)[: max(0, space.least_layers - len(child))]:
        child[int(number)] = (parents[0] | parents[1])[int(number)]
    return _subnet(child)


def shrink(space: Space, subnet: SubNet, rng: np.random.Generator) -> SubNet:
    """``subnet`` with one choice, any, one step smaller; the same where it is the smallest already."""
    layers = _layers(subnet)
    options = [(number, unit) for number in sorted(layers) for unit in (0, 1)]
    options = [(n, unit) for n, unit in options if layers[n][unit] > (space.heads, space.neurons)[unit][0]]
    if len(layers) > space.least_layers:
        options += [(number, 2) for number in sorted(layers)]
    if not options:
        return subnet
    number, unit = options[rng.integers(len(options))]
    if unit == 2:
        del layers[number]
    else:
        sizes, choices = list(layers[number]), (space.heads, space.neurons)[unit]
        sizes[unit] = choices[choices.index(sizes[unit]) - 1]
        layers[number] = (sizes[0], sizes[1])
    return _subnet(layers)


def sample_layers(space: Space, largest: SubNet, smallest: SubNet, between: int, seed: int, step: int) -> list[SubNet]:
    """What one step trains for a search: ``largest``, ``between`` drawn from the space by (seed, step), ``smallest``.

    Each once, so that a job for one network trains that.
    """
    rng = np.random.default_rng([seed, step])
    return list(dict.fromkeys([largest, *(random_subnet(space, rng) for _ in range(between)), smallest]))


def by_importance(space: Space, heads: np.ndarray, neurons: np.ndarray, share: float) -> SubNet:
    """The sub-network of all layers that keeps the most important ``share`` of heads and of neurons, over all layers.

    The ranking across layers of TextPruner (Yang et al. 2022, https://arxiv.org/abs/2203.15996). A layer keeps the
    nearest size that the space has.

    Args:
        heads, neurons: scores ``[L, A]`` and ``[L, F]``, in any order within a layer.
    """
    sizes = []
    for scores, choices in ((heads, space.heads), (neurons, space.neurons)):
        kept = np.sort(scores, axis=None)[-max(1, round(share * scores.size)) :]
        counts = (scores >= kept[0]).sum(axis=1)
        sizes.append(tuple(_nearest(choices, count) for count in counts))
    return SubNet(sizes[0], sizes[1])


def _nearest(choices: tuple[int, ...], count: int) -> int:
    return min(choices, key=lambda size: abs(size - count))

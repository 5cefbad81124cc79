"""NSGA-II (Deb et al. 2002, https://doi.org/10.1109/4235.996017) over sub-networks: best scores at least costs.

A network that costs more than is allowed is shrunk at random until it does not, and so is never scored: scores are
what takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from ofa.supernet.layerwise import Space, cross, mutate, random_subnet, shrink
from ofa.supernet.subnet import SubNet

POPULATION, OFFSPRING = 40, 20
BARREN = 20  # generations in a row without a new network: there are no more


@dataclass(frozen=True)
class Scored:
    """A sub-network, its score (more is better), and its cost as a share of what is allowed."""

    subnet: SubNet
    score: float
    cost: float

    def dominates(self, other: Scored) -> bool:
        """Whether it is as good in both and better in one."""
        no_worse = self.score >= other.score and self.cost <= other.cost
        return no_worse and (self.score > other.score or self.cost < other.cost)


def fronts(scored: Sequence[Scored]) -> Iterator[list[Scored]]:
    """Networks that none dominates, then those that only these do, and so on; each from the cheapest to the best."""
    rest = sorted(scored, key=lambda one: (one.cost, -one.score))
    while rest:
        front, dominated = rest[:1], list[Scored]()
        for one in rest[1:]:  # costs as much as the last of the front, or more
            (dominated if front[-1].dominates(one) else front).append(one)
        yield front
        rest = dominated


def pareto(scored: Sequence[Scored]) -> list[Scored]:
    """The networks that none dominates, the best first; of equal ones the first."""
    unequal = {(one.score, one.cost): one for one in reversed(scored)}
    return next(fronts(list(unequal.values())), [])[::-1]


def crowding(front: Sequence[Scored]) -> dict[SubNet, float]:
    """How far apart a network's neighbours on the front are, in both directions; endless for the ends."""
    distance = dict.fromkeys((one.subnet for one in front), 0.0)
    for value in (attrgetter("score"), attrgetter("cost")):
        ordered = sorted(front, key=value)
        span = value(ordered[-1]) - value(ordered[0]) or 1.0
        for end in (ordered[0], ordered[-1]):
            distance[end.subnet] = float("inf")
        for below, one, above in zip(ordered, ordered[1:], ordered[2:], strict=False):
            distance[one.subnet] += (value(above) - value(below)) / span
    return distance


def search(
    space: Space,
    start: Sequence[SubNet],
    score: Callable[[SubNet], float],
    cost: Callable[[SubNet], float],
    evaluations: int,
    seed: int,
) -> list[Scored]:
    """Score up to ``evaluations`` networks of ``space`` whose cost is at most 1, and return all that were scored.

    Args:
        start: scored first, those that fit as they are, the others shrunk until they do. The smallest network of the
            space has to fit.
        score, cost: of a sub-network; ``score`` is asked once for each, ``cost`` often.
        seed: decides all draws, so that the same scores give the same search.
    """
    rng, found = np.random.default_rng(seed), dict[SubNet, Scored]()

    def offer(subnet: SubNet) -> None:
        while cost(subnet) > 1:
            subnet = shrink(space, subnet, rng)
        if subnet not in found and len(found) < evaluations:
            found[subnet] = Scored(subnet, score(subnet), cost(subnet))

    for subnet in sorted(start, key=lambda one: cost(one) > 1):
        offer(subnet)
    for _ in range(POPULATION - len(found)):
        offer(random_subnet(space, rng))
    barren = 0
    while len(found) < evaluations and barren < BARREN:
        before, parents = len(found), _fittest(list(found.values()))
        for _ in range(OFFSPRING):
            first, second = (_winner(parents, rng) for _ in range(2))
            offer(mutate(space, cross(space, first, second, rng), rng))
        barren = 0 if len(found) > before else barren + 1
    return list(found.values())


def _fittest(scored: Sequence[Scored]) -> list[SubNet]:
    """The population, of all that were ever scored: by front, then the least crowded; the fittest first."""
    found: list[SubNet] = []
    for front in fronts(scored):
        distance = crowding(front)
        found += sorted((one.subnet for one in front), key=lambda subnet: -distance[subnet])
        if len(found) >= POPULATION:
            break
    return found[:POPULATION]


def _winner(parents: Sequence[SubNet], rng: np.random.Generator) -> SubNet:
    """The fitter of two drawn at random."""
    return parents[int(rng.integers(len(parents), size=2).min())]

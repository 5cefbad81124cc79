from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.supernet.layerwise import Space
from ofa.supernet.nsga2 import Scored, crowding, fronts, pareto, search
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs

SHAPE = EncoderShape(6, 48, 12, 96)
FULL = SubNet.full(SHAPE)
SPACE = Space.between([FULL, SubNet.at(1 / 12, 0.5, SHAPE)], SHAPE)
UNIFORM = [SubNet.at(heads / 12, 1.0, SHAPE) for heads in range(1, 13)]
MATTERS = (9, 1, 1, 1, 5, 1)  # how much a head of each layer adds to the score


def score(subnet: SubNet) -> float:
    """Heads matter by layer, neurons little, and each further one less: nothing uniform is best."""
    heads = sum(MATTERS[n] * count**0.5 for n, count in zip(subnet.layers, subnet.heads, strict=True))
    return heads + 0.01 * sum(subnet.neurons)


def share_of(limit: float) -> Callable[[SubNet], float]:
    return lambda subnet: count_macs(SHAPE, subnet) / (limit * count_macs(SHAPE, FULL))


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20)


def networks(values: list[tuple[int, int]]) -> list[Scored]:
    return [Scored(SubNet((place + 1,), (1,)), *value) for place, value in enumerate(values)]


@given(points)
def test_fronts_peel_off_what_none_of_the_rest_dominates(values: list[tuple[int, int]]) -> None:
    scored = networks(values)
    found = list(fronts(scored))
    assert sorted(one.subnet.heads for front in found for one in front) == sorted(one.subnet.heads for one in scored)
    for place, front in enumerate(found):
        assert not any(a.dominates(b) for a in front for b in front)
        assert all(any(a.dominates(b) for a in found[place - 1]) for b in front) or place == 0


@given(points)
def test_the_pareto_front_loses_score_with_every_step_down_in_cost(values: list[tuple[int, int]]) -> None:
    front = pareto(networks(values))
    assert all(a.score > b.score and a.cost > b.cost for a, b in zip(front, front[1:], strict=False))
    assert front[0].score == max(score for score, _ in values)


def test_the_ends_of_a_front_and_the_lonely_are_the_least_crowded() -> None:
    front = networks([(0, 0), (1, 1), (2, 2), (6, 6), (10, 10)])
    far = crowding(front)
    assert far[front[0].subnet] == far[front[4].subnet] == float("inf")
    inner = [far[one.subnet] for one in front[1:4]]
    assert inner == pytest.approx([2 * (2 - 0) / 10, 2 * (6 - 1) / 10, 2 * (10 - 2) / 10]), "by score and by cost"
    assert crowding(networks([(3, 3), (3, 3)])), "no span to divide by"


def test_it_finds_better_networks_than_the_uniform_ones_and_never_worse() -> None:
    cost = share_of(0.6)
    found = search(SPACE, UNIFORM, score, cost, 300, seed=0)
    assert len(found) == len({one.subnet for one in found}) == 300
    assert all(one.cost <= 1 and one.subnet in SPACE and one.cost == cost(one.subnet) for one in found)
    fit = [one for one in UNIFORM if cost(one) <= 1]
    assert set(fit) <= {one.subnet for one in found}
    front = pareto(found)
    for one in fit:
        assert any(other.score >= score(one) and other.cost <= cost(one) for other in front)
    assert front[0].score > 1.1 * max(map(score, fit)) and len(front) >= 10
    best = front[0].subnet.by_layer()
    assert best[0]["heads"] > 9 and best[4]["heads"] > 9


def test_the_same_seed_finds_the_same_and_scores_each_network_once() -> None:
    asked: list[SubNet] = []

    def counting(subnet: SubNet) -> float:
        asked.append(subnet)
        return score(subnet)

    first = search(SPACE, UNIFORM, counting, share_of(0.5), 80, seed=1)
    assert [one.subnet for one in first] == asked and len(set(asked)) == 80
    assert first == search(SPACE, UNIFORM, score, share_of(0.5), 80, seed=1)
    assert first != search(SPACE, UNIFORM, score, share_of(0.5), 80, seed=2)


def test_a_small_space_is_exhausted() -> None:
    shape = EncoderShape(2, 48, 2, 96)
    space = Space.between([SubNet.full(shape), SubNet.at(0.5, 1.0, shape)], shape)
    found = search(space, [], lambda one: sum(one.heads), lambda one: 1.0, 300, seed=0)
    assert len(found) == 2**4


def test_a_limit_that_only_the_smallest_meets_gives_the_smallest() -> None:
    small = SPACE.smallest
    least = count_macs(SHAPE, small)
    found = search(SPACE, UNIFORM, score, lambda one: count_macs(SHAPE, one) / least, 50, seed=0)
    assert {(one.subnet.heads, one.subnet.neurons) for one in found} == {(small.heads, small.neurons)}

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.supernet.layerwise import Space, by_importance, cross, mutate, random_subnet, sample_layers, shrink
from ofa.supernet.space import networks
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs

SHAPE = EncoderShape(6, 48, 4, 64)
WIDE = Space.between([one.subnet for one in networks([1.0, 0.5], [1.0], SHAPE).values()], SHAPE)
DEEP = Space.between([one.subnet for one in networks([1.0, 0.25], [1.0, 0.5], SHAPE).values()], SHAPE)
FULL = SubNet.full(SHAPE)


def test_a_space_is_what_lies_between_the_networks_of_a_job() -> None:
    assert Space((2, 3, 4), (32, 48, 64), layers=6, least_layers=6) == WIDE
    assert Space((1, 2, 3, 4), (16, 32, 48, 64), layers=6, least_layers=3) == DEEP
    assert FULL in WIDE and WIDE.smallest == SubNet((2,) * 6, (32,) * 6)
    assert DEEP.smallest not in WIDE, "too few layers"
    assert SubNet((2,) * 5 + (1,), (32,) * 6) not in WIDE and SubNet((2,) * 6, (33,) * 6) not in WIDE
    assert SubNet((2,) * 3, (32,) * 3, (0, 1, 6)) not in DEEP, "a layer that is not there"


@pytest.mark.parametrize("widths", [[1.0, 5 / 6, 2 / 3, 1 / 2], [1.0, 1 / 12]])
def test_the_uniform_networks_of_a_job_are_in_its_space(widths: list[float]) -> None:
    shape = EncoderShape(12, 768, 12, 3071)
    found = [one.subnet for one in networks(widths, [1.0, 0.5], shape).values()]
    space = Space.between(found, shape)
    assert all(one in space for one in found)


@given(seed=st.integers(0, 2**32 - 1), space=st.sampled_from([WIDE, DEEP]))
def test_every_move_stays_in_the_space(seed: int, space: Space) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_subnet(space, rng), random_subnet(space, rng)
    child, changed, small = cross(space, a, b, rng), mutate(space, a, rng), shrink(space, a, rng)
    assert all(one in space for one in (a, b, child, changed, small))
    assert cross(space, a, a, rng) == a, "of two equal parents nothing new comes"
    parts = {**a.by_layer()}, {**b.by_layer()}
    assert all(sizes in (parts[0].get(n), parts[1].get(n)) for n, sizes in child.by_layer().items())


def test_moves_depend_on_the_generator_alone() -> None:
    def moves(seed: int) -> list[SubNet]:
        rng = np.random.default_rng(seed)
        first, second = random_subnet(DEEP, rng), random_subnet(DEEP, rng)
        return [first, second, mutate(DEEP, first, rng), cross(DEEP, first, second, rng), shrink(DEEP, first, rng)]

    assert moves(3) == moves(3) != moves(4)


def test_draws_reach_every_size_and_every_layer() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_subnet(DEEP, rng) for _ in range(300)]
    assert {size for one in drawn for size in one.heads} == set(DEEP.heads)
    assert {size for one in drawn for size in one.neurons} == set(DEEP.neurons)
    assert {one.depth for one in drawn} == {3, 4, 5, 6}
    assert {n for one in drawn if one.depth == 3 for n in one.layers} == set(range(6))
    assert any(len(set(one.heads)) > 1 for one in drawn)


def test_the_networks_of_a_job_are_in_its_space_whatever_is_rounded() -> None:
    """0.7 of 45 neurons is 31.5, which binary fractions miss."""
    shape = EncoderShape(3, 80, 10, 45)
    given = [SubNet.at(width, 1.0, shape) for width in (1.0, 0.7, 0.3)]
    assert all(one in Space.between(given, shape) for one in given)


def test_mutation_changes_little_and_can_change_the_layers() -> None:
    rng = np.random.default_rng(0)
    start = SubNet((2,) * 5, (32,) * 5, (0, 1, 2, 4, 5))
    found = [mutate(DEEP, start, rng, rate=0) for _ in range(200)]
    apart = [len(set(one.by_layer()) ^ set(start.by_layer())) for one in found]
    assert {0, 1} == set(apart), "one choice at most, and that may be a layer"
    assert {one.depth for one in found} == {4, 5, 6}


def test_shrinking_ends_at_the_smallest_a_step_at_a_time() -> None:
    rng, subnet, seen = np.random.default_rng(1), FULL, []
    while (smaller := shrink(DEEP, subnet, rng)) != subnet:
        assert count_macs(SHAPE, smaller) < count_macs(SHAPE, subnet)
        subnet = smaller
        seen.append(subnet)
    assert subnet.depth == 3 and set(subnet.heads) == {1} and set(subnet.neurons) == {16} and len(seen) > 18


def test_a_step_trains_the_ends_and_draws_per_layer_from_seed_and_step_alone() -> None:
    steps = [sample_layers(WIDE, FULL, WIDE.smallest, 2, seed=5, step=step) for step in range(50)]
    assert all(found[0] == FULL and found[-1] == WIDE.smallest and len(found) == 4 for found in steps)
    assert steps[7] == sample_layers(WIDE, FULL, WIDE.smallest, 2, seed=5, step=7)
    assert steps[7] != steps[8] and steps[7] != sample_layers(WIDE, FULL, WIDE.smallest, 2, seed=6, step=7)
    assert len({one for found in steps for one in found[1:-1]}) > 90
    assert all(one in WIDE for found in steps for one in found)


def test_the_ranking_over_all_layers_keeps_more_where_more_matters() -> None:
    rng = np.random.default_rng(0)
    heads, neurons = rng.random((6, 4)), rng.random((6, 64))
    assert by_importance(WIDE, heads, neurons, 1.0) == FULL
    heads[0] += 10
    neurons[5] += 10
    found = by_importance(WIDE, heads, neurons, 0.5)
    assert found in WIDE and found.heads[0] == 4 and found.neurons[5] == 64
    assert max(found.heads[1:]) < 4 and max(found.neurons[:5]) < 64

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ofa.supernet.layer_times import LAYERS, TOKENS, LayerTimes, as_timed, to_time
from ofa.supernet.layerwise import Space, random_subnet
from ofa.supernet.subnet import EncoderShape, SubNet

SHAPE = EncoderShape(6, 384, 12, 1536)
SPACE = Space.between([SubNet.full(SHAPE), SubNet.at(0.25, 0.5, SHAPE)], SHAPE)
TRUE = LayerTimes(
    0.7,
    {heads: 0.5 + 0.1 * heads + 0.2 * (heads > 8) for heads in SPACE.heads},  # a step where a cache is full
    {neurons: 0.001 * (neurons - SPACE.neurons[0]) for neurons in SPACE.neurons},
)


def timed(noise: float = 0.0) -> dict[SubNet, float]:
    rng = np.random.default_rng(0)
    return {subnet: TRUE.ms(subnet) * (1 + noise * rng.standard_normal()) for subnet in to_time(SPACE, LAYERS)}


def test_networks_that_were_not_timed_take_what_their_layers_add_up_to() -> None:
    found, rng = LayerTimes.fit(timed()), np.random.default_rng(1)
    assert found.error(timed()) < 1e-9 and found.rest == pytest.approx(0.7)
    for subnet in [SubNet.full(SHAPE), SPACE.smallest, *(random_subnet(SPACE, rng) for _ in range(20))]:
        assert found.ms(subnet) == pytest.approx(TRUE.ms(subnet))


def test_on_a_busy_machine_the_smallest_network_is_still_the_fastest() -> None:
    found = LayerTimes.fit(timed(noise=0.3))
    assert found.error(timed(noise=0.3)) > 0.05
    for table in (found.heads, found.neurons):
        assert list(table.values()) == sorted(table.values()) and min(table.values()) >= 0
    rng = np.random.default_rng(1)
    assert found.ms(SPACE.smallest) <= min(found.ms(random_subnet(SPACE, rng)) for _ in range(50))


def test_a_table_is_what_was_written(tmp_path: Path) -> None:
    found = LayerTimes.fit(timed(noise=0.1))
    found.write(tmp_path, timed(noise=0.1))
    assert LayerTimes.read(tmp_path) == found


def test_every_size_of_the_space_is_timed_and_a_network_of_one_layer() -> None:
    networks = to_time(SPACE, LAYERS)
    assert {heads for one in networks for heads in one.heads} == set(SPACE.heads)
    assert {neurons for one in networks for neurons in one.neurons} == set(SPACE.neurons)
    assert len(set(networks)) == len(networks) == len(SPACE.heads) + len(SPACE.neurons) - 1 + 1 + 2
    assert {one.depth for one in networks} == {1, LAYERS}
    one_layer = to_time(SPACE, 1)
    LayerTimes.fit({subnet: 1.0 + sum(subnet.heads) for subnet in one_layer})  # of which nothing is told apart


def test_networks_are_timed_at_sizes_that_other_tasks_have_too() -> None:
    other = EncoderShape(12, 384, 12, 1536, vocab_size=21128, num_labels=15)
    assert as_timed(SHAPE) == as_timed(other) != as_timed(EncoderShape(6, 768, 12, 3072))
    assert (as_timed(SHAPE).num_hidden_layers, as_timed(SHAPE).vocab_size) == (LAYERS, TOKENS)
    small = EncoderShape(2, 384, 12, 1536, vocab_size=100)
    assert (as_timed(small).num_hidden_layers, as_timed(small).vocab_size) == (2, 100)

"""The sub-networks of a job: their names, and which of them a step trains."""

import pytest

from ofa.errors import UserError
from ofa.supernet.space import grid_problems, name_of, networks, sample
from ofa.supernet.subnet import EncoderShape, SubNet

SHAPE = EncoderShape(12, 768, 12, 3072)
TWELVE = {f"n{k}": k for k in range(1, 13)}


@pytest.mark.parametrize(
    ("width", "depth", "name"),
    [(1.0, 1.0, "w1"), (2 / 3, 1.0, "w0.6667"), (0.75, 0.5, "w0.75-d0.5"), (1, 0.75, "w1-d0.75")],
)
def test_names(width, depth, name):
    assert name_of(width, depth) == name


def test_the_networks_of_a_job_by_name_in_the_order_of_the_settings():
    found = networks([0.5, 1.0, 0.75], [1.0], SHAPE)
    assert list(found) == ["w0.5", "w1", "w0.75"]
    assert found["w0.75"].subnet == SubNet((9,) * 12, (2304,) * 12)
    assert [(network.width, network.depth) for network in found.values()] == [(0.5, 1.0), (1.0, 1.0), (0.75, 1.0)]
    deep = networks([1.0, 0.5], [1.0, 0.5], SHAPE)
    assert list(deep) == ["w1", "w0.5", "w1-d0.5", "w0.5-d0.5"]
    assert deep["w0.5-d0.5"].subnet == SubNet((6,) * 6, (1536,) * 6, (1, 3, 5, 7, 9, 11))
    with pytest.raises(UserError, match="ofa.widths: 0.7 of 12 heads is 8.4 heads"):
        networks([1.0, 0.7], [1.0], SHAPE)


@pytest.mark.parametrize(
    ("widths", "depths", "words"),
    [
        (
            [1.0],
            [1.0, 0.7],
            "ofa.depths: 0.7 of 12 layers is 8.4 layers, not a whole number; near it: 0.6667 (8 layers)",
        ),
        ([1.0, 0.5], [0.75, 0.5], "ofa.depths: [0.75, 0.5] lacks 1.0, the full network that the others are cut from"),
        ([0.5], [1.0, 0.5], "ofa.widths: [0.5] lacks 1.0"),
        ([1.0], [0.75, 0.5], "ofa.depths: [0.75, 0.5] lacks 1.0"),
        ([1.0], [], "ofa.depths: [] lacks 1.0"),
        ([1.0], [1.0, 0.5, 0.5], "ofa.depths: 0.5, 0.5 all keep 6 of 12 layers; allowed: each sub-network once"),
        ([1.0], [1.0, 2.0], "ofa.depths: 2 is outside (0, 1]"),
    ],
)
def test_grids_that_cannot_be(widths, depths, words):
    (found,) = grid_problems(widths, depths, 12, 12)
    assert found.startswith(words)


def test_a_model_of_one_layer_has_no_depths():
    assert list(grid_problems([1.0], [1.0, 0.5], 12, 1)) == [
        "ofa.depths: [1.0, 0.5], but the model has one layer; allowed: [1.0]"
    ]
    assert not list(grid_problems([1.0, 0.5], [1.0], 12, 1))


@pytest.mark.parametrize(("width", "depth"), [(0.5, 1.0), (1.0, 0.5), (0.25, 0.75)])
def test_one_target_needs_no_full_network_beside_it(width, depth):
    assert not list(grid_problems([width], [depth], 12, 12))


def test_sandwich_takes_the_ends_and_draws_between():
    drawn = [sample(TWELVE, "sandwich", 2, seed=3, step=step) for step in range(200)]
    assert all(len(set(found)) == 4 and found[0] == "n12" and found[-1] == "n1" for found in drawn)
    assert all(
        [TWELVE[name] for name in found] == sorted((TWELVE[name] for name in found), reverse=True) for found in drawn
    )
    assert {name for found in drawn for name in found} == set(TWELVE), "every one gets its turn"
    assert drawn[7] == sample(TWELVE, "sandwich", 2, seed=3, step=7)
    assert drawn != [sample(TWELVE, "sandwich", 2, seed=4, step=step) for step in range(200)]


def test_short_lists_are_trained_whole_and_in_their_own_order():
    assert sample({"a": 5, "b": 9, "c": 7}, "sandwich", 2, 0, 0) == ["a", "b", "c"]
    assert sample(TWELVE, "all", 2, 0, 0) == list(TWELVE)


DRAWN = [["n11", "n4"], ["n6", "n4"], ["n11", "n8"]]  # at 4729b7d


def test_the_draws_are_those_of_earlier_versions():
    """A store's checkpoints go on with the same sub-networks."""
    assert [sample(TWELVE, "sandwich", 2, seed=42, step=step)[1:3] for step in (0, 1, 999)] == DRAWN

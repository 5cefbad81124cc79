import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.errors import UserError
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params, depth_problem, uniform, width_problem

BASE = EncoderShape(12, 768, 12, 3072)


def test_width_three_quarters_of_bert_base():
    subnet = SubNet.at(0.75, 1.0, BASE)
    assert (subnet.heads, subnet.neurons, subnet.depth) == ((9,) * 12, (2304,) * 12, 12)


@pytest.mark.parametrize("typed", [5 / 6, 0.8333, 0.83333333])
def test_a_width_typed_short_means_the_nearest_fraction(typed):
    assert SubNet.at(typed, 1.0, BASE) == SubNet((10,) * 12, (2560,) * 12)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (0.7, "0.7 of 12 heads is 8.4 heads, not a whole number; near it: 0.6667 (8 heads) and 0.75 (9 heads)"),
        (0.01, "near it: 0.08333 (1 heads)"),
        (0, "0 is outside (0, 1]"),
        (-1, "-1 is outside (0, 1]"),
        (1.5, "1.5 is outside (0, 1]"),
        (float("nan"), "nan is outside (0, 1]"),
    ],
)
def test_an_impossible_width_is_refused_with_its_neighbours(width, words):
    with pytest.raises(UserError, match="ofa.widths") as error:
        SubNet.at(width, 1.0, BASE)
    assert words in str(error.value)
    assert width_problem(width, 12) == str(error.value)


def test_parameters_of_bert_base_and_of_width_two_thirds():
    # The published recipe: 110M -> 81M, 26% fewer.
    full, narrow = count_params(BASE), count_params(BASE, SubNet.at(2 / 3, 1.0, BASE))
    assert full == 109_483_778  # bert-base-uncased with two labels
    assert round(narrow / 1e6) == 81
    assert round(1 - narrow / full, 2) == 0.26


def test_macs_of_bert_base():
    # 22.35 GFLOP is one sequence of 128 tokens (shared latency notes, NVIDIA's figure).
    assert round(2 * count_macs(BASE, seq_length=128) / 1e9, 2) == 22.35


def test_counts_differ_per_layer():
    mixed = SubNet((12, 6) * 6, (3072, 1536) * 6)
    between = count_params(BASE, SubNet.at(0.5, 1.0, BASE)) + count_params(BASE)
    assert 2 * count_params(BASE, mixed) == between
    assert uniform(mixed.heads) == [12, 6] * 6
    assert SubNet.from_dict(mixed.to_dict()) == mixed


@pytest.mark.parametrize(("heads", "neurons"), [((), ()), ((1, 1), (1,)), ((0,), (4,)), ((1,), (0,))])
def test_a_sub_network_keeps_something_in_every_layer(heads, neurons):
    with pytest.raises(ValueError, match="SubNet"):
        SubNet(heads, neurons)


@pytest.mark.parametrize(
    ("depth", "layers"),
    [
        (0.75, (0, 1, 3, 4, 5, 7, 8, 9, 11)),  # as PaddleNLP's run_glue_ofa_depth.py
        (0.5, (1, 3, 5, 7, 9, 11)),
        (0.3333, (2, 5, 8, 11)),
        (1 / 12, (11,)),
        (1.0, tuple(range(12))),
    ],
)
def test_a_depth_leaves_layers_out_evenly_and_keeps_the_last(depth, layers):
    subnet = SubNet.at(0.5, depth, BASE)
    assert subnet == SubNet((6,) * len(layers), (1536,) * len(layers), layers)


def test_an_impossible_depth_is_refused_with_its_neighbours():
    with pytest.raises(UserError) as error:
        SubNet.at(0.75, 0.7, BASE)
    assert str(error.value) == depth_problem(0.7, 12)
    assert str(error.value).startswith("ofa.depths: 0.7 of 12 layers is 8.4 layers, not a whole number; near it: ")
    assert str(error.value).endswith("0.6667 (8 layers) and 0.75 (9 layers)")


SHARES = st.floats(-0.5, 1.5) | st.builds(lambda k, n: min(k, n) / n, st.integers(1, 64), st.integers(1, 64))


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 5000), SHARES, SHARES)
def test_a_share_is_taken_or_refused_with_neighbours_that_are(heads, layers, neurons, width, depth):
    shape = EncoderShape(layers, 8 * heads, heads, neurons)
    problems = [width_problem(width, heads), depth_problem(depth, layers)]
    for problem, accepts, count in zip(problems, (width_problem, depth_problem), (heads, layers), strict=True):
        near = re.findall(r"([\d.e-]+) \(\d+ (?:heads|layers)\)", problem or "")
        assert all(accepts(float(printed), count) is None for printed in near)
        assert near or not problem or "outside (0, 1]" in problem
    if any(problems):
        with pytest.raises(UserError):
            SubNet.at(width, depth, shape)
        return
    subnet, whole = SubNet.at(width, depth, shape), SubNet.full(shape)
    assert subnet.fits(whole) and subnet.layers[-1] == layers - 1
    assert (subnet.depth, subnet.heads[0]) == (round(depth * layers), round(width * heads))
    assert SubNet.from_dict(subnet.to_dict()) == subnet
    assert count_params(shape, subnet) <= count_params(shape, whole)
    assert count_macs(shape, subnet) <= count_macs(shape, whole)


@given(st.data())
def test_any_sub_network_fits_itself_and_costs_more_with_one_part_more(data):
    shape = EncoderShape(6, 48, 6, 60)
    layers = sorted(data.draw(st.sets(st.integers(0, 5), min_size=1)))
    heads, neurons = (
        data.draw(st.lists(st.integers(1, most - 1), min_size=len(layers), max_size=len(layers)).map(tuple))
        for most in (6, 60)
    )
    subnet = SubNet(heads, neurons, tuple(layers))
    assert SubNet.from_dict(subnet.to_dict()) == subnet and subnet.fits(subnet) and subnet.fits(SubNet.full(shape))
    assert list(subnet.by_layer()) == layers
    at = data.draw(st.integers(0, len(layers) - 1))
    for more in (
        SubNet((*heads[:at], heads[at] + 1, *heads[at + 1 :]), neurons, subnet.layers),
        SubNet(heads, (*neurons[:at], neurons[at] + 1, *neurons[at + 1 :]), subnet.layers),
    ):
        assert subnet.fits(more) and not more.fits(subnet)
        assert count_params(shape, more) > count_params(shape, subnet)
        assert count_macs(shape, more) > count_macs(shape, subnet)


def test_as_json_only_layers_left_out_are_named():
    assert SubNet((3, 2), (8, 9)).to_dict() == {"heads": [3, 2], "neurons": [8, 9]}
    assert SubNet((3, 2), (8, 9), (0, 4)).to_dict() == {"heads": [3, 2], "neurons": [8, 9], "layers": [0, 4]}


@pytest.mark.parametrize("layers", [(1, 0), (0, 0), (-1, 0), (0,), (0, 1, 2)])
def test_layers_stand_once_and_in_order(layers):
    with pytest.raises(ValueError, match="SubNet"):
        SubNet((3, 2), (8, 9), layers)


@pytest.mark.parametrize("values", [{"heads": [2.0]}, {"heads": [True]}, {"heads": ["2"]}, {"layers": [0.0]}])
def test_json_that_counts_in_anything_but_whole_numbers_is_no_sub_network(values):
    with pytest.raises(ValueError, match="whole numbers"):
        SubNet.from_dict({"heads": [2], "neurons": [4], **values})

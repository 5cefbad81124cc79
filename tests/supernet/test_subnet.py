import pytest

from ofa.errors import UserError
from ofa.supernet.subnet import BertShape, SubNet, count_macs, count_params, uniform, width_problem

BASE = BertShape(12, 768, 12, 3072)


def test_width_three_quarters_of_bert_base():
    subnet = SubNet.at_width(0.75, BASE)
    assert (subnet.heads, subnet.neurons, subnet.depth) == ((9,) * 12, (2304,) * 12, 12)


@pytest.mark.parametrize("typed", [5 / 6, 0.8333, 0.83333333])
def test_a_width_typed_short_means_the_nearest_fraction(typed):
    assert SubNet.at_width(typed, BASE) == SubNet((10,) * 12, (2560,) * 12)


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
        SubNet.at_width(width, BASE)
    assert words in str(error.value)
    assert width_problem(width, 12) == str(error.value)


def test_parameters_of_bert_base_and_of_width_two_thirds():
    # The published recipe: 110M -> 81M, 26% fewer.
    full, narrow = count_params(BASE), count_params(BASE, SubNet.at_width(2 / 3, BASE))
    assert full == 109_483_778  # bert-base-uncased with two labels
    assert round(narrow / 1e6) == 81
    assert round(1 - narrow / full, 2) == 0.26


def test_macs_of_bert_base():
    # 22.35 GFLOP is one sequence of 128 tokens (shared latency notes, NVIDIA's figure).
    assert round(2 * count_macs(BASE, seq_length=128) / 1e9, 2) == 22.35


def test_counts_differ_per_layer():
    mixed = SubNet((12, 6) * 6, (3072, 1536) * 6)
    between = count_params(BASE, SubNet.at_width(0.5, BASE)) + count_params(BASE)
    assert 2 * count_params(BASE, mixed) == between
    assert uniform(mixed.heads) == [12, 6] * 6
    assert SubNet.from_dict(mixed.to_dict()) == mixed


@pytest.mark.parametrize(("heads", "neurons"), [((), ()), ((1, 1), (1,)), ((0,), (4,)), ((1,), (0,))])
def test_a_sub_network_keeps_something_in_every_layer(heads, neurons):
    with pytest.raises(ValueError, match="SubNet"):
        SubNet(heads, neurons)

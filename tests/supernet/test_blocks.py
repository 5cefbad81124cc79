"""The contract of a block, for every cut of the table."""

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.blocks import blocks
from ofa.supernet.cuts import CUTS, UNITS
from ofa.supernet.reorder import reorder
from ofa.supernet.subnet import SubNet

MIXED = SubNet((3, 1, 2), (40, 7, 33))


def inside(cut, block, count):
    """Index of the leading ``count`` heads or neurons in the weight of ``cut``, and their rows or columns."""
    width = count * block.size(cut.unit)
    return (np.s_[:width] if cut.axis == 0 else np.s_[:, :width]), width


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.part)
def test_a_cut_is_a_slice_of_one_axis_of_one_linear(toy, tokens, cut):
    whole = {n: block.linear(cut).weight.numpy() for n, block in enumerate(blocks(toy))}
    biases = {n: block.linear(cut).bias.numpy() for n, block in enumerate(blocks(toy))}
    elastic.make_elastic(toy)
    elastic.select(toy, MIXED)
    shapes = {}
    for n, block in enumerate(blocks(toy)):
        count = block.most(cut.unit)
        assert count == {"heads": TOY.num_attention_heads, "neurons": TOY.intermediate_size}[cut.unit]
        assert inside(cut, block, count)[1] == whole[n].shape[cut.axis], "the full size is the whole axis"
        block.linear(cut).register_forward_post_hook(
            lambda _, inputs, output, n=n: shapes.update({n: (inputs[0].shape[-1], output.shape[-1])})
        )
    models.forward(toy, *tokens)[0].square().sum().backward()
    network = elastic.extract(toy, MIXED)
    for n, sizes in MIXED.by_layer().items():
        block, linear = blocks(toy)[n], blocks(toy)[n].linear(cut)
        index, width = inside(cut, block, sizes[cut.unit])
        assert shapes[n][cut.axis] == width, "it reads or writes as much as is selected"
        assert linear.weight.grad.numpy()[index].any()
        outside = linear.weight.grad.numpy()
        outside[index] = 0
        assert not outside.any(), "no gradient outside the slice"
        if cut.axis == 1:
            assert linear.bias.grad.numpy()[:width].any() and not linear.bias.grad.numpy()[width:].any()
        extracted = blocks(network)[n].linear(cut)
        assert type(extracted) is paddle.nn.Linear
        np.testing.assert_array_equal(extracted.weight.numpy(), whole[n][index])
        np.testing.assert_array_equal(extracted.bias.numpy(), biases[n][:width] if cut.axis == 1 else biases[n])


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.part)
def test_a_permutation_moves_whole_heads_and_neurons_and_back(toy, cut):
    rng = np.random.default_rng(0)
    orders = {unit: [rng.permutation(block.most(unit)) for block in blocks(toy)] for unit in UNITS}
    before = [block.linear(cut).weight.numpy() for block in blocks(toy)]
    reorder(toy, *(np.stack(orders[unit]) for unit in UNITS))
    for n, block in enumerate(blocks(toy)):
        size, axis = block.size(cut.unit), cut.axis
        moved = np.split(block.linear(cut).weight.numpy(), block.most(cut.unit), axis=axis)
        parts = np.split(before[n], block.most(cut.unit), axis=axis)
        assert parts[0].shape[axis] == size
        assert all((part == parts[old]).all() for part, old in zip(moved, orders[cut.unit][n], strict=True))
    reorder(toy, *(np.argsort(np.stack(orders[unit]), axis=1) for unit in UNITS))
    assert all((block.linear(cut).weight.numpy() == old).all() for block, old in zip(blocks(toy), before, strict=True))


def test_every_linear_of_a_block_is_cut(toy):
    for block in blocks(toy):
        linears = {name for name, layer in block.layer.named_sublayers() if isinstance(layer, paddle.nn.Linear)}
        assert linears == {cut.part for cut in CUTS}

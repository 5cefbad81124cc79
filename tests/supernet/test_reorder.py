import numpy as np
from helpers.toys import TOY, noisy
from hypothesis import given
from hypothesis import strategies as st

from ofa.model import network as models
from ofa.supernet.reorder import descending, reorder

LAYERS, HEADS, NEURONS = TOY.num_hidden_layers, TOY.num_attention_heads, TOY.intermediate_size


def orders(count):
    """For each layer an order of ``count`` heads or neurons: ``[L, count]``."""
    return st.lists(st.permutations(range(count)), min_size=LAYERS, max_size=LAYERS).map(np.array)


def weights(model):
    return {key: value.numpy() for key, value in model.state_dict().items()}


def same(one, other):
    return all((value == other[key]).all() for key, value in one.items())


def compose(first, second):
    """The one order that does what ``first`` and then ``second`` do."""
    return np.take_along_axis(first, second, axis=1)


@given(orders(HEADS), orders(NEURONS), orders(HEADS), orders(NEURONS))
def test_orders_undo_and_compose(heads, neurons, more_heads, more_neurons):
    toy = noisy(models.build(TOY, dropout=0.0))
    before = weights(toy)
    reorder(toy, heads, neurons)
    reorder(toy, more_heads, more_neurons)
    twice = weights(toy)
    reorder(toy, np.argsort(more_heads), np.argsort(more_neurons))
    reorder(toy, np.argsort(heads), np.argsort(neurons))
    assert same(weights(toy), before), "the inverse restores the bits"
    reorder(toy, compose(heads, more_heads), compose(neurons, more_neurons))
    assert same(weights(toy), twice)


def test_3_reordering_preserves_the_logits_and_moves_weights(toy, tokens):
    before = models.forward(toy, *tokens)[0].numpy()
    rng = np.random.default_rng(0)
    heads = np.stack([rng.permutation(TOY.num_attention_heads) for _ in range(3)])
    neurons = np.stack([rng.permutation(TOY.intermediate_size) for _ in range(3)])
    first = toy.bert.encoder.layers[0]
    moved = {
        "q": first.self_attn.q_proj.weight,
        "out": first.self_attn.out_proj.weight,
        "linear1": first.linear1.weight,
        "linear2": first.linear2.weight,
    }
    old = {key: value.numpy() for key, value in moved.items()}
    reorder(toy, heads, neurons)
    np.testing.assert_allclose(models.forward(toy, *tokens)[0].numpy(), before, atol=1e-5)
    assert all(np.abs(value.numpy() - old[key]).max() > 1e-3 for key, value in moved.items())
    size = TOY.head_size
    np.testing.assert_array_equal(moved["q"].numpy()[:, :size], old["q"][:, heads[0, 0] * size :][:, :size])
    np.testing.assert_array_equal(moved["linear2"].numpy()[0], old["linear2"][neurons[0, 0]])


def test_descending_puts_the_highest_first_and_keeps_ties():
    assert descending(np.array([[1.0, 3.0, 2.0, 3.0]])).tolist() == [[1, 3, 2, 0]]

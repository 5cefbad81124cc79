import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet.importance import importance, random_scores
from ofa.supernet.reorder import descending, reorder


def loss_of(model, batch):
    input_ids, token_type_ids, labels = batch
    return paddle.nn.functional.cross_entropy(models.forward(model, input_ids, token_type_ids)[0], labels)


def make_batches(count, seed=1):
    paddle.seed(seed)
    return [
        (
            paddle.randint(5, TOY.vocab_size, [4, 6 + i]),
            paddle.zeros([4, 6 + i], dtype="int64"),
            paddle.randint(0, 3, [4]),
        )
        for i in range(count)
    ]


def test_7_importance_of_batches_is_the_sum_of_single_ones(toy):
    batches = make_batches(3)
    heads, neurons = importance(toy, batches, loss_of)
    singles = [importance(toy, [batch], loss_of) for batch in batches]
    assert heads.shape == (3, 4) and neurons.shape == (3, 64)
    np.testing.assert_allclose(heads, sum(single[0] for single in singles), rtol=1e-5)
    np.testing.assert_allclose(neurons, sum(single[1] for single in singles), rtol=1e-5)


def slope(model, batch, parameters):
    """Derivative of the loss by the scale of ``parameters``, (parameter, slice) pairs, by central differences."""
    before, step, losses = [parameter.numpy() for parameter, _ in parameters], 1e-3, []
    for sign in (1, -1):
        for (parameter, part), old in zip(parameters, before, strict=True):
            scaled = old.copy()
            scaled[part] *= 1 + sign * step
            parameter.set_value(scaled)
        losses.append(float(loss_of(model, batch)))
    for (parameter, _), old in zip(parameters, before, strict=True):
        parameter.set_value(old)
    return (losses[0] - losses[1]) / (2 * step)


def test_7_importance_is_the_derivative_of_the_loss_by_a_part_s_scale(toy):
    """Each head's way out and each neuron's two ways are scaled a little, by hand, in double precision."""
    toy.to(dtype="float64")
    batch, size, opposite = make_batches(1)[0], TOY.head_size, 0
    for block in toy.bert.encoder.layers:
        block.linear1.bias.set_value(block.linear1.bias - 1.5)  # GELU falls there: what enters counters what leaves
    heads, neurons = importance(toy, [batch], loss_of)
    for layer, block in enumerate(toy.bert.encoder.layers):
        out = block.self_attn.out_proj.weight
        expected = [abs(slope(toy, batch, [(out, slice(h * size, (h + 1) * size))])) for h in range(len(heads[layer]))]
        np.testing.assert_allclose(heads[layer], expected, rtol=0.01)
        for neuron in range(0, TOY.intermediate_size, 9):
            column = [(block.linear1.weight, np.s_[:, neuron]), (block.linear1.bias, neuron)]
            entering, leaving = slope(toy, batch, column), slope(toy, batch, [(block.linear2.weight, neuron)])
            assert neurons[layer, neuron] == pytest.approx(abs(entering) + abs(leaving), rel=0.01)
            opposite += entering * leaving < 0
    assert opposite > 5, "or a score of |entering + leaving| would pass as well"


def test_importance_leaves_no_trace(toy, tokens):
    before = models.forward(toy, *tokens)[0].numpy()
    toy.train()
    importance(toy, make_batches(1), loss_of)
    assert toy.training and all(p.grad is None or not p.grad.numpy().any() for p in toy.parameters())
    toy.eval()
    assert (models.forward(toy, *tokens)[0].numpy() == before).all()


def test_the_important_heads_lead_after_reordering(toy):
    batches = make_batches(2)
    heads, neurons = importance(toy, batches, loss_of)
    reorder(toy, descending(heads), descending(neurons))
    again, neurons_again = importance(toy, batches, loss_of)
    np.testing.assert_allclose(again, -np.sort(-heads, axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(neurons_again, -np.sort(-neurons, axis=1), rtol=1e-3, atol=1e-5)


def test_random_scores_come_from_the_seed_and_order_every_layer_by_itself(toy):
    heads, neurons = random_scores(toy, seed=1)
    assert heads.shape == (3, 4) and neurons.shape == (3, 64)
    np.testing.assert_array_equal(neurons, random_scores(toy, seed=1)[1])
    assert (neurons != random_scores(toy, seed=2)[1]).all()
    orders = descending(neurons)
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(64))} and len(
        {tuple(order) for order in orders}
    ) == 3

import numpy as np
import paddle
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet.importance import importance
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


def test_7_importance_of_batches_is_the_sum_of_single_ones(toy):
    batches = make_batches(3)
    heads, neurons = importance(toy, batches, loss_of)
    singles = [importance(toy, [batch], loss_of) for batch in batches]
    assert heads.shape == (3, 4) and neurons.shape == (3, 64)
    np.testing.assert_allclose(heads, sum(single[0] for single in singles), rtol=1e-5)
    np.testing.assert_allclose(neurons, sum(single[1] for single in singles), rtol=1e-5)


def test_7_importance_is_the_loss_derivative_of_a_mask(toy):
    """A naive loop: scale one head's (one neuron's) way out, and difference the loss."""
    batch = make_batches(1)[0]
    heads, neurons = importance(toy, [batch], loss_of)

    def slope(weight, rows):
        old, step, losses = weight.numpy(), 1e-2, []
        for sign in (1, -1):
            scaled = old.copy()
            scaled[rows] *= 1 + sign * step
            weight.set_value(scaled)
            losses.append(float(loss_of(toy, batch)))
        weight.set_value(old)
        return (losses[0] - losses[1]) / (2 * step)

    size = TOY.head_size
    for layer, block in enumerate(toy.bert.encoder.layers):
        for head in range(TOY.num_attention_heads):
            naive = slope(block.self_attn.out_proj.weight, slice(head * size, (head + 1) * size))
            assert abs(abs(naive) - heads[layer, head]) < 2e-3 * max(1.0, heads.max())
    out = toy.bert.encoder.layers[1].linear2.weight
    into = toy.bert.encoder.layers[1].linear1
    for neuron in range(0, 64, 9):
        toy.clear_gradients()
        loss_of(toy, batch).backward()
        entering = (into.weight.grad * into.weight).sum(0)[neuron] + (into.bias.grad * into.bias)[neuron]
        expected = abs(slope(out, neuron)) + abs(float(entering))
        assert abs(expected - neurons[1, neuron]) < 2e-3 * max(1.0, neurons.max())


def test_importance_leaves_no_trace(toy, tokens):
    before = models.forward(toy, *tokens)[0].numpy()
    toy.train()
    importance(toy, make_batches(1), loss_of)
    assert toy.training and all(p.grad is None or not p.grad.numpy().any() for p in toy.parameters())
    toy.eval()
    assert (models.forward(toy, *tokens)[0].numpy() == before).all()


def test_descending_puts_the_highest_first_and_keeps_ties():
    assert descending(np.array([[1.0, 3.0, 2.0, 3.0]])).tolist() == [[1, 3, 2, 0]]


def test_the_important_heads_lead_after_reordering(toy):
    batches = make_batches(2)
    heads, neurons = importance(toy, batches, loss_of)
    reorder(toy, descending(heads), descending(neurons))
    again, neurons_again = importance(toy, batches, loss_of)
    np.testing.assert_allclose(again, -np.sort(-heads, axis=1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(neurons_again, -np.sort(-neurons, axis=1), rtol=1e-3, atol=1e-5)

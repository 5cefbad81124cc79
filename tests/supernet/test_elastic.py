"""The invariants of the supernet, one test each (numbers as in the design)."""

import copy

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, noisy, subnets_of_the_toy
from hypothesis import given
from paddle import nn

from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet, count_params

NARROW = SubNet.at(0.5, 1.0, TOY)
MIXED = SubNet((4, 1, 2), (64, 7, 33))
SHALLOW = SubNet((4, 2), (64, 9), layers=(0, 2))
SUBNETS = [SubNet.at(0.75, 1.0, TOY), NARROW, SubNet.at(0.25, 1.0, TOY), MIXED, SHALLOW]
SUPERNET = elastic.make_elastic(noisy(models.build(TOY, dropout=0.0)))  # of the property: drawn examples share it


def logits(model, tokens):
    with paddle.no_grad():
        return models.forward(model, *tokens)[0].numpy()


def only_plain_layers(model):
    return not any(type(layer).__module__.startswith("ofa.") for layer in model.sublayers())


def by_hand(model, tokens, subnet):
    """Logits of ``subnet`` computed with NumPy from the plain model's state dict: an oracle."""
    w = {key: value.numpy().astype("float64") for key, value in model.state_dict().items()}
    ids, types = (t.numpy() for t in tokens)

    def norm(x, n):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * w[f"{n}.weight"] + w[f"{n}.bias"]

    x = (
        w["bert.embeddings.word_embeddings.weight"][ids]
        + w["bert.embeddings.position_embeddings.weight"][np.arange(ids.shape[1])]
        + w["bert.embeddings.token_type_embeddings.weight"][types]
    )
    x = norm(x, "bert.embeddings.layer_norm")
    bias = np.where(ids == 0, -1e4, 0.0)[:, None, None, :]
    size = TOY.head_size
    for layer, heads, neurons in zip(subnet.layers, subnet.heads, subnet.neurons, strict=True):
        p = f"bert.encoder.layers.{layer}"
        inner = heads * size

        def split(name, p=p, x=x, inner=inner, heads=heads):
            y = x @ w[f"{p}.self_attn.{name}.weight"][:, :inner] + w[f"{p}.self_attn.{name}.bias"][:inner]
            return y.reshape(*y.shape[:2], heads, size).transpose(0, 2, 1, 3)

        q, k, v = split("q_proj"), split("k_proj"), split("v_proj")
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(size) + bias
        probs = np.exp(scores - scores.max(-1, keepdims=True))
        probs /= probs.sum(-1, keepdims=True)
        context = (probs @ v).transpose(0, 2, 1, 3).reshape(*x.shape[:2], inner)
        out = context @ w[f"{p}.self_attn.out_proj.weight"][:inner] + w[f"{p}.self_attn.out_proj.bias"]
        x = norm(x + out, f"{p}.norm1")
        y = x @ w[f"{p}.linear1.weight"][:, :neurons] + w[f"{p}.linear1.bias"][:neurons]
        y = paddle.nn.functional.gelu(paddle.to_tensor(y)).numpy()
        x = norm(x + y @ w[f"{p}.linear2.weight"][:neurons] + w[f"{p}.linear2.bias"], f"{p}.norm2")
    pooled = np.tanh(x[:, 0] @ w["bert.pooler.dense.weight"] + w["bert.pooler.dense.bias"])
    return pooled @ w["classifier.weight"] + w["classifier.bias"]


def test_1_the_full_sub_network_is_the_plain_model_bit_for_bit(toy, tokens):
    plain = logits(toy, tokens)
    assert (logits(elastic.make_elastic(toy), tokens) == plain).all()
    assert elastic.full(toy) == elastic.active(toy) == SubNet.full(TOY)


def test_2_names_keys_and_weights_stay(toy):
    names = [p.name for p in toy.parameters()]
    before = {key: id(value) for key, value in toy.state_dict().items()}
    values = {key: value.numpy() for key, value in toy.state_dict().items()}
    elastic.make_elastic(toy)
    assert [p.name for p in toy.parameters()] == names
    assert {key: id(value) for key, value in toy.state_dict().items()} == before
    for subnet in SUBNETS:
        elastic.select(toy, subnet)
        assert all((value.numpy() == values[key]).all() for key, value in toy.state_dict().items())


@pytest.mark.parametrize("subnet", [SubNet.full(TOY), *SUBNETS])
def test_a_sub_network_computes_with_leading_slices(toy, tokens, subnet):
    expected = by_hand(toy, tokens, subnet)
    elastic.make_elastic(toy)
    elastic.select(toy, subnet)
    assert elastic.active(toy) == subnet
    np.testing.assert_allclose(logits(toy, tokens), expected, atol=1e-4)


@pytest.mark.parametrize("subnet", SUBNETS)
def test_4_an_extracted_network_is_the_supernet_with_that_selection(toy, tokens, subnet):
    elastic.make_elastic(toy)
    full = logits(toy, tokens)
    with elastic.selected(toy, subnet):
        expected = logits(toy, tokens)
    network = elastic.extract(toy, subnet)
    assert only_plain_layers(network)
    assert elastic.full(network) == SubNet(subnet.heads, subnet.neurons), "its layers are numbered from 0"
    np.testing.assert_allclose(logits(network, tokens), expected, atol=1e-6)
    assert np.abs(expected - full).max() > 1e-3
    network.classifier.weight.set_value(network.classifier.weight * 0)
    assert (logits(toy, tokens) == full).all(), "an extracted network has weights of its own"


@pytest.mark.parametrize("subnet", [SubNet.full(TOY), *SUBNETS])
def test_training_is_that_of_the_plain_network_to_rounding(toy, tokens, subnet):
    elastic.make_elastic(toy)
    plain = elastic.extract(toy, subnet)
    elastic.select(toy, subnet)
    for model in (toy, plain):
        model.train()
        (models.forward(model, *tokens)[0] ** 2).sum().backward()
    layers = toy.bert.encoder.layers
    assert all((layers[n].linear1.weight.grad is not None) == (n in subnet.layers) for n in range(len(layers)))
    for (name, ours), theirs in zip(kept_parameters(toy, subnet), plain.parameters(), strict=True):
        gradient, exact = ours.grad.numpy(), theirs.grad.numpy()
        gradient = gradient[tuple(slice(size) for size in exact.shape)]
        if not name.endswith("k_proj.bias"):  # its true gradient is zero: a softmax does not see what all keys share
            assert np.linalg.norm(gradient - exact) < 1e-5 * np.linalg.norm(exact), name


def kept_parameters(model, subnet):
    """Name and value of what ``subnet`` has of an elastic ``model``, in order."""
    left_out = [f".layers.{n}." for n in set(range(TOY.num_hidden_layers)) - set(subnet.layers)]
    return [item for item in model.named_parameters() if not any(part in item[0] for part in left_out)]


@given(subnets_of_the_toy(), subnets_of_the_toy())
def test_any_sub_network_is_extracted_whatever_is_selected(subnet, other):
    rng = np.random.default_rng(1)
    tokens = paddle.to_tensor(rng.integers(0, TOY.vocab_size, (2, 5))), paddle.zeros([2, 5], "int64")
    elastic.select(SUPERNET, subnet)
    expected = logits(SUPERNET, tokens)
    elastic.select(SUPERNET, other)
    network = elastic.extract(SUPERNET, subnet)
    np.testing.assert_allclose(logits(network, tokens), expected, atol=1e-6)
    with paddle.no_grad():
        np.testing.assert_allclose(network(*tokens).numpy(), expected, atol=1e-6)  # PaddleNLP's own forward
    assert sum(p.size for p in network.parameters()) == count_params(TOY, subnet)
    assert only_plain_layers(network)


def test_5_weights_are_shared_between_widths(toy, tokens):
    elastic.make_elastic(toy)
    elastic.select(toy, NARROW)
    before = logits(toy, tokens)
    weight = toy.bert.encoder.layers[0].linear1.weight
    weight.set_value(weight + 0.01)  # as a step of the full network would
    assert np.abs(logits(toy, tokens) - before).max() > 0


@pytest.mark.parametrize("width", [1.0, 0.75, 0.25])
def test_depth_1_is_the_network_of_that_width_bit_for_bit(toy, tokens, width):
    """Whatever depth was selected before: until a second stage trains, depths change nothing in the widths."""
    widths, grid = (elastic.make_elastic(copy.deepcopy(toy)) for _ in range(2))
    elastic.select(widths, SubNet.at(width, 1.0, TOY))
    elastic.select(grid, SubNet.at(0.5, 1 / 3, TOY))
    shallow = models.forward(grid, *tokens)[0].numpy()
    elastic.select(grid, SubNet.at(width, 1.0, TOY))
    expected, found = (models.forward(model, *tokens)[0].numpy() for model in (widths, grid))
    assert (expected == found).all() and not (shallow == found).all()


def test_6_selecting_full_again_restores_the_outputs(toy, tokens):
    elastic.make_elastic(toy)
    full = logits(toy, tokens)
    for subnet in SUBNETS:
        elastic.select(toy, subnet)
        assert np.abs(logits(toy, tokens) - full).max() > 1e-3
    elastic.select(toy, elastic.full(toy))
    assert (logits(toy, tokens) == full).all()


def test_a_with_block_restores_the_selection_even_after_an_error(toy):
    elastic.make_elastic(toy)
    elastic.select(toy, NARROW)
    with pytest.raises(RuntimeError), elastic.selected(toy, MIXED):
        raise RuntimeError
    assert elastic.active(toy) == NARROW


@pytest.mark.parametrize(
    "subnet", [SubNet((5, 4, 4), (64, 64, 64)), SubNet((4, 4, 4), (64, 65, 64)), SubNet((4, 4), (64, 64), (0, 3))]
)
def test_a_sub_network_that_does_not_fit_is_refused(toy, subnet):
    elastic.make_elastic(toy)
    with pytest.raises(ValueError, match=r"does not fit into the supernet SubNet\(heads=\(4, 4, 4\)"):
        elastic.select(toy, subnet)
    assert elastic.active(toy) == SubNet.full(TOY), "nothing is half selected"
    with pytest.raises(ValueError, match="does not fit"):
        elastic.extract(toy, subnet)


def test_only_plain_linears_become_elastic(toy):
    elastic.make_elastic(toy)
    with pytest.raises(TypeError, match="ElasticLinear"):
        elastic.make_elastic(toy)


def test_an_elastic_model_can_be_copied_and_cut_twice(toy, tokens):
    elastic.make_elastic(toy)
    once = elastic.extract(toy, SubNet.at(0.75, 1.0, TOY))
    twice = elastic.cut(copy.deepcopy(once), NARROW)
    np.testing.assert_array_equal(logits(twice, tokens), logits(elastic.extract(toy, NARROW), tokens))


def test_head_size_times_heads_need_not_be_the_hidden_size():
    shape = EncoderShape(2, 40, 5, 30, vocab_size=50, max_position_embeddings=16)
    model = elastic.make_elastic(noisy(models.build(shape, 0.0)))
    subnet = SubNet.at(0.6, 1.0, shape)
    tokens = paddle.randint(5, 50, [2, 7]), paddle.zeros([2, 7], dtype="int64")
    with elastic.selected(model, subnet):
        expected = logits(model, tokens)
    network = elastic.extract(model, subnet)
    assert network.bert.encoder.layers[0].self_attn.q_proj.weight.shape == [40, 24]
    np.testing.assert_allclose(logits(network, tokens), expected, atol=1e-6)


@pytest.mark.process
def test_importing_ofa_leaves_paddle_nn_as_paddlenlp_left_it():
    import subprocess
    import sys

    script = """
import paddle, paddlenlp.transformers
def methods():
    names = ("forward", "__init__", "__call__", "__setattr__", "_prepare_qkv")
    classes = [c for c in vars(paddle.nn).values() if isinstance(c, type)]
    return {(c, m): getattr(c, m) for c in classes for m in names if hasattr(c, m)}
before = methods()
import ofa.model.network, ofa.supernet.elastic, ofa.supernet.importance, ofa.supernet.reorder
import ofa.training.distillation, ofa.training.loop, ofa.stages.pipeline, ofa.deploy.export
import ofa.stages.finetune, ofa.stages.distill, ofa.stages.evaluate
import sys
assert "paddleslim.nas.ofa.utils.nlp_utils" not in sys.modules
after = methods()
assert len(before) > 100 and before == after, {k for k in before if before[k] is not after.get(k)}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_linear_of_paddle_stays_plain(toy):
    elastic.make_elastic(toy)
    assert type(nn.Linear(2, 2)) is nn.Linear
    assert type(toy.classifier) is nn.Linear

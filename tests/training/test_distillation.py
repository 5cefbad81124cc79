import copy

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.data.kinds import KINDS
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet
from ofa.training.distillation import Distillation, _token_mask
from ofa.training.losses import hard_loss, hidden_loss

SHALLOW = SubNet((4, 2), (64, 9), layers=(0, 2))
SUBNETS = [*(SubNet.at(width, 1.0, TOY) for width in (1.0, 0.75, 0.25)), SHALLOW]


@pytest.fixture
def pair(toy):
    teacher = copy.deepcopy(toy)
    paddle.seed(5)
    for parameter in toy.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.02, parameter.shape))
    return Distillation(elastic.make_elastic(toy), teacher, hidden_weight=0.1, logit_weight=1.0)


@pytest.fixture
def batch():
    """24 rows of 9 tokens, the last 8 of them padded."""
    ids = np.random.default_rng(2).integers(5, TOY.vocab_size, [24, 9])
    ids[16:, 6:] = 0
    return paddle.to_tensor(ids), paddle.to_tensor((ids % 2) * (ids > 0))


def gradients(model):
    """Of all parameters but key biases, whose true gradient is zero: a softmax does not see what all keys share."""
    return {name: p.grad.numpy() for name, p in model.named_parameters() if not name.endswith("k_proj.bias")}


def assert_equal_to_rounding(found, expected):
    for name, value in expected.items():
        assert np.linalg.norm(found[name] - value) < 1e-5 * np.linalg.norm(value), name


def test_a_step_is_the_plain_sum_over_sub_networks(pair, tokens):
    """The shared embeddings and the single teacher pass change nothing in loss or gradients."""
    naive = copy.deepcopy(pair.supernet)
    mask = (tokens[0] != 0).astype("float32").unsqueeze(-1)
    teacher_logits, teacher_hidden = models.forward(pair.teacher, *tokens)
    total = paddle.zeros([])
    for subnet in SUBNETS:
        elastic.select(naive, subnet)
        logits, hidden = models.forward(naive, *tokens)
        matched = [teacher_hidden[i] for i in (0, 1, 3)] if subnet is SHALLOW else teacher_hidden
        total = total + 0.1 * hidden_loss(hidden, matched, mask) + KINDS["classes"].logit_loss(logits, teacher_logits)
    total.backward()
    parts = pair.step(*tokens, SUBNETS)
    np.testing.assert_allclose(float(parts["loss"]), float(total), rtol=1e-5)
    assert_equal_to_rounding(gradients(pair.supernet), gradients(naive))


def test_the_teacher_runs_once_and_learns_nothing(pair, tokens):
    calls = []
    pair.teacher.classifier.register_forward_post_hook(lambda *_: calls.append(1))
    pair.step(*tokens, SUBNETS)
    assert len(calls) == 1
    assert all(parameter.grad is None for parameter in pair.teacher.parameters())


def test_a_layer_left_out_learns_nothing(pair, tokens):
    pair.step(*tokens, [SHALLOW])
    for number, layer in enumerate(pair.supernet.bert.encoder.layers):
        touched = [parameter.grad is not None and bool(parameter.grad.any()) for parameter in layer.parameters()]
        assert any(touched) == (number != 1)


def test_a_mask_is_built_where_there_is_padding(tokens):
    padded = tokens[0] == 0
    mask = _token_mask(padded)
    assert mask is not None and mask.shape == [5, 9, 1]
    assert (mask.squeeze(-1).numpy() == (tokens[0].numpy() != 0)).all()
    assert _token_mask(padded[:1]) is None, "most length-bucketed batches need none"


def test_a_perfect_student_has_no_hidden_loss(toy, tokens):
    teacher = copy.deepcopy(toy)
    parts = Distillation(elastic.make_elastic(toy), teacher, 0.1, 1.0).step(*tokens, SUBNETS[:1])
    assert float(parts["hidden_loss"]) == 0


def test_distilling_brings_every_width_closer(pair, tokens):
    optimizer = paddle.optimizer.AdamW(1e-3, parameters=pair.supernet.parameters())
    first = float(pair.step(*tokens, SUBNETS)["hidden_loss"])
    for _ in range(20):
        optimizer.step()
        optimizer.clear_grad()
        last = float(pair.step(*tokens, SUBNETS)["hidden_loss"])
    assert last < 0.7 * first


def test_threads_share_a_batch_and_its_gradients(pair, batch):
    shared = Distillation(pair.supernet, pair.teacher, 0.1, 1.0, threads=3)
    for _ in range(2):  # the second time after the weights moved, which the threads see too
        outcomes = []
        for distillation in (pair, shared, shared):
            parts = distillation.step(*batch, SUBNETS)
            outcomes.append(({key: float(value) for key, value in parts.items()}, gradients(pair.supernet)))
            pair.supernet.clear_gradients()
        (alone, expected), (together, found), (again, repeated) = outcomes
        assert together == pytest.approx(alone, rel=1e-6)
        assert_equal_to_rounding(found, expected)
        assert together == again and all((found[name] == repeated[name]).all() for name in found)
        for parameter in pair.supernet.parameters():
            parameter.set_value(parameter * 1.1)


def test_threads_leave_out_the_layers_that_a_sub_network_leaves_out(pair, batch):
    shared = Distillation(pair.supernet, pair.teacher, 0.1, 1.0, threads=3)
    shared.step(*batch, SUBNETS)
    pair.supernet.clear_gradients(set_to_zero=False)
    shared.step(*batch, [SHALLOW])
    touched = [layer.linear1.weight.grad is not None for layer in pair.supernet.bert.encoder.layers]
    assert touched == [True, False, True]


def test_threads_draw_the_same_dropout_for_the_same_seed(toy, batch):
    """Also those of a process that goes on from a checkpoint, which have done nothing before."""
    teacher = copy.deepcopy(toy)
    elastic.make_elastic(toy)
    first, second = (Distillation(toy, teacher, 0.1, 1.0, threads=2) for _ in range(2))
    toy.train()
    for layer in toy.sublayers():
        if isinstance(layer, paddle.nn.Dropout):
            layer.p = 0.3
    outcomes = []
    for seed, distillation in ((2, first), (1, first), (1, second)):
        paddle.seed(seed)
        loss = float(distillation.step(*batch, SUBNETS)["loss"])
        outcomes.append((loss, gradients(toy)))
        toy.clear_gradients(set_to_zero=False)
    (other, _), (loss, expected), (again, found) = outcomes
    assert loss == again != other
    assert all((found[name] == expected[name]).all() for name in expected)


def test_labels_add_their_loss_and_gradients(pair, batch):
    """Shared by threads, and half of the rows without a label: the sum over sub-networks of all three parts."""
    labels = paddle.to_tensor(np.where(np.arange(24) % 2, np.arange(24) % 3, -1))
    naive, total = copy.deepcopy(pair.supernet), paddle.zeros([])
    for subnet in SUBNETS:
        elastic.select(naive, subnet)
        total = total + 0.7 * hard_loss(KINDS["classes"], models.forward(naive, *batch)[0], labels)
    total.backward()
    pair.step(*batch, SUBNETS)
    plain = gradients(pair.supernet)
    pair.supernet.clear_gradients()
    taught = Distillation(pair.supernet, pair.teacher, 0.1, 1.0, threads=3, hard_weight=0.7)
    parts = taught.step(*batch, SUBNETS, labels=labels)
    assert 0.7 * float(parts["hard_loss"]) == pytest.approx(float(total), rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(
        0.1 * float(parts["hidden_loss"]) + float(parts["logit_loss"]) + float(total), rel=1e-5
    )
    assert_equal_to_rounding(gradients(taught.supernet), {k: plain[k] + v for k, v in gradients(naive).items()})


def test_labels_without_a_weight_change_no_bit(pair, tokens):
    labels = paddle.to_tensor(np.array([0, 1, 2, 0, 1]))
    outcomes = []
    for more in ({}, {"labels": labels}):
        parts = pair.step(*tokens, SUBNETS, **more)
        outcomes.append(({name: float(value) for name, value in parts.items()}, gradients(pair.supernet)))
        pair.supernet.clear_gradients()
    (loss, expected), (again, found) = outcomes
    assert loss == again and set(loss) == {"loss", "hidden_loss", "logit_loss"}
    assert all((found[name] == expected[name]).all() for name in expected)

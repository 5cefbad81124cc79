import copy

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet
from ofa.training.distillation import Distillation, _token_mask
from ofa.training.losses import LOGIT_LOSS, hidden_loss

SHALLOW = SubNet((4, 2), (64, 9), layers=(0, 2))
SUBNETS = [*(SubNet.at(width, 1.0, TOY) for width in (1.0, 0.75, 0.25)), SHALLOW]


@pytest.fixture
def pair(toy):
    teacher = copy.deepcopy(toy)
    paddle.seed(5)
    for parameter in toy.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.02, parameter.shape))
    return Distillation(elastic.make_elastic(toy), teacher, hidden_weight=0.1, logit_weight=1.0)


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
        total = total + 0.1 * hidden_loss(hidden, matched, mask) + LOGIT_LOSS["classes"](logits, teacher_logits)
    total.backward()
    parts = pair.step(*tokens, SUBNETS)
    np.testing.assert_allclose(float(parts["loss"]), float(total), rtol=1e-5)
    for (name, ours), theirs in zip(pair.supernet.named_parameters(), naive.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-3, atol=1e-6, err_msg=name)


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

import copy

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.space import pick_widths
from ofa.supernet.subnet import SubNet
from ofa.training.distillation import Distillation
from ofa.training.losses import LOGIT_LOSS, hidden_loss

SUBNETS = [SubNet.at_width(width, TOY) for width in (1.0, 0.75, 0.25)]


@pytest.fixture
def pair(toy):
    teacher = copy.deepcopy(toy)
    paddle.seed(5)
    for parameter in toy.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.02, parameter.shape))
    return Distillation(elastic.make_elastic(toy), teacher, hidden_weight=0.1, logit_weight=1.0)


def test_a_step_is_the_plain_sum_over_widths(pair, tokens):
    """The shared embeddings and the single teacher pass change nothing in loss or gradients."""
    naive = copy.deepcopy(pair.supernet)
    mask = (tokens[0] != 0).astype("float32").unsqueeze(-1)
    teacher_logits, teacher_hidden = models.forward(pair.teacher, *tokens)
    total = paddle.zeros([])
    for subnet in SUBNETS:
        elastic.select(naive, subnet)
        logits, hidden = models.forward(naive, *tokens)
        total = total + 0.1 * hidden_loss(hidden, teacher_hidden, mask) + LOGIT_LOSS["classes"](logits, teacher_logits)
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


def test_without_padding_no_mask_is_built(pair):
    ids = paddle.full([2, 4], 9, dtype="int64")
    parts = pair.step(ids, paddle.zeros_like(ids), SUBNETS[:1])
    assert float(parts["hidden_loss"]) > 0


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


def test_sandwich_takes_the_ends_and_draws_between():
    widths = [k / 12 for k in range(1, 13)]
    drawn = [pick_widths(widths, "sandwich", 2, seed=3, step=step) for step in range(200)]
    assert all(len(set(found)) == 4 and found[0] == 1.0 and found[-1] == 1 / 12 for found in drawn)
    assert {width for found in drawn for width in found} == set(widths), "every width gets its turn"
    assert drawn[7] == pick_widths(widths, "sandwich", 2, seed=3, step=7)
    assert drawn != [pick_widths(widths, "sandwich", 2, seed=4, step=step) for step in range(200)]


def test_short_lists_are_trained_whole():
    assert pick_widths([1.0, 0.75, 0.5], "sandwich", 2, 0, 0) == [1.0, 0.75, 0.5]
    assert pick_widths([1.0, 0.9, 0.8, 0.7, 0.5], "all", 2, 0, 0) == [1.0, 0.9, 0.8, 0.7, 0.5]

from itertools import product

import numpy as np
import paddle
import pytest

from ofa.data.kinds import KINDS
from ofa.data.lines import BadRow
from ofa.evaluation.metrics import score
from ofa.settings.schema import TaskConfig

MULTI = KINDS["multi_label"]


def test_soft_cross_entropy_by_hand():
    student, teacher = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    probs = np.exp(teacher) / np.exp(teacher).sum(1, keepdims=True)
    likelihood = student - np.log(np.exp(student).sum(1, keepdims=True))
    expected = -(probs * likelihood).sum(1).mean()
    found = KINDS["classes"].logit_loss(paddle.to_tensor(student), paddle.to_tensor(teacher))
    np.testing.assert_allclose(float(found), expected, rtol=1e-6)


def test_soft_cross_entropy_is_least_at_the_teacher():
    teacher = paddle.to_tensor([[2.0, -1.0]])
    logits = paddle.to_tensor([[2.0, -1.0]], stop_gradient=False)
    KINDS["classes"].logit_loss(logits, teacher).backward()
    np.testing.assert_allclose(logits.grad.numpy(), 0, atol=1e-6)
    assert float(KINDS["classes"].logit_loss(teacher + paddle.to_tensor([[1.0, 0.0]]), teacher)) > float(
        KINDS["classes"].logit_loss(teacher, teacher)
    )


def test_a_score_is_learned_by_its_squared_error():
    # A softmax over one class is 1 whatever the logit: soft cross-entropy would be 0 with no gradient.
    student, teacher = paddle.to_tensor([[1.0], [2.0]], stop_gradient=False), paddle.to_tensor([[2.0], [4.0]])
    loss = KINDS["score"].logit_loss(student, teacher)
    loss.backward()
    assert float(loss) == 2.5
    assert (student.grad.numpy() == [[-1.0], [-2.0]]).all()


def test_a_score_against_its_label_by_hand():
    """``[B, 1]`` against ``[B]``: taken as they are, the difference would be a ``[B, B]`` table."""
    logits = paddle.to_tensor([[1.0], [4.0], [2.0]], stop_gradient=False)
    loss = KINDS["score"].loss(logits, paddle.to_tensor([0.0, 1.0, 5.0]))
    loss.backward()
    assert float(loss) == pytest.approx((1 + 9 + 9) / 3)
    np.testing.assert_allclose(logits.grad.numpy(), [[2 / 3], [2.0], [-2.0]], rtol=1e-6)


def test_a_class_against_its_label_by_hand():
    logits = paddle.to_tensor([[0.0, 0.0], [2.0, 0.0]])
    expected = (np.log(2) + np.log(1 + np.exp(2.0))) / 2  # the second row's label is its less likely class
    assert float(KINDS["classes"].loss(logits, paddle.to_tensor([0, 1]))) == pytest.approx(expected, rel=1e-6)


def test_each_class_is_a_question_of_its_own_by_hand():
    logits, labels = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)
    share = 1 / (1 + np.exp(-logits))
    each = -(labels * np.log(share) + (1 - labels) * np.log(1 - share))
    found = MULTI.loss(paddle.to_tensor(logits), paddle.to_tensor(labels))
    assert float(found) == pytest.approx(each.mean(), rel=1e-6)
    teacher = np.array([[0.0, 2.0], [-1.0, 4.0]])
    wanted = 1 / (1 + np.exp(-teacher))
    each = -(wanted * np.log(share) + (1 - wanted) * np.log(1 - share))
    found = MULTI.logit_loss(paddle.to_tensor(logits), paddle.to_tensor(teacher))
    assert float(found) == pytest.approx(each.sum(axis=1).mean(), rel=1e-6)
    np.testing.assert_allclose(MULTI.probabilities(logits), share, rtol=1e-12)


def test_no_set_of_labels_given_to_every_row_beats_the_constant_answers():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = (rng.random((9, 4)) < rng.random(4)).astype(np.float32)
        for metric in ("micro_f1", "macro_f1", "exact_match"):
            every = [np.tile(np.where(answer, 1.0, -1.0), (9, 1)) for answer in product([0, 1], repeat=4)]
            best = max(score([metric], logits, labels)[metric] for logits in every)
            found = max(score([metric], logits, labels)[metric] for logits in MULTI.constants(labels, 4))
            assert found == pytest.approx(best)


def test_several_labels_are_read_and_what_is_none_is_named():
    task = TaskConfig(labels=["a", "b", "c"], label_values=["0", "1", "2"], multi_label=True, label_separator=";")
    parse = MULTI.parser(task)
    assert [parse(text).tolist() for text in ("2 ;0", "", "1")] == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    for text, said in (("0;3", "label '3' is unknown; allowed: any of '0', '1', '2'"), ("0;", "label '' is unknown")):
        with pytest.raises(BadRow, match=said):
            parse(text)
    assert MULTI.words(parse("0;2"), task.labels) == "a, c"

import numpy as np
import paddle
import pytest

from ofa.data.kinds import KINDS


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

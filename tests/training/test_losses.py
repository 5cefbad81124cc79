import numpy as np
import paddle
import pytest

from ofa.training.losses import LOGIT_LOSS, TASK_LOSS, hard_loss, hidden_loss, soft_cross_entropy


def test_soft_cross_entropy_by_hand():
    student, teacher = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    probs = np.exp(teacher) / np.exp(teacher).sum(1, keepdims=True)
    likelihood = student - np.log(np.exp(student).sum(1, keepdims=True))
    expected = -(probs * likelihood).sum(1).mean()
    found = soft_cross_entropy(paddle.to_tensor(student), paddle.to_tensor(teacher))
    np.testing.assert_allclose(float(found), expected, rtol=1e-6)


def test_soft_cross_entropy_is_least_at_the_teacher():
    teacher = paddle.to_tensor([[2.0, -1.0]])
    logits = paddle.to_tensor([[2.0, -1.0]], stop_gradient=False)
    soft_cross_entropy(logits, teacher).backward()
    np.testing.assert_allclose(logits.grad.numpy(), 0, atol=1e-6)
    assert float(soft_cross_entropy(teacher + paddle.to_tensor([[1.0, 0.0]]), teacher)) > float(
        soft_cross_entropy(teacher, teacher)
    )


def test_a_score_is_learned_by_its_squared_error():
    # A softmax over one class is 1 whatever the logit: soft cross-entropy would be 0 with no gradient.
    student, teacher = paddle.to_tensor([[1.0], [2.0]], stop_gradient=False), paddle.to_tensor([[2.0], [4.0]])
    loss = LOGIT_LOSS["score"](student, teacher)
    loss.backward()
    assert float(loss) == 2.5
    assert (student.grad.numpy() == [[-1.0], [-2.0]]).all()


def test_hidden_loss_sums_the_layers_means():
    hidden = [paddle.full([2, 3, 4], value) for value in (1.0, 2.0)]
    teacher = [paddle.zeros([2, 3, 4])] * 2
    assert float(hidden_loss(hidden, teacher, None)) == 1 + 4


def test_padding_is_out_of_the_hidden_loss():
    rng = np.random.default_rng(0)
    student, teacher = (rng.normal(size=(2, 5, 4)).astype("float32") for _ in range(2))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype="float32")[..., None]
    expected = ((student - teacher) ** 2)[mask[..., 0] == 1].mean()
    found = hidden_loss([paddle.to_tensor(student)], [paddle.to_tensor(teacher)], paddle.to_tensor(mask))
    np.testing.assert_allclose(float(found), expected, rtol=1e-5)
    student[1, 2:] = 1e3
    again = hidden_loss([paddle.to_tensor(student)], [paddle.to_tensor(teacher)], paddle.to_tensor(mask))
    assert float(again) == float(found)


def test_a_score_against_its_label_by_hand():
    """``[B, 1]`` against ``[B]``: taken as they are, the difference would be a ``[B, B]`` table."""
    logits = paddle.to_tensor([[1.0], [4.0], [2.0]], stop_gradient=False)
    loss = TASK_LOSS["score"](logits, paddle.to_tensor([0.0, 1.0, 5.0]))
    loss.backward()
    assert float(loss) == pytest.approx((1 + 9 + 9) / 3)
    np.testing.assert_allclose(logits.grad.numpy(), [[2 / 3], [2.0], [-2.0]], rtol=1e-6)


def test_a_class_against_its_label_by_hand():
    logits = paddle.to_tensor([[0.0, 0.0], [2.0, 0.0]])
    expected = (np.log(2) + np.log(1 + np.exp(2.0))) / 2  # the second row's label is its less likely class
    assert float(TASK_LOSS["classes"](logits, paddle.to_tensor([0, 1]))) == pytest.approx(expected, rel=1e-6)


def test_a_temperature_softens_both_and_its_square_multiplies():
    student, teacher = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    probs = np.exp(teacher / 3) / np.exp(teacher / 3).sum(1, keepdims=True)
    likelihood = student / 3 - np.log(np.exp(student / 3).sum(1, keepdims=True))
    found = LOGIT_LOSS["classes"](paddle.to_tensor(student), paddle.to_tensor(teacher), 3.0)
    np.testing.assert_allclose(float(found), -9 * (probs * likelihood).sum(1).mean(), rtol=1e-6)


def test_at_temperature_1_the_loss_has_the_bits_it_had():
    student, teacher = (paddle.to_tensor(np.random.default_rng(seed).normal(size=(8, 3))) for seed in (1, 2))
    assert float(LOGIT_LOSS["classes"](student, teacher, 1.0)) == float(soft_cross_entropy(student, teacher))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1, 0, 0], (np.log(2) + np.log(1 + np.exp(-2.0)) + np.log(1 + np.exp(1.0))) / 3),
        ([1, -1, 0], (np.log(2) + np.log(1 + np.exp(1.0))) / 3),  # the second row counts as 0, not as absent
        ([-1, -1, -1], 0.0),
    ],
)
def test_labels_count_where_there_are_any(labels, expected):
    logits = paddle.to_tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    found = hard_loss("classes", logits, paddle.to_tensor(np.array(labels, "int64")))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_scores_count_where_there_are_any():
    logits = paddle.to_tensor([[1.0], [4.0], [2.0]], stop_gradient=False)
    loss = hard_loss("score", logits, paddle.to_tensor(np.array([0.0, np.nan, -5.0], "float32")))
    loss.backward()
    assert float(loss) == pytest.approx((1 + 49) / 3)
    np.testing.assert_allclose(logits.grad.numpy(), [[2 / 3], [0.0], [14 / 3]], rtol=1e-6)

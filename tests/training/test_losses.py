import numpy as np
import paddle
import pytest

from ofa.data.kinds import KINDS
from ofa.training.losses import hard_loss, hidden_loss, softened


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


def test_a_temperature_softens_both_and_its_square_multiplies():
    student, teacher = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]]), np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    probs = np.exp(teacher / 3) / np.exp(teacher / 3).sum(1, keepdims=True)
    likelihood = student / 3 - np.log(np.exp(student / 3).sum(1, keepdims=True))
    found = softened(KINDS["classes"], paddle.to_tensor(student), paddle.to_tensor(teacher), 3.0)
    np.testing.assert_allclose(float(found), -9 * (probs * likelihood).sum(1).mean(), rtol=1e-6)


def test_at_temperature_1_the_loss_has_the_bits_it_had():
    student, teacher = (paddle.to_tensor(np.random.default_rng(seed).normal(size=(8, 3))) for seed in (1, 2))
    assert float(softened(KINDS["classes"], student, teacher, 1.0)) == float(
        KINDS["classes"].logit_loss(student, teacher)
    )


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
    found = hard_loss(KINDS["classes"], logits, paddle.to_tensor(np.array(labels, "int64")))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_scores_count_where_there_are_any():
    logits = paddle.to_tensor([[1.0], [4.0], [2.0]], stop_gradient=False)
    loss = hard_loss(KINDS["score"], logits, paddle.to_tensor(np.array([0.0, np.nan, -5.0], "float32")))
    loss.backward()
    assert float(loss) == pytest.approx((1 + 49) / 3)
    np.testing.assert_allclose(logits.grad.numpy(), [[2 / 3], [0.0], [14 / 3]], rtol=1e-6)

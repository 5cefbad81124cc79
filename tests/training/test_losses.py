import numpy as np
import paddle

from ofa.training.losses import hidden_loss


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

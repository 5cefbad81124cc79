"""Our training operations against Paddle's own: values and gradients to rounding, dropout by its law."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ofa.supernet import kernels

ROWS, SIZE = (3, 5), 24


def drawn(*shape):
    return paddle.to_tensor(np.random.default_rng(list(shape)).normal(0.3, 2, shape), stop_gradient=False)


def run(operation, inputs, dtype):
    """Output of ``operation`` and the gradients of ``inputs`` from one upstream gradient."""
    inputs = [paddle.to_tensor(x.numpy(), dtype, stop_gradient=False) for x in inputs]
    output = operation(*inputs)
    output.backward(paddle.to_tensor(np.random.default_rng(1).normal(size=output.shape), dtype))
    return [output.numpy(), *(x.grad.numpy() for x in inputs)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize(
    ("ours", "theirs", "inputs"),
    [
        (kernels.linear, F.linear, [drawn(*ROWS, SIZE), drawn(SIZE, 7), drawn(7)]),
        (
            lambda x, w, b: kernels.normalize(x, w, b, 1e-12),
            lambda x, w, b: F.layer_norm(x, [SIZE], w, b, 1e-12),
            [drawn(*ROWS, SIZE), drawn(SIZE), drawn(SIZE)],
        ),
    ],
    ids=["linear", "layer_norm"],
)
def test_values_and_gradients_are_paddles(ours, theirs, inputs, dtype, tolerance):
    for found, exact in zip(run(ours, inputs, dtype), run(theirs, inputs, "float64"), strict=True):
        assert np.abs(found - exact).max() < tolerance * np.abs(exact).max()


def test_dropout_keeps_its_share_and_the_mean():
    paddle.seed(3)
    ones = paddle.ones([1000, 1000])
    dropped = kernels.dropout(ones, 0.1).numpy()
    assert abs((dropped == 0).mean() - 0.1) < 2e-3 and abs(dropped.mean() - 1) < 2e-3
    assert len(np.unique(dropped)) == 2
    assert (kernels.dropout(ones, 0.1).numpy() != dropped).any()
    paddle.seed(3)
    assert (kernels.dropout(ones, 0.1).numpy() == dropped).all(), "Paddle's seed rules the draw"
    assert kernels.dropout(ones, 0.0) is ones


def test_dropouts_gradient_is_its_mask():
    x = paddle.ones([4, 50])
    x.stop_gradient = False
    dropped = kernels.dropout(x, 0.5)
    dropped.sum().backward()
    assert (x.grad.numpy() == dropped.numpy()).all()

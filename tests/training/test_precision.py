"""Clipping: what Paddle's own function does, faster; precisions: none that a device has not."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn

from ofa.errors import UserError
from ofa.training.precision import Precision


def trained(seed: int) -> nn.Layer:
    """A layer with gradients, and one parameter that has none."""
    paddle.seed(seed)
    model = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 3), nn.Linear(3, 3))
    model[1](model[0](paddle.to_tensor([[1, 4, 4]]))).square().sum().backward()
    return model


def gradients(model: nn.Layer) -> list[np.ndarray]:
    return [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("share", [0.3, 2.0])
def test_clipping_equals_paddles(share):
    ours, theirs = trained(1), trained(1)
    before = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients(ours)))
    norm = Precision("fp32").clip(None, ours, share * before)
    nn.utils.clip_grad_norm_([p for p in theirs.parameters() if p.grad is not None], share * before)
    assert norm == pytest.approx(before, rel=1e-6)
    for mine, its in zip(gradients(ours), gradients(theirs), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5)
    after = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients(ours)))
    assert after == pytest.approx(min(1.0, share) * before, rel=1e-5)


def test_a_norm_that_is_not_finite_is_returned_as_such():
    model = trained(1)
    model[1].bias.grad.set_value(paddle.to_tensor([1.0, float("nan"), 0.0]))
    assert np.isnan(Precision("fp32").clip(None, model, 1.0))


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_precision_the_device_lacks_is_refused_and_not_quietly_fp32(name, monkeypatch):
    with pytest.raises(UserError, match=f"trainer.precision: {name} needs a GPU, and this job runs on a CPU; allowed"):
        Precision(name)
    monkeypatch.setattr("paddle.get_device", lambda: "gpu:0")
    older = {"bf16": (7, 5), "fp16": (6, 1)}[name]  # a T4, a P4
    monkeypatch.setattr("paddle.device.cuda.get_device_capability", lambda: older)
    with pytest.raises(
        UserError, match=f"trainer.precision: {name} needs compute capability ..0, gpu:0 has {older[0]}"
    ):
        Precision(name)


@pytest.mark.parametrize(("scale", "skipped"), [(1024.0, True), (1.0, True), (0.5, False)])
def test_gradients_that_are_nan_at_every_scale_are_no_overflow(scale, skipped):
    """A step is left out while a smaller scale may help; after that it is the usual alarm's."""
    precision = Precision("fp32")
    assert not precision.skips(float("nan"))
    precision.scaler = SimpleNamespace(state_dict=lambda: {"scale": np.array([scale], "float32")})
    assert precision.skips(float("nan")) is precision.skips(float("inf")) is skipped
    assert not precision.skips(3.0)

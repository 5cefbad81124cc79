"""Training operations for a CPU: linear, layer norm and dropout, with cheaper gradients than Paddle's.

Paddle's own CPU kernels for these gradients and for dropout are up to ten times slower: they sum and
broadcast element by element, draw one random number at a time, or pass over memory more often than
needed. Here sums are matrix products. Results differ from Paddle's by rounding; dropout by its random numbers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddle.autograd import PyLayer, PyLayerContext

_of_thread = threading.local()


@contextmanager
def dropout_seed(seed: int) -> Iterator[None]:
    """Seed dropout in this thread for the length of a ``with`` block; Paddle's generator is shared by all threads."""
    _of_thread.source = np.random.SFC64(seed)
    try:
        yield
    finally:
        del _of_thread.source


def _source() -> np.random.SFC64:
    """Random bits of this thread's seed, or else, of one that Paddle's generator draws."""
    seeded = getattr(_of_thread, "source", None)
    return seeded or np.random.SFC64(int(paddle.randint(0, 2**31 - 1, [1])))


def _column_sums(x: Tensor) -> Tensor:
    """``[T, n]`` summed to ``[n]``."""
    return paddle.matmul(paddle.ones([x.shape[0]], x.dtype), x)


class _Linear(PyLayer):
    @staticmethod
    def forward(ctx: PyLayerContext, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat = x.reshape([-1, x.shape[-1]])
        ctx.save_for_backward(flat, weight)
        return paddle.addmm(bias, flat, weight).reshape([*x.shape[:-1], -1])

    @staticmethod
    def backward(ctx: PyLayerContext, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensor()
        flat = grad.reshape([-1, grad.shape[-1]])
        back = paddle.matmul(flat, weight, transpose_y=True).reshape([*grad.shape[:-1], -1])
        return back, paddle.matmul(x, flat, transpose_x=True), _column_sums(flat)


class _LayerNorm(PyLayer):
    @staticmethod
    def forward(ctx: PyLayerContext, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        ctx.save_for_backward(x, weight)
        cast(Any, ctx).epsilon = epsilon
        return F.layer_norm(x, x.shape[-1:], weight, bias, epsilon)

    @staticmethod
    def backward(ctx: PyLayerContext, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With x^ = c r, c = x - mean(x) and r = 1 / std(x): r (g w - mean(g w) - x^ mean(g w x^)) of each row."""
        x, weight = ctx.saved_tensor()
        size = x.shape[-1]
        x, flat = x.reshape([-1, size]), grad.reshape([-1, size])
        mean, mean_weighted = paddle.full([size, 1], 1 / size, x.dtype), weight.reshape([size, 1]).scale(1 / size)
        minus = paddle.full([1, size], -1.0, x.dtype)  # a column times this is subtracted from every column
        centred = paddle.addmm(x, paddle.matmul(x, mean), minus)
        r = (paddle.matmul(centred.square(), mean) + cast(Any, ctx).epsilon).rsqrt()
        product = flat * centred
        of_x = centred * (paddle.matmul(product, mean_weighted) * -(r**3))
        back = paddle.addmm(of_x, paddle.matmul(flat, mean_weighted) * r, minus).add_((flat * weight).multiply_(r))
        return back.reshape(grad.shape), paddle.matmul(r.reshape([-1]), product), _column_sums(flat)


class _Dropout(PyLayer):
    @staticmethod
    def forward(ctx: PyLayerContext, x: Tensor, rate: float) -> Tensor:
        """Keep values whose 16 random bits reach a threshold: ``rate`` is met to 1e-5, the mean exactly."""
        threshold, size = min(round(rate * 2**16), 2**16 - 1), math.prod(x.shape)
        kept = _source().random_raw(-(-size // 4)).view(np.uint16)[:size] >= threshold
        scale = np.float32(2**16 / (2**16 - threshold))
        mask = paddle.to_tensor(np.multiply(kept, scale, dtype=np.float32)).reshape(x.shape)
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx: PyLayerContext, grad: Tensor) -> Tensor:
        (mask,) = ctx.saved_tensor()
        return grad * mask


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``[..., n]`` times ``weight`` ``[n, m]`` plus ``bias`` ``[m]``."""
    return _Linear.apply(x, weight, bias)


def normalize(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Layer norm over the last axis of ``x``."""
    return _LayerNorm.apply(x, weight, bias, epsilon)


def dropout(x: Tensor, rate: float) -> Tensor:
    """Zeros in place of a share ``rate``, in [0, 1), of the values; the others are scaled up."""
    return _Dropout.apply(x, rate) if rate else x

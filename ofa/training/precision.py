"""Mixed precision: which operations run in 16 bits, and loss scaling where gradients need it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import paddle
from paddle import Tensor, nn

from ofa.errors import UserError

CAPABILITIES = {"fp16": (7, 0), "bf16": (8, 0)}  # that ``paddle.amp`` asks of a GPU: Volta, Ampere
SMALLEST_SCALE = 1.0  # of the loss; below it non-finite gradients are not caused by loss scaling


class Precision:
    """``trainer.precision`` at work: weights stay FP32, matrix products run in BF16 or FP16 (``paddle.amp`` O1).

    FP16 gradients underflow, so the loss is scaled up before each backward pass and the gradients down
    before the update; a step whose scaled gradients overflow is left out and the scale lowered
    (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740). BF16 has FP32's range and needs none.

    Raises:
        UserError: on a device that lacks the precision, where ``paddle.amp`` would go on in FP32.
    """

    def __init__(self, name: str) -> None:
        device = str(paddle.get_device())
        if name != "fp32" and device == "cpu":
            raise UserError(f"trainer.precision: {name} needs a GPU, and this job runs on a CPU; allowed here: fp32")
        if name != "fp32" and (found := paddle.device.cuda.get_device_capability()) < CAPABILITIES[name]:
            needed, has = (".".join(map(str, numbers)) for numbers in (CAPABILITIES[name], found))
            raise UserError(
                f"trainer.precision: {name} needs compute capability {needed}, {device} has {has}; use fp32"
            )
        self.name = name
        self.scaler = paddle.amp.GradScaler() if name == "fp16" else None

    def autocast(self) -> AbstractContextManager:
        """The context for forward passes and losses."""
        enable = self.name != "fp32"
        return paddle.amp.auto_cast(enable=enable, dtype="float16" if self.name == "fp16" else "bfloat16", level="O1")

    def backward(self, loss: Tensor) -> None:
        """The backward pass of ``loss``, scaled if need be; gradients add up over calls."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def clip(self, optimizer: paddle.optimizer.Optimizer, model: nn.Layer, max_norm: float | None) -> float:
        """Unscale the gradients and clip them to ``max_norm`` if there is one; returns their global norm before that.

        As ``paddle.nn.utils.clip_grad_norm_``, whose norm of an embedding's gradient takes a hundred times
        longer on CPU than this product, and more than the rest of the update together.
        """
        if self.scaler:
            self.scaler.unscale_(optimizer)
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        with paddle.no_grad():
            flat = [gradient.flatten() for gradient in gradients]
            norm = float(paddle.stack([paddle.matmul(g, g) for g in flat]).sum().sqrt())
            if max_norm is not None and norm > max_norm:
                for gradient in gradients:
                    gradient.scale_(max_norm / (norm + 1e-6))
        return norm

    def skips(self, norm: float) -> bool:
        """True if the norm overflowed because of loss scaling, so that the step is skipped instead of reported."""
        return self.scaler is not None and not math.isfinite(norm) and self._scale() >= SMALLEST_SCALE

    def _scale(self) -> float:
        return self.state()["scale"]

    def update(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Make the step (unless it overflowed) and adapt the scale."""
        if self.scaler:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()

    def state(self) -> dict[str, float]:
        """What a checkpoint must keep: the scale and its counters."""
        found = cast(dict[str, Any], self.scaler.state_dict()) if self.scaler else {}
        return {key: float(value) for key, value in found.items()}

    def restore(self, state: dict[str, float]) -> None:
        if self.scaler and state:
            typed: dict[str, Any] = {key: int(value) for key, value in state.items()}  # counters, but for:
            typed |= {key: state[key] for key in ("incr_ratio", "decr_ratio")}
            typed["scale"] = np.array([state["scale"]], dtype="float32")
            typed["use_dynamic_loss_scaling"] = bool(state["use_dynamic_loss_scaling"])
            self.scaler.load_state_dict(cast(Any, typed))

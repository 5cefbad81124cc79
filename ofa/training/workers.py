"""Threads that share the rows of a training step, on one set of weights.

Of Paddle's CPU kernels, matrix products alone run on several cores: with two, a step is as slow as what lies
between the products. Here every thread runs the whole step on its part of the rows, with gradients of its own.
Gradients are added in a fixed order, and each thread draws its own random numbers, so that the same seed and
number of threads give the same bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import paddle
from paddle import nn

from ofa.model.network import LEAST_ROWS
from ofa.supernet import kernels
from ofa.system import process

Result = TypeVar("Result")


def twin(model: nn.Layer) -> nn.Layer:
    """A copy of ``model`` that shares its weights and has gradients of its own."""
    weights = {id(weight): weight.detach() for weight in model.parameters()}
    for weight in weights.values():
        weight.stop_gradient = False
    return copy.deepcopy(model, weights)


class Workers:
    """``count`` threads, and for each a model: ``model`` itself, and twins of it."""

    def __init__(self, model: nn.Layer, count: int) -> None:
        self._models = [model, *(twin(model) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count)

    def run(self, work: Callable[[nn.Layer, slice], Result], rows: int) -> list[Result]:
        """The results of ``work`` on equal parts of ``rows``, in order; gradients end up in the first model."""
        used = self._models[: max(1, rows // LEAST_ROWS)]
        if len(used) == 1:
            return [work(used[0], slice(0, rows))]
        bounds = [rows * number // len(used) for number in range(len(used) + 1)]
        seeds = [int(seed) for seed in paddle.randint(0, 2**31 - 1, [len(used)])]
        cores = max(1, process.threads() // len(used))

        def part(number: int) -> Result:
            used[number].train() if used[0].training else used[number].eval()
            process.use_threads(cores)
            with kernels.dropout_seed(seeds[number]):
                return work(used[number], slice(bounds[number], bounds[number + 1]))

        try:
            results = list(self._pool.map(part, range(len(used))))
        finally:
            process.use_threads(process.threads())
        for other in used[1:]:
            _move_gradients(other, used[0])
        return results


def _move_gradients(source: nn.Layer, target: nn.Layer) -> None:
    """Add the gradients of ``source`` to those of ``target``, its twin, and clear them."""
    with paddle.no_grad():
        for given, taking in zip(source.parameters(), target.parameters(), strict=True):
            if given.grad is not None and taking.grad is not None:
                taking.grad.add_(given.grad)
                given.clear_gradient(False)

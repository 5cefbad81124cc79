"""A step on the true labels has the gradients that one backward pass over the batch has, on any number of threads."""

from __future__ import annotations

import copy

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.data.batches import Batch
from ofa.data.kinds import KINDS
from ofa.model import network as models
from ofa.model.architectures import ARCHITECTURES
from ofa.training.labelled import labelled_step
from ofa.training.precision import Precision


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("name", "kind"), [("bert", "classes"), ("bert", "score"), ("electra", "classes")])
def test_gradients_are_those_of_one_pass(name: str, kind: str, threads: int) -> None:
    paddle.seed(3)
    architecture, rng = ARCHITECTURES[name], np.random.default_rng(0)
    model = models.build(TOY, 0.0, architecture=architecture, extra=architecture.defaults)
    whole = copy.deepcopy(model)
    ids = rng.integers(5, TOY.vocab_size, (29, 9))
    ids[::3, 6:] = architecture.pad
    labels = rng.integers(0, TOY.num_labels, 29) if kind == "classes" else rng.random((29, TOY.num_labels), np.float32)
    batch = Batch(ids, np.zeros_like(ids), labels, np.arange(29), row_share=0.5)
    logits = models.forward(whole, paddle.to_tensor(ids), paddle.zeros_like(paddle.to_tensor(ids)))[0]
    expected = 0.5 * KINDS[kind].loss(logits, paddle.to_tensor(labels))
    expected.backward()
    model.train()
    found = labelled_step(model, KINDS[kind], Precision("fp32"), threads)(batch, 0)
    np.testing.assert_allclose(float(found["loss"]), float(expected), rtol=1e-5)
    for (key, one), other in zip(model.named_parameters(), whole.parameters(), strict=True):
        gradient = np.zeros(one.shape) if other.grad is None else other.grad.numpy()
        own = np.zeros(one.shape) if one.grad is None else one.grad.numpy()
        np.testing.assert_allclose(own, gradient, atol=2e-6, err_msg=key)


def test_training_that_was_stopped_ends_with_the_same_bits_on_threads_with_dropout() -> None:
    rng = np.random.default_rng(0)
    batches = [
        Batch(
            rng.integers(5, TOY.vocab_size, (33, 9)),
            np.zeros((33, 9), np.int64),
            rng.integers(0, TOY.num_labels, 33),
            np.arange(33),
        )
        for _ in range(4)
    ]

    def trained(first: int, last: int, start: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        paddle.seed(7)
        model = models.build(TOY, 0.1)
        step = labelled_step(model, KINDS["classes"], Precision("fp32"), 3)
        optimizer = paddle.optimizer.SGD(0.1, parameters=model.parameters())
        if start:
            model.set_state_dict({key: paddle.to_tensor(value) for key, value in start.items()})
        for number in range(first, last):
            model.train()
            paddle.seed(100 + number)
            step(batches[number], number)
            optimizer.step()
            optimizer.clear_grad(set_to_zero=False)
            models.forward_of(model)(batches[0].input_ids, batches[0].token_type_ids)  # as between two epochs
        return {key: value.numpy().copy() for key, value in model.state_dict().items()}

    whole, half = trained(0, 4), trained(0, 2)
    resumed = trained(2, 4, half)
    assert all((whole[key] == resumed[key]).all() for key in whole)
    assert any((whole[key] != half[key]).any() for key in whole)

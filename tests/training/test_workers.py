"""Threads that share rows: which rows each gets, whose weights it has, where its gradients go."""

import numpy as np
import paddle
import pytest

from ofa.supernet import kernels
from ofa.system import process
from ofa.training.workers import Workers, twin


@pytest.mark.parametrize(
    ("rows", "bounds"), [(1, [0, 1]), (15, [0, 15]), (16, [0, 8, 16]), (23, [0, 11, 23]), (64, [0, 21, 42, 64])]
)
def test_rows_are_shared_out_where_there_are_enough(rows, bounds):
    parts = Workers(paddle.nn.Linear(2, 2), 3).run(lambda model, part: part, rows)
    assert parts == [slice(start, end) for start, end in zip(bounds, bounds[1:], strict=False)]


def test_a_twin_has_the_weights_and_gradients_of_its_own():
    model = paddle.nn.Linear(2, 2)
    other = twin(model)
    other(paddle.ones([1, 2])).sum().backward()
    assert model.weight.grad is None and other.weight.grad is not None
    model.weight.set_value(paddle.full([2, 2], 3.0))
    assert (other.weight == 3).all()


def test_gradients_of_all_parts_are_added_to_those_of_the_model():
    model = paddle.nn.Linear(2, 1)
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=[32, 2]).astype("float32"))
    workers = Workers(model, 3)
    for times in (1, 2):
        workers.run(lambda model, rows: model(x[rows]).sum().backward(), 32)
        np.testing.assert_allclose(model.weight.grad.numpy()[:, 0], times * x.numpy().sum(0), rtol=1e-5)


def test_threads_draw_differently_from_one_seed_and_train_when_the_model_does():
    workers = Workers(paddle.nn.Linear(1, 1), 2)
    workers._models[0].eval()

    def work(model, rows):
        return model.training, kernels.dropout(paddle.ones([1000]), 0.5).numpy()

    draws = []
    for seed in (1, 1, 2):
        paddle.seed(seed)
        (one_trains, one), (other_trains, other) = workers.run(work, 16)
        assert not one_trains and not other_trains
        assert (one != other).any()
        draws.append(np.stack([one, other]))
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_an_error_in_a_thread_is_raised_and_the_threads_of_products_are_restored(monkeypatch):
    counts = []
    monkeypatch.setattr(process, "use_threads", counts.append)
    monkeypatch.setenv("MKL_NUM_THREADS", "6")

    def work(model, rows):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Workers(paddle.nn.Linear(1, 1), 2).run(work, 16)
    assert counts[0] == 3 and counts[-1] == 6

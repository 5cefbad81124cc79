"""The memory of the teacher's outputs: what the teacher says, whatever a row is batched with."""

import numpy as np
import paddle
import pytest
from helpers.toys import TOY

from ofa.data.batches import collate
from ofa.data.tokens import Encoded
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet
from ofa.training.distillation import Distillation, TeacherCache, teacher_outputs
from ofa.training.precision import Precision

FP32 = Precision("fp32")


@pytest.fixture
def rows() -> Encoded:
    """Eleven rows of 3 to 9 tokens."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 10, 11)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(1, TOY.vocab_size, offsets[-1]).astype("int32")
    return Encoded(ids, offsets, lengths.astype("int32"), np.zeros(11, "int64"), np.zeros(11, bool))


def tokens_of(batch):
    return paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids)


def test_what_is_recalled_is_what_the_teacher_says(toy, rows):
    memory = TeacherCache(toy, rows, 4, FP32)
    for picked in ([7, 0, 3], [10], [2, 5, 8, 1]):
        batch = collate(rows, np.array(picked))
        logits, hidden = memory.lookup(batch)
        expected_logits, expected_hidden = teacher_outputs(toy, *tokens_of(batch), FP32)
        np.testing.assert_allclose(logits.numpy(), expected_logits.numpy(), atol=1e-5)
        assert len(hidden) == len(expected_hidden) == TOY.num_hidden_layers + 1
        filled = batch.input_ids != 0
        for found, expected in zip(hidden, expected_hidden, strict=True):
            np.testing.assert_allclose(found.numpy()[filled], expected.numpy()[filled], atol=1e-5)
            assert np.isfinite(found.numpy()).all()  # padding is masked by a product, which does not mask nan


def test_a_step_towards_remembered_outputs_is_the_same_step(toy, rows):
    memory = TeacherCache(toy, rows, 4, FP32)
    teacher, batch = elastic.extract(toy, elastic.full(toy)), collate(rows, np.array([4, 9, 6]))
    for parameter in toy.parameters():
        parameter.set_value(parameter * 1.1)
    work = Distillation(elastic.make_elastic(toy), teacher, 0.1, 1.0)
    subnets = [SubNet.at(width, 1.0, TOY) for width in (1.0, 0.5)]
    asked = work.step(*tokens_of(batch), subnets)
    remembered = work.step(*tokens_of(batch), subnets, targets=memory.lookup(batch))
    for name, value in asked.items():
        assert float(value) > 0
        np.testing.assert_allclose(float(remembered[name]), float(value), rtol=1e-5)


def test_a_second_memory_is_the_same_to_the_bit(toy, rows):
    batch = collate(rows, np.arange(len(rows))[::-1])
    first, second = (TeacherCache(toy, rows, 4, FP32).lookup(batch) for _ in range(2))
    for one, other in zip((first[0], *first[1]), (second[0], *second[1]), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_stated_size_is_the_size(toy, rows):
    memory = TeacherCache(toy, rows, 4, FP32)
    kept = sum(array.nbytes for array in [memory._logits, *memory._hidden])
    assert TeacherCache.size_mb(rows, TOY) == pytest.approx(kept / 1e6)

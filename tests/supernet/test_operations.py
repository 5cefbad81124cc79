"""The walk over a network's operations: its arithmetic is that of count_macs, fused or not."""

from __future__ import annotations

import pytest

from ofa.supernet.operations import operations
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs

SHAPE = EncoderShape(3, 96, 3, 200)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("subnet", [SubNet.full(SHAPE), SubNet((1, 3, 2), (7, 200, 50))])
def test_arithmetic_is_two_flop_for_each_multiplication_counted(subnet: SubNet, fused: bool) -> None:
    found = operations(SHAPE, subnet, 5, 24, "fp32", fused)
    assert sum(op.flops for op in found) == pytest.approx(2 * 5 * count_macs(SHAPE, subnet, 24))


def test_a_fused_engine_has_fewer_operations_that_move_fewer_bytes() -> None:
    plain, fused = (operations(SHAPE, SubNet.full(SHAPE), 5, 24, "fp16", kind) for kind in (False, True))
    assert len(fused) < len(plain)
    assert sum(op.bytes_moved for op in fused) < sum(op.bytes_moved for op in plain)


def test_int8_moves_a_quarter_of_fp32_in_products_and_half_elsewhere() -> None:
    full = [SHAPE, SubNet.full(SHAPE), 5, 24]
    for wide, narrow in zip(operations(*full, "fp32", True), operations(*full, "int8", True), strict=True):
        assert narrow.bytes_moved == wide.bytes_moved / (4 if wide.flops else 2), wide.name

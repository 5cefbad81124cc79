"""One line for each kind of remark, of however many networks, and none where there is nothing to say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import results, timed

from ofa.hardware import load_target
from ofa.results.record import Results
from ofa.results.remarks import again, remarks
from ofa.settings.schema import Config
from ofa.supernet.space import networks
from ofa.supernet.subnet import EncoderShape

SHAPE = EncoderShape(12, 768, 12, 3072)


def said(found: Results) -> list[str]:
    return remarks(
        found,
        Path("out/my runs/a"),
        Config(hardware=load_target("t4")),
        SHAPE,
        networks([1.0, 0.75, 0.5], [1.0], SHAPE),
    )


def test_times_that_fall_as_macs_do_are_not_remarked() -> None:
    found = timed(results(target="t4"), [4.0, 3.0, 2.0], engine="tensorrt", precision="fp16")
    assert said(timed(found, [40.0, 30.0, 20.0], "measured", where="cpu")) == []


def test_measured_times_of_all_networks_share_a_line() -> None:
    found = timed(results(target="cpu"), [40.0, 39.0, 38.0], "measured", where="cpu")
    found = timed(found, [10.0, 9.6, 5.1], "measured", where="cpu", batch_size=1)
    (line,) = said(found)
    assert "width 0.75 96% to 98% of the time with 75% of the MACs (2 of 2 figures)" in line
    assert "width 0.5 95% of the time with 50% of the MACs (1 of 2 figures)" in line


def test_times_in_a_precision_that_is_not_recommended_are_not_remarked() -> None:
    """The table has FP32, where width 1/2 is 2.00x; a line on BF16, which no file was compared in, would deny it."""
    found = timed(results(target="cpu"), [4.0, 3.0, 2.0], where="cpu")
    assert said(timed(found, [1.0, 0.99, 0.98], where="cpu", precision="bf16")) == []


def test_estimates_that_are_bound_by_the_same_share_a_line() -> None:
    at_one = {"engine": "tensorrt", "precision": "fp16", "batch_size": 1, "seq_length": 16}
    (line,) = said(timed(results(target="t4"), [1.0, 0.99, 0.98], **at_one))
    assert line.startswith(
        "At batch 1 x 16 fewer MACs save little time (estimated): width 0.75 1.01x, width 0.5 1.02x; "
    )
    assert line.endswith("is in operations bound by their launch, which only fewer layers save (ofa.depths).")


@pytest.mark.parametrize(("faster", "remarked"), [(10.0, True), (38.0, False)])
def test_an_engine_that_gains_more_than_any_width_is_named(faster: float, remarked: bool) -> None:
    found = timed(results(target="cpu"), [40.0, 30.0, 20.0], "measured", where="cpu")
    found = timed(found, [faster, faster * 0.75, faster / 2], "measured", where="cpu", engine="onnxruntime")
    lines = [line for line in said(found) if "more than any sub-network gains" in line]
    assert bool(lines) == remarked
    assert not lines or lines[0].startswith(
        "ONNX Runtime runs the full network 4.0x as fast as Paddle Inference on cpu"
    )


def test_rows_left_out_are_counted() -> None:
    found = replace(results(), rows={"train": {"used": 90, "left_out": 10}, "dev": {"used": 100, "left_out": 0}})
    (line,) = said(found)
    assert line.startswith("10 of 100 rows of the train split were malformed")


def test_nothing_is_made_of_figures_that_a_busy_machine_spoilt() -> None:
    found = timed(results(target="cpu"), [40.0, 39.0, 38.0], "measured", where="cpu")
    found = timed(found, [1.0, 0.9, 0.8], "measured", where="cpu", engine="onnxruntime")
    assert len(said(found)) == 2
    names = [one.name(found.unnamed_engine) for one in found.largest.latencies]
    (line,) = said(replace(found, unsteady=tuple(names)))
    assert line.startswith("Unreliable, as the machine was busy")


def test_what_is_measured_again_is_what_was_unsteady_on_as_many_threads() -> None:
    """At other threads all that there is of the CPU would go; without the options, the job's own are measured."""
    names = ("cpu_fp32_b1_s64_measured", "cpu_onnxruntime_int8_b1_s64_measured", "t4_tensorrt_fp16_b16_s128_measured")
    found = replace(results(), unsteady=names, measured_on={"cpu": {"threads": 3}, "t4": {"threads": 16}})
    run = Path("out/my runs/a")
    commands = [
        "ofa time 'out/my runs/a' --device cpu --threads 3 --engines paddle onnxruntime --precisions fp32 int8 "
        "--batch-sizes 1 --seq-lengths 64",
        "ofa time 'out/my runs/a' --device gpu --engines tensorrt --precisions fp16 --batch-sizes 16 --seq-lengths 128",
    ]
    assert again(found, run) == commands and again(replace(found, unsteady=()), run) == []
    assert said(found)[0].endswith(f"Measure again: {' and '.join(commands)}")

"""Which network is recommended, and what is warned of."""

from dataclasses import replace

import pytest
from helpers.results import network, results, timed

from ofa.hardware import load_target
from ofa.results import advice, collect
from ofa.settings.schema import Config, LatencyConfig
from ofa.supernet.space import networks
from ofa.supernet.subnet import EncoderShape

SHAPE = EncoderShape(12, 768, 12, 3072)
FAMILY = networks([1.0, 0.75, 0.5], SHAPE)


@pytest.mark.parametrize(
    ("tolerance", "chosen"), [(0.5, 0.75), (0.4, 0.75), (0.39, 1.0), (2.0, 0.5), (1.99, 0.75), (0.0, 1.0)]
)
def test_the_cheapest_width_within_tolerance_is_recommended(tolerance, chosen):
    found = advice.recommend(results(), tolerance)
    assert (found.width, found.name) == (chosen, f"w{chosen:g}")
    assert f"Take width {chosen:.4g}: the cheapest within {tolerance:g} points" in found.words


def test_no_width_within_tolerance_is_said():
    found = advice.recommend(results(scores={1.0: 0.83, 0.75: 0.826, 0.5: 0.81}), 0.5)
    assert found.width is found.name is None
    assert found.words.startswith("No width is within 0.5 points of the teacher (0.9300); the best is width 1")


def test_a_better_width_than_the_teacher_counts_as_close():
    assert advice.recommend(results(scores={1.0: 0.93, 0.5: 0.95}), 0.0).width == 0.5


def test_depth_is_part_of_the_name():
    found = results()
    found = replace(found, networks=(*found.networks, network(0.75, 0.929, depth=0.5)))
    chosen = advice.recommend(found, 0.5)
    assert chosen.name == "w0.75-d0.5" and "Take width 0.75, depth 0.5:" in chosen.words


def settings(**latency):
    return Config(hardware=load_target("t4"), latency=LatencyConfig(**latency))


def estimated(config):
    found = results()
    ones = [replace(one, latencies=tuple(collect.estimates(config, SHAPE, FAMILY[one.name]))) for one in found.networks]
    return replace(found, networks=tuple(ones))


def test_estimates_are_named_and_speed_up_is_against_the_largest():
    config = settings(batch_sizes=[16], precisions=["fp32"])
    found = estimated(config)
    entries = found.to_json()["widths"]
    assert [list(entry["latency_ms"]) for entry in entries] == [["t4_fp32_b16_s128_estimated"]] * 3
    speedups = [entry["speedup"]["t4_fp32_b16_s128_estimated"] for entry in entries]
    assert speedups[0] == 1 and 1.2 < speedups[1] < 1.4
    assert advice.warnings(found, config, SHAPE, FAMILY) == []


def test_a_network_that_gains_nothing_is_explained():
    config = settings(batch_sizes=[1], seq_lengths=[8], precisions=["fp16"])
    found = advice.warnings(estimated(config), config, SHAPE, FAMILY)
    assert len(found) == 2
    assert found[1] == (
        "width 0.5 has an estimated speed-up of only t4_fp16_b1_s8 1.00x; "
        "100% of that time is bound by launching operations."
    )


def test_a_small_speed_up_is_told_as_it_is():
    """Not the share of the time that is left, nor its inverse twice."""
    config = settings(batch_sizes=[16], seq_lengths=[128], precisions=["fp32"])
    found = advice.warnings(timed(results(), [10.0, 9.0, 8.0]), config, SHAPE, FAMILY)
    assert [sentence.partition(";")[0] for sentence in found] == [
        "width 0.75 has an estimated speed-up of only t4_fp32_b16_s128 1.11x",
        "width 0.5 has an estimated speed-up of only t4_fp32_b16_s128 1.25x",
    ]


def test_a_measured_time_far_from_the_macs_is_named():
    found = timed(results(), [10.0, 7.6, 9.0], "measured", where="cpu")
    assert advice.warnings(found, settings(), SHAPE, FAMILY) == [
        "width 0.5 has 50% of the full network's MACs but more of its measured latency (cpu_fp32_b16_s128 90%): "
        "the rest is not matrix multiplication."
    ]
    assert found.to_json()["widths"][1]["speedup"]["cpu_fp32_b16_s128_measured"] == pytest.approx(10 / 7.6)

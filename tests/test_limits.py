from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ofa.hardware import estimate, load_target
from ofa.limits import Limits, figure, figure_problems, figures
from ofa.settings.schema import Config, HardwareConfig
from ofa.supernet.layerwise import Space
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params

SHAPE = EncoderShape(6, 384, 12, 1536)
FULL = SubNet.full(SHAPE)
SPACE = Space.between([FULL, SubNet.at(0.5, 0.5, SHAPE)], SHAPE)
SMALL = SubNet((3, 12, 1), (128, 1536, 512), (0, 2, 5))


def job(**limits: float | str | None) -> Config:
    config = Config(hardware=load_target("t4"))
    return replace(config, search=replace(config.search, **limits))


def test_a_network_costs_what_the_results_will_say() -> None:
    limits = Limits.of(job(max_params=1e7, max_macs=2e8, max_latency_ms=1.0, figure="t4_fp16_b1_s128_estimated"), SHAPE)
    assert limits.costs(SMALL) == {
        "max_latency_ms": estimate("t4", "tensorrt", "fp16", SHAPE, SMALL, 1, 128).ms,
        "max_params": count_params(SHAPE, SMALL),
        "max_macs": count_macs(SHAPE, SMALL, 128),
    }
    assert limits.share(SMALL) == max(cost / limits.allowed[name] for name, cost in limits.costs(SMALL).items()) > 1


def test_without_a_name_the_latency_is_the_target_s_first_estimate() -> None:
    names = list(figures(job(max_latency_ms=1.0)))
    assert figure(job(max_latency_ms=1.0)) == names[0] == "t4_fp16_b16_s128_estimated"
    assert "t4_fp32_b1_s128_estimated" in names
    assert figure(job(max_latency_ms=1.0, figure=names[-1])) == names[-1]


def test_a_limit_that_nothing_meets_is_a_line_with_the_least_that_can_be_asked() -> None:
    def said(name: str, limit: float) -> Iterator[str]:
        return Limits.of(job(**{name: limit}), SHAPE).problems(SPACE)

    least = count_macs(SHAPE, SPACE.smallest, 128)
    (words,) = said("max_macs", 1000)
    assert words.startswith("search.max_macs: 1,000 is less than any network of this job has; the least is ")
    assert f" {least} (ofa.widths" in words and not list(said("max_macs", least))
    (words,) = said("max_latency_ms", 0.001)
    reachable = float(words.partition("the least is ")[2].split()[0])
    assert not list(said("max_latency_ms", reachable)) and list(said("max_latency_ms", reachable - 0.002))
    assert len(list(Limits.of(job(max_macs=1, max_params=1, max_bytes=1), SHAPE).problems(SPACE))) == 3


def test_a_figure_that_is_unknown_or_cannot_be_is_a_line() -> None:
    (words,) = figure_problems(job(max_latency_ms=8, figure="t4_fp8_b1_s128_estimated"))
    assert words.startswith("search.figure: 't4_fp8_b1_s128_estimated' is unknown; allowed: t4_fp16_b16_s128_estimated")
    nothing = replace(job(max_latency_ms=8), hardware=HardwareConfig("cpu"))
    assert list(figure_problems(nothing)) == [
        "search.max_latency_ms: nothing is estimated for cpu; allowed: max_macs, max_params"
    ]
    assert not list(figure_problems(job(max_latency_ms=8))) and not list(figure_problems(job(max_macs=8)))

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ofa.errors import UserError
from ofa.hardware import estimate, load_target
from ofa.limits import (
    Limits,
    figure,
    figure_problems,
    figures,
    require_reachable,
    times_layers,
    timing_problems,
)
from ofa.settings.schema import Config, HardwareConfig
from ofa.supernet.layer_times import LayerTimes, to_time
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


def test_the_machine_is_looked_at_only_for_a_limit_on_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr("ofa.limits.available", lambda device: looked.append(device) or {})
    assert Limits.of(job(max_params=1e7), SHAPE).costs(SMALL) and not looked
    Limits.of(job(max_latency_ms=1.0), SHAPE)
    assert looked


def test_without_a_name_the_latency_is_the_target_s_first_estimate() -> None:
    names = [name for name in figures(job(max_latency_ms=1.0)) if name.endswith("estimated")]
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
    assert "cpu_onnxruntime_int8_b1_s128_measured" in words
    nothing = replace(HERE, latency=replace(HERE.latency, engines=["tensorrt"]))
    assert list(figure_problems(nothing)) == [
        "search.max_latency_ms: nothing is estimated for cpu, and latency.* names nothing that this machine can time; "
        "allowed: max_macs, max_params"
    ]
    assert not list(figure_problems(job(max_latency_ms=8))) and not list(figure_problems(job(max_macs=8)))


HERE = replace(job(max_latency_ms=8.0), hardware=HardwareConfig("cpu", device="cpu"))  # of which nothing is estimated


def test_a_figure_of_this_machine_is_one_that_its_engines_have() -> None:
    names = list(figures(HERE))
    assert names[0] == figure(HERE) == "cpu_fp32_b16_s128_measured" and times_layers(HERE)
    assert {"cpu_onnxruntime_fp32_b1_s128_measured", "cpu_onnxruntime_int8_b1_s128_measured"} <= set(names)
    assert not any("fp16" in name or "tensorrt" in name for name in names)
    without = replace(HERE, int8=replace(HERE.int8, enabled=False))
    assert not any("int8" in name for name in figures(without)), "no such network is made"
    assert not times_layers(job(max_macs=1e9)) and not times_layers(job(max_latency_ms=1.0))


def test_what_this_machine_cannot_time_is_a_line_on_the_machine_that_is_to() -> None:
    def named(name: str) -> Config:
        return replace(HERE, search=replace(HERE.search, figure=name))

    for name in ("t4_fp32_b1_s128_measured", "cpu_tensorrt_fp32_b1_s128_measured", "cpu_fp32_b3_s128_measured"):
        (words,) = timing_problems(named(name))
        assert words.startswith(f"search.figure: {name!r} cannot be timed here; allowed: cpu_fp32_b16_s128_measured, ")
        assert not list(figure_problems(named(name))), "who launches a sweep is not asked"
    assert not list(timing_problems(HERE)) and not list(timing_problems(job(max_macs=1e9)))
    busy = replace(HERE, sweep=replace(HERE.sweep, parallel_jobs=2))
    (words,) = figure_problems(busy)
    assert words.startswith("search.figure: cpu_fp32_b16_s128_measured would be timed while several jobs run at once")
    assert words.endswith("allowed: an estimate, or sweep.parallel_jobs=1")


def test_a_limit_on_a_measured_latency_counts_once_there_is_a_table(tmp_path: Path) -> None:
    timed = {subnet: 1.0 + sum(subnet.heads) + sum(subnet.neurons) / 100 for subnet in to_time(SPACE, 4)}
    table, both = LayerTimes.fit(timed), replace(HERE, search=replace(HERE.search, max_macs=1e9))
    small = SubNet((6, 12, 7), (768, 1536, 1024), (0, 2, 5))
    assert Limits.of(both, SHAPE).costs(small).keys() == {"max_macs"}
    found = Limits.of(both, SHAPE, table)
    assert found.costs(small)["max_latency_ms"] == table.ms(small) == pytest.approx(1 + 25 + 33.28)
    table.write(tmp_path, timed)
    with pytest.raises(UserError) as caught:
        require_reachable(both, SHAPE, SPACE, tmp_path)
    assert str(caught.value).startswith("search.max_latency_ms: 8 is less than any network of this job has; the least")
    reachable = float(str(caught.value).partition("the least is ")[2].split()[0])
    require_reachable(replace(both, search=replace(both.search, max_latency_ms=reachable)), SHAPE, SPACE, tmp_path)

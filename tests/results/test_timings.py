"""What was timed, here or on another machine, reaches every place and stays."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import results, timed

from ofa.hardware import load_target
from ofa.results import advice, collect, report, timings
from ofa.results.figures import draw
from ofa.results.remarks import remarks
from ofa.settings.schema import Config
from ofa.supernet.space import networks
from ofa.supernet.subnet import EncoderShape
from ofa.tracking.pages import note, views

SHAPE = EncoderShape(12, 768, 12, 3072)
MACHINE = {"cpu": "x", "cores": 4, "gpu": "Tesla T4"}
TIMES = itertools.count(1)


def record(*medians: float, where: str = "t4", engine: str = "tensorrt", precision: str = "fp16") -> dict:
    """What ``time_folders`` returns on a machine with that device."""
    setting = {"engine": engine, "precision": precision, "batch_size": 16, "seq_length": 128}
    rows = [
        {"network": name, **setting, "median_ms": ms, "p90_ms": ms}
        for name, ms in zip(("w1", "w0.75", "w0.5"), medians, strict=True)
    ]
    about = {"device": "gpu:0", "threads": 4, "machine": MACHINE, "versions": {}, "time": float(next(TIMES))}
    return {"where": where, **about, "timings": rows}


@pytest.fixture
def found():
    some = timed(results(target="t4", dev_rows=872), [4.0, 3.0, 2.0], evidence="fitted on 4 rows")
    some = timed(some, [40.0, 30.0, 20.0], "measured", where="cpu")
    return replace(some, recommended=advice.recommend(some, 0.5))


def test_a_measurement_on_the_target_reaches_every_place(found, tmp_path: Path):
    """Measured on a T4, width 1/2 is no faster: the estimate said otherwise."""
    some = timings.with_timings(found, record(5.0, 2.5, 4.9))
    some = replace(some, recommended=advice.recommend(some, 2.0))
    name = "t4_tensorrt_fp16_b16_s128_measured"
    assert some.recommended is not None and some.recommended.name == "w0.75"
    assert some.recommended.evidence == "measured on t4" and "(measured on t4)" in some.recommended.words
    rows = report.table(some)
    assert rows[0][-4:] == ["ms t4", "speed-up", "ms cpu", "speed-up"] and rows[3][-4:-2] == ["2.50", "2.00x"]
    assert "t4: Tesla T4; medians." in report.legend(some)
    assert name in report.text(some)
    assert some.to_json()["widths"][1]["latency_ms"][name] == 2.5
    view, tags = views(some)
    assert f"latency_ms/{name}" in str(tags)
    config = Config()
    config.task.name, config.model.name = "toy", "bert"
    assert note(some, config, view, "sqlite:///x.db").startswith(f"**{some.recommended.words}**")
    draw(some, tmp_path / "figure.png")


def test_what_was_timed_stays_when_results_are_collected_anew(found, tmp_path: Path):
    timings.keep_timings(tmp_path, record(5.0, 2.5, 4.9))
    timings.keep_timings(tmp_path, record(9.0, 8.0, 7.0, engine="paddle", precision="fp32"))
    timings.keep_timings(tmp_path, record(4.0, 2.0, 3.9))  # the first once more, measured anew
    kept = timings.kept_timings(tmp_path)
    assert len(kept) == 2
    for one in kept:
        found = timings.with_timings(found, one)
    measured = {latency.name(found.unnamed_engine): latency.ms for latency in found.networks[1].latencies}
    assert measured["t4_tensorrt_fp16_b16_s128_measured"] == 2.0 and measured["t4_fp32_b16_s128_measured"] == 8.0


def test_a_file_of_timings_copied_into_the_folder_is_noticed(found, tmp_path: Path):
    timings.keep_timings(tmp_path, record(5.0, 2.5, 4.9))
    assert not timings.has_timings(found, tmp_path)
    kept = timings.with_timings(found, timings.kept_timings(tmp_path)[0])
    collect.write(tmp_path, kept)
    assert timings.has_timings(collect.read(tmp_path), tmp_path)
    timings.keep_timings(tmp_path, record(5.0, 2.4, 4.9))
    assert not timings.has_timings(collect.read(tmp_path), tmp_path), "measured anew"


def test_a_busy_machine_is_said_with_the_command_that_times_again(found):
    busy = record(5.0, 2.5, 4.9)
    busy["timings"][1]["p90_ms"] = 9.0
    some = timings.with_timings(replace(found, run="a-run"), busy)
    assert some.unsteady == ("t4_tensorrt_fp16_b16_s128_measured",)
    config, run = Config(hardware=load_target("t4")), Path("/big disk/runs/a-run")
    (remark,) = [
        line for line in remarks(some, run, config, SHAPE, networks([1.0, 0.75, 0.5], [1.0], SHAPE)) if "busy" in line
    ]
    assert remark.startswith(
        "Unreliable, as the machine was busy (p90 over 1.5 times the median): t4_tensorrt_fp16_b16_s128_measured."
    )
    assert "Measure again: ofa time '/big disk/runs/a-run' --device gpu --engines tensorrt " in remark
    assert timings.with_timings(some, record(5.0, 2.5, 4.9)).unsteady == (), "measured again, in peace"


def test_the_tokenizer_stands_beside_the_figures_it_comes_on_top_of(found):
    one = timings.with_timings(found, record(5.0, 2.5, 4.0) | {"tokenizer_ms": {"b16_s128": 0.5}})
    line = (
        "From texts, the tokenizer comes on top of each figure of t4: batches of 16 x 128 0.50 ms; "
        "at 16 x 128 that is 10% of width 1's and 20% of width 0.75's time."
    )
    assert line in report.legend(one)
    assert one.to_json()["measured_on"]["t4"]["tokenizer_ms"] == {"b16_s128": 0.5}
    both = timings.with_timings(one, record(5.0, 2.5, 4.0) | {"tokenizer_ms": {"b1_s128": 0.1}})
    assert both.measured_on["t4"]["tokenizer_ms"] == {"b16_s128": 0.5, "b1_s128": 0.1}, "sizes of both sittings"
    plain = timings.with_timings(found, record(5.0, 2.5, 4.0))
    assert "tokenizer_ms" not in plain.measured_on["t4"] and "From texts" not in report.text(plain)


def test_a_newer_figure_replaces_the_one_of_its_name(found):
    once = timings.with_timings(found, record(5.0, 2.5, 4.9))
    twice = timings.with_timings(once, record(6.0, 3.5, 5.9))
    assert len(twice.networks[0].latencies) == len(once.networks[0].latencies)
    assert twice.ms(twice.networks[1], "t4_tensorrt_fp16_b16_s128_measured") == 3.5


def test_what_was_timed_before_the_results_and_is_older_than_they_are_is_known(found, tmp_path: Path):
    """The stage that was forced anew has newer figures than a file that ``ofa time`` left."""
    timings.keep_timings(tmp_path, record(5.0, 2.5, 4.9))
    kept, stage = timings.kept_timings(tmp_path)[0], record(1.0, 0.9, 0.8)
    for one in sorted([stage, kept], key=timings.when):
        found = timings.with_timings(found, one)
    assert found.ms(found.networks[0], "t4_tensorrt_fp16_b16_s128_measured") == 1.0
    assert timings.has_timings(found, tmp_path), "nothing is collected anew for it"


def on_cpu(name: str, threads: int, *medians: float, engine: str) -> dict:
    about = {"device": "cpu", "threads": threads, "machine": {"cpu": name, "cores": 32}}
    return record(*medians, where="cpu", engine=engine, precision="fp32") | about | {"tokenizer_ms": {"b16_s128": 0.5}}


def test_times_of_two_machines_do_not_stand_under_one_name():
    found = results(target="t4")
    for engine in ("paddle", "onnxruntime"):
        found = timings.with_timings(found, on_cpu("slow", 1, 400.0, 300.0, 200.0, engine=engine))
    assert len(found.figures) == 2, "of one machine, two engines"
    for machine in (("fast", 1), ("slow", 32)):
        other = timings.with_timings(found, on_cpu(*machine, 20.0, 15.0, 10.0, engine="onnxruntime"))
        assert list(other.figures) == ["cpu_onnxruntime_fp32_b16_s128_measured"]
        assert not any("times as fast" in line or "x as fast" in line for line in report.text(other).splitlines())
        on_t4 = timings.with_timings(other, record(5.0, 2.5, 4.9))
        assert len(on_t4.figures) == 2 and set(on_t4.measured_on) == {"cpu", "t4"}


def test_a_busy_machine_is_forgotten_with_its_times():
    busy = on_cpu("slow", 1, 400.0, 300.0, 200.0, engine="paddle")
    busy["timings"][0]["p90_ms"] = 900.0
    found = timings.with_timings(results(), busy)
    assert found.unsteady == ("cpu_fp32_b16_s128_measured",)
    assert timings.with_timings(found, on_cpu("fast", 1, 2.0, 1.5, 1.0, engine="onnxruntime")).unsteady == ()

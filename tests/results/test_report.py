"""What the user reads: the recommendation, the warnings, the table."""

import copy

import pytest

from ofa.hardware import load_target
from ofa.results import advice, collect, record, report
from ofa.results.figures import draw
from ofa.settings.schema import Config, LatencyConfig, OfaConfig
from ofa.supernet.subnet import BertShape

SHAPE = BertShape(12, 768, 12, 3072)


def width(value, score, macs):
    return {
        "width": value,
        "heads": round(12 * value),
        "neurons": round(3072 * value),
        "score": score,
        "metrics": {"accuracy": score},
        "params": int(1e8 * value),
        "macs": macs,
    }


@pytest.fixture
def results():
    widths = [width(1.0, 0.93, 1000), width(0.75, 0.926, 750), width(0.5, 0.91, 500)]
    teacher = {"score": 0.93, "metrics": {"accuracy": 0.93}, "params": int(1e8), "macs": 1000}
    return {"task": "sst2", "model": "bert", "seed": 1, "teacher": teacher, "widths": widths, "warnings": []}


@pytest.mark.parametrize(
    ("tolerance", "chosen"), [(0.5, 0.75), (0.4, 0.75), (0.39, 1.0), (2.0, 0.5), (1.99, 0.75), (0.0, 1.0)]
)
def test_the_cheapest_width_within_tolerance_is_recommended(results, tolerance, chosen):
    found = advice.recommend(results, tolerance)
    assert found["width"] == chosen
    assert f"Take width {chosen:.4g}: the cheapest within {tolerance:g} points" in found["words"]


def test_no_width_within_tolerance_is_said(results):
    for entry in results["widths"]:
        entry["score"] -= 0.1
    found = advice.recommend(results, 0.5)
    assert found["width"] is None
    assert found["words"].startswith("No width is within 0.5 points of the teacher (0.9300); the best is width 1")


def test_a_better_width_than_the_teacher_counts_as_close(results):
    results["widths"][2]["score"] = 0.95
    assert advice.recommend(results, 0.0)["width"] == 0.5


def settings(**latency):
    return Config(hardware=load_target("t4"), latency=LatencyConfig(**latency), ofa=OfaConfig())


def test_estimates_are_named_and_speed_up_is_against_full_width(results):
    config = settings(batch_sizes=[16], precisions=["fp32"])
    record.add_estimates(results, config, SHAPE)
    record.add_speedups(results)
    name = "t4_fp32_b16_s128_estimated"
    assert [list(entry["latency_ms"]) for entry in results["widths"]] == [[name]] * 3
    assert results["widths"][0]["speedup"][name] == 1
    assert 1.2 < results["widths"][1]["speedup"][name] < 1.4
    assert advice.warnings(results, config, SHAPE) == []


def test_an_estimate_says_for_which_engine_it_is_and_what_it_rests_on(results):
    config = settings(batch_sizes=[16], estimate_engines=["paddle_tensorrt", "onnxruntime"])
    record.add_estimates(results, config, SHAPE)
    record.add_speedups(results)
    assert results["estimated_for"] == {
        "t4_fp16_b16_s128_estimated": {"engine": "paddle_tensorrt", "evidence": "fitted on 3 rows"},
        "t4_onnxruntime_fp32_b16_s128_estimated": {"engine": "onnxruntime", "evidence": "fitted on 2 rows"},
    }
    said = "(t4_fp16_b16_s128_estimated, paddle_tensorrt, fitted on 3 rows)"
    assert said in advice.recommend(results, 0.5)["words"]
    assert "t4_fp16_b16_s128_estimated for paddle_tensorrt, fitted on 3 rows;" in "\n".join(report.legend(results))


def test_the_fitted_engine_at_its_fastest_precision_is_what_a_table_shows(results):
    record.add_estimates(results, settings(), SHAPE)
    name = record.headline(results, "estimated")
    assert name == "t4_fp16_b16_s128_estimated"
    assert results["estimated_for"][name]["engine"] == "tensorrt"
    assert "t4_fp32_b1_s128_estimated" in results["widths"][0]["latency_ms"]


def test_nothing_is_estimated_for_a_target_without_engines(results):
    record.add_estimates(results, Config(hardware=load_target("a100")), SHAPE)
    assert record.headline(results, "estimated") is None and "estimated_for" not in results


def test_a_width_that_gains_nothing_is_explained(results):
    config = settings(batch_sizes=[1], seq_lengths=[8], precisions=["fp16"], estimate_engines=["torchscript"])
    record.add_estimates(results, config, SHAPE)
    record.add_speedups(results)
    found = advice.warnings(results, config, SHAPE)
    assert len(found) == 2
    assert found[1] == (
        "width 0.5 is hardly faster, estimated: t4_fp16_b1_s8 1.00x; "
        "100% of that time is bound by launching operations."
    )


def test_a_measured_time_far_from_the_macs_is_named(results):
    record = {"where": "cpu", "device": "cpu", "threads": 2, "machine": {"cpu": "x"}, "versions": {}, "timings": {}}
    name = "latency_ms/cpu_fp32_b16_s128_measured"
    for entry, value in zip(results["widths"], (10.0, 7.6, 9.0), strict=True):
        record["timings"][str(entry["width"])] = {name: {"median_ms": value}}
    record.add_measured(results, record)
    record.add_speedups(results)
    found = advice.warnings(results, settings(), SHAPE)
    assert found == [
        "width 0.5 has 50% of full width's MACs but takes more of its time, measured: cpu_fp32_b16_s128 90%; "
        "there the time is not in the matrix products."
    ]
    assert results["widths"][1]["speedup"]["cpu_fp32_b16_s128_measured"] == pytest.approx(10 / 7.6)


def test_the_table_has_a_row_for_the_teacher_and_each_width(results):
    rows = report.table(results)
    assert rows[0] == ["network", "heads", "neurons", "params", "MACs", "accuracy", "vs teacher"]
    assert rows[3] == ["width 0.75", "9", "2304", "75M", "750", "0.9260", "-0.40"]
    lines = report.markdown(rows).splitlines()
    assert len({len(line) for line in lines}) == 1, "aligned"


def test_the_figure_is_drawn_from_what_there_is(results, tmp_path):
    draw(results, tmp_path / "few.png")
    more = copy.deepcopy(results)
    record.add_estimates(more, settings(), SHAPE)
    draw(more, tmp_path / "more.png")
    assert (tmp_path / "more.png").stat().st_size > (tmp_path / "few.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999"), (4_733_570, "4.73M"), (11_174_000_000, "11.2G"), (1500, "1.5k")]
)
def test_counts_for_people(count, text):
    assert report.human(count) == text


def test_a_start_that_scores_nothing_leaves_what_an_earlier_one_scored(results, tmp_path):
    for entry in results["widths"]:
        entry |= {"latency_ms": {"t4_fp32_b16_s128_estimated": 10.0 * entry["width"]}}
    record.add_speedups(results)
    results["recommended"] = advice.recommend(results, 0.5)
    unscored = {key: results[key] for key in ("task", "model", "seed")}
    assert [path.name for path in collect.write(tmp_path, unscored)] == ["results.json"]
    files = collect.write(tmp_path, results)
    before = {path.name: path.read_bytes() for path in files}
    assert collect.write(tmp_path, unscored) == files
    assert {path.name: path.read_bytes() for path in files} == before and len(before) == 3

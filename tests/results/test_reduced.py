"""Networks in reduced precision: in results.json and back, chosen by their own score, and never where they are slow."""

from dataclasses import replace

import pytest
from helpers.results import results, timed

from ofa.errors import UserError
from ofa.results.advice import objective, recommend
from ofa.results.figures import draw
from ofa.results.means import to_take
from ofa.results.record import Results
from ofa.results.reduced import Reduced, slower
from ofa.results.report import table
from ofa.settings.schema import ObjectiveConfig

HERE = {"where": "cpu", "engine": "onnxruntime", "kind": "measured"}


def small(score, engine="onnxruntime", precision="int8"):
    parity = {"engine": engine, "precision": precision, "logit_difference": 0.1, "score_drift": 0.7, "rows": 9}
    return Reduced(engine, precision, score, {"accuracy": score}, 0.2, 25_000_000, ("layer 3",), parity)


def with_int8(scores, fp32, int8):
    """A job timed on a CPU, the networks that have a score here in INT8, too."""
    found = timed(results(target="cpu"), fp32, **HERE)
    found = timed(found, int8, precision="int8", **HERE)
    networks = []
    for network, score in zip(found.networks, scores, strict=True):
        reduced = (small(score),) if score else ()
        latencies = tuple(one for one in network.latencies if score or one.precision != "int8")
        parity = tuple(one.parity for one in reduced)
        networks.append(replace(network, bytes=100_000_000, reduced=reduced, parity=parity, latencies=latencies))
    return replace(found, networks=tuple(networks))


def test_results_json_tells_of_them_and_is_read_back():
    found = with_int8((0.93, 0.925, None), [9, 7, 5], [4, 3, 2])
    first = found.networks[0]
    more = small(0.92, "tensorrt")
    first = replace(first, reduced=(*first.reduced, more), parity=(*first.parity, more.parity))
    found = replace(found, networks=(first, *found.networks[1:]))
    written = found.to_json()
    assert written["widths"][0]["int8"]["kept_fp32"] == ("layer 3",)
    assert written["widths"][0]["gpu_graphs"]["tensorrt_int8"]["score"] == 0.92
    assert "int8" not in written["widths"][2]
    assert Results.from_json(written).networks == found.networks


def test_the_fastest_that_keeps_its_score_is_recommended_with_its_precision():
    chosen = recommend(with_int8((0.93, 0.926, 0.9), [9, 7, 5], [4, 3, 2]), 0.5)
    assert (chosen.name, chosen.engine, chosen.precision) == ("w0.75", "onnxruntime", "int8")
    assert "ONNX Runtime int8" in chosen.words and "loses 0.40 points" in chosen.words


def test_int8_that_loses_more_than_the_tolerance_is_not_recommended_although_its_fp32_is_close():
    chosen = recommend(with_int8((0.93, 0.92, 0.9), [9, 3.5, 5], [4, 3, 2]), 0.5)
    assert (chosen.name, chosen.precision) == ("w0.75", "fp32")


def test_speed_is_against_the_full_network_as_it_may_run():
    """Its INT8, faster than anything that may be taken, loses too much: in FP32 width 3/4 is twice as fast as it."""
    found = with_int8((0.92, 0.915, 0.9), [40, 20, 15], [10, 5, 4])
    chosen = recommend(found, 0.5)
    assert (chosen.name, chosen.precision) == ("w0.75", "fp32")
    assert chosen.words.startswith("Take width 0.75 with ONNX Runtime fp32, batch 16: 2.00x the full network's speed")
    assert to_take([found])["speedup"] == 2.0


def test_where_no_network_is_faster_one_that_is_much_slower_is_not_taken_for_its_score():
    """The full network runs in INT8; of width 3/4 there is no INT8 file, and in FP32 it takes longer."""
    found = with_int8((0.9295, None, None), [9, 3, 2.5], [2, 0, 0])
    better = replace(found.networks[1], score=0.931)
    chosen = recommend(replace(found, networks=(found.networks[0], better, found.networks[2])), 0.5)
    assert (chosen.name, chosen.precision) == ("w1", "int8") and chosen.words.startswith("No network is faster on cpu")


def test_speed_is_against_the_full_network_in_int8_where_that_loses_little_more_than_the_network_does():
    """The full network itself is not within the tolerance, and what is recommended runs in INT8, too."""
    found = with_int8((0.921, 0.93, 0.9), [40, 20, 15], [10, 5, 4])
    first = replace(found.networks[0], score=0.922)
    chosen = recommend(replace(found, networks=(first, *found.networks[1:])), 0.5)
    assert (chosen.name, chosen.precision) == ("w0.75", "int8") and ": 2.00x the full" in chosen.words


def test_curves_are_at_the_scores_of_the_files_that_they_are_of(tmp_path, drawn):
    found = with_int8((0.92, 0.915, 0.88), [40, 20, 15], [10, 5, 4])
    networks = tuple(replace(one, lost=(-0.1, 0.9)) for one in found.networks)
    found = replace(found, networks=networks)
    draw(replace(found, recommended=recommend(found, 0.5)), tmp_path / "figure.png")
    curves = {line.get_label(): line for line in drawn[0].axes[0].lines}
    assert list(curves["ONNX Runtime fp32"].get_ydata()) == pytest.approx([-2.0, -0.4, 0.0])
    assert list(curves["ONNX Runtime int8"].get_ydata()) == pytest.approx([-5.0, -1.5, -1.0])
    assert drawn[0].axes[0].get_ylim()[0] < -5.0


def test_a_limit_on_a_figure_that_no_network_has_is_said_in_a_line():
    found = with_int8((None, None, None), [9, 7, 5], [4, 3, 2])
    found = replace(found, reference=with_int8((0.93, 0.9, 0.9), [9, 7, 5], [4, 3, 2]).networks[0])
    asked = ObjectiveConfig(max_latency_ms=5.0, latency="cpu_onnxruntime_int8_b16_s128_measured")
    with pytest.raises(UserError, match="no width is within 5 ms; none of them runs so"):
        objective(found, asked)


def test_int8_that_is_slower_is_a_warning_and_never_recommended():
    found = with_int8((0.93, 0.926, 0.91), [9, 7, 5], [9.5, 8, 6])
    (said,) = slower(found)
    assert said == (
        "INT8 gains nothing in ONNX Runtime on cpu: width 1 (batch 16, 9.5 ms, FP32 9 ms); "
        "width 0.75 (batch 16, 8 ms, FP32 7 ms); width 0.5 (batch 16, 6 ms, FP32 5 ms)."
    )
    assert recommend(found, 0.5).precision == "fp32"
    assert slower(with_int8((0.93, 0.926, 0.91), [9, 7, 5], [4, 3, 2])) == []
    for precision in ("int8", "fp32"):  # figures that another remark calls unreliable
        assert slower(replace(found, unsteady=(f"cpu_onnxruntime_{precision}_b16_s128_measured",))) == []


def test_of_two_engines_each_has_its_own_line_with_the_networks_concerned():
    found = with_int8((0.93, 0.926, 0.91), [9, 7, 5], [9.5, 8, 2])
    for precision, times in (("fp32", [8.0, 6.0, 4.0]), ("int8", [4.0, 3.0, 4.0])):
        found = timed(found, times, precision=precision, **{**HERE, "engine": "openvino"})
    assert [line.split(":")[0] for line in slower(found)] == [
        "INT8 gains nothing in ONNX Runtime on cpu",
        "INT8 gains nothing in OpenVINO on cpu",
    ]
    assert "width 0.5" not in slower(found)[0] and "width 1" not in slower(found)[1]


def test_the_graph_of_each_engine_has_its_own_score_in_results_json_and_in_the_recommendation():
    found = with_int8((0.93, 0.93, 0.9), [9, 7, 5], [4, 3, 2])
    found = timed(found, [2.0, 1.5, 1.0], precision="int8", **{**HERE, "engine": "openvino"})
    networks = []
    for network, score in zip(found.networks, (0.93, 0.91, 0.8), strict=True):
        more = small(score, "openvino")
        networks.append(replace(network, reduced=(*network.reduced, more), parity=(*network.parity, more.parity)))
    found = replace(found, networks=tuple(networks))
    written = found.to_json()
    assert [entry["cpu_graphs"]["openvino_int8"]["score"] for entry in written["widths"]] == [0.93, 0.91, 0.8]
    assert "gpu_graphs" not in written["widths"][0]
    assert Results.from_json(written).networks == found.networks
    chosen = recommend(found, 0.5)
    assert (chosen.name, chosen.engine, chosen.precision) == ("w1", "openvino", "int8")


@pytest.mark.parametrize(("where", "engine"), [("cpu", "paddle"), ("t4", "onnxruntime")])
def test_a_reduced_precision_of_a_cpu_that_was_not_compared_with_the_network_is_not_recommended(where, engine):
    """BF16 of an engine that was not here when the network was exported; a GPU is never here then."""
    found = results(target=where)
    for precision, times in (("fp32", [9.0, 7.0, 5.0]), ("bf16", [4.0, 3.0, 2.0])):
        found = timed(found, times, "measured", where=where, engine="onnxruntime", precision=precision)
    assert recommend(found, 0.5).precision == ("fp32" if where == "cpu" else "bf16")
    parity = {**small(0.9, engine, "bf16").parity, "score_drift": 0.1}
    compared = replace(found, networks=tuple(replace(one, parity=(parity,)) for one in found.networks))
    assert recommend(compared, 0.5).precision == ("bf16" if engine == "onnxruntime" else "fp32")


@pytest.mark.parametrize("scores", [(0.93, None, 0.91), (None, 0.926, None)])
def test_networks_without_a_file_leave_their_cells_empty(scores, tmp_path):
    found = with_int8(scores, [9, 7, 5], [4, 3, 2])
    found = replace(found, recommended=recommend(found, 0.5))
    rows = table(found)
    column = rows[0].index("INT8 size")
    assert [row[column] for row in rows[1:]] == ["", *("25MB" if score else "" for score in scores)]
    int8 = "cpu_onnxruntime_int8_b16_s128_measured"
    assert objective(found, ObjectiveConfig(max_latency_ms=3, latency=int8)) == max(filter(None, scores[1:]))
    draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size

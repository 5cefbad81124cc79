"""Networks in reduced precision: in results.json and back, chosen by their own score, and never where they are slow."""

from dataclasses import replace

import pytest
from helpers.results import results, timed

from ofa.results.advice import recommend
from ofa.results.figures import draw
from ofa.results.record import Results
from ofa.results.reduced import Reduced, slower
from ofa.results.report import table

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


def test_int8_that_is_slower_is_a_warning_and_never_recommended():
    found = with_int8((0.93, 0.926, 0.91), [9, 7, 5], [9.5, 8, 6])
    assert len(slower(found)) == 3
    assert slower(found)[1] == "width 0.75: INT8 gains nothing on cpu at batch 16 (8 ms, FP32 7 ms)."
    assert recommend(found, 0.5).precision == "fp32"
    assert slower(with_int8((0.93, 0.926, 0.91), [9, 7, 5], [4, 3, 2])) == []


@pytest.mark.parametrize("scores", [(0.93, None, 0.91), (None, 0.926, None)])
def test_networks_without_a_file_leave_their_cells_empty(scores, tmp_path):
    found = with_int8(scores, [9, 7, 5], [4, 3, 2])
    found = replace(found, recommended=recommend(found, 0.5))
    rows = table(found)
    column = rows[0].index("INT8 size")
    assert [row[column] for row in rows[1:]] == ["", *("25MB" if score else "" for score in scores)]
    draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size

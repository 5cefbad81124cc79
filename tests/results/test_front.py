from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.results import network, results, timed

from ofa.results import aggregate, front
from ofa.results.advice import objective, recommend, speedup
from ofa.results.figure import Latency
from ofa.results.figures import draw_sweep
from ofa.results.record import Results
from ofa.results.reduced import Reduced
from ofa.results.report import table, text
from ofa.settings.schema import ObjectiveConfig

SUBNETS = [{"heads": [9, 6], "neurons": [768, 3072], "layers": [0, 2]}, {"heads": [6, 6], "neurons": [768, 768]}]
ENTRIES: list[dict[str, Any]] = [
    {"name": f"search{place}", "score": 0.9 - place / 100, "costs": {"max_macs": 1000 / place}, "share": 1 / place}
    | {"subnet": subnet, "width": 0.6, "depth": 1.0, "chosen": place == 1}
    for place, subnet in enumerate(SUBNETS, 1)
]
UNIFORM = [{**ENTRIES[0], "name": "w0.5", "score": 0.85, "share": 0.8}]
SEARCH: dict[str, Any] = {"limits": {"max_macs": 1000.0}, "figure": None, "metric": "accuracy", "rows": 500}
SEARCH |= {"evaluations": 60, "front": ENTRIES, "uniform": [{k: v for k, v in UNIFORM[0].items() if k != "chosen"}]}


def searched(**more: Any) -> Results:
    found = results(search={**SEARCH, **more})
    one = network(0.6, 0.905, name="search1", heads=[9, 6], neurons=[768, 3072])
    return replace(found, networks=(*found.networks, one))


def test_the_front_comes_first_in_its_table_and_the_chosen_have_a_star() -> None:
    rows = front.table(SEARCH)
    assert rows == [
        ["network", "accuracy", "MACs", "layers", "heads", "neurons"],
        ["★ search1", "0.8900", "1,000", "2", "[9, 6]", "[768, 3072]"],
        ["search2", "0.8800", "500", "2", "6", "768"],
        ["w0.5", "0.8500", "1,000", "2", "[9, 6]", "[768, 3072]"],
    ]
    assert "within max_macs 1,000: of 60 networks scored" in front.words(SEARCH)
    assert "accuracy on 500 training rows held out of distillation" in front.words(SEARCH)


def test_a_job_with_limits_recommends_what_its_search_chose_not_what_dev_would() -> None:
    found = recommend(searched(), 0.5)
    assert found.name == "search1" and found.figure is None
    assert found.words.startswith("Take search1: the best found within max_macs 1,000; loses 2.50 points")
    nothing = recommend(replace(searched(), learned=False), 0.5)
    assert nothing.name is None


def test_a_limit_on_a_latency_says_how_the_network_is_run() -> None:
    figure = "t4_fp32_b16_s128_estimated"
    one = searched(limits={"max_latency_ms": 10.0}, figure=figure)
    found = recommend(timed(one, [16.0, 12.0, 8.0, 9.0]), 0.5)
    assert (found.name, found.figure, found.engine, found.batch_size) == ("search1", figure, "paddle", 16)
    assert "search1 with Paddle Inference fp32, batch 16: the best found within max_latency_ms 10 (9 ms" in found.words


def test_of_a_limited_latency_the_speed_is_against_the_full_network_at_the_same_sizes() -> None:
    """The figures come batch 16 first, and the limit is on batch 1."""
    figure = "cpu_onnxruntime_fp32_b1_s128_measured"
    one = timed(searched(limits={"max_latency_ms": 10.0}, figure=figure), [160.0] * 4, "measured", where="cpu")
    at_one = [replace(network.latencies[0], engine="onnxruntime", batch_size=1, ms=12.0) for network in one.networks]
    networks = [
        replace(network, latencies=(*network.latencies, replace(latency, ms=6.0) if network.searched else latency))
        for network, latency in zip(one.networks, at_one, strict=True)
    ]
    one = replace(one, networks=tuple(networks))
    assert (found := recommend(one, 0.5)).figure == figure
    assert speedup(one, found) == 2.0
    assert speedup(one, replace(found, figure=None)) is None


def test_of_networks_found_one_that_is_over_the_limit_when_timed_whole_is_not_taken() -> None:
    figure = "t4_fp32_b16_s128_estimated"
    one = searched(limits={"max_latency_ms": 10.0}, figure=figure)
    one = replace(one, networks=(*one.networks, network(0.5, 0.9, name="search2")))
    assert recommend(timed(one, [16.0, 12.0, 8.0, 9.0, 7.0]), 0.5).name == "search1"
    found = recommend(timed(one, [16.0, 12.0, 8.0, 11.0, 7.0]), 0.5)
    assert found.name == "search2" and "the best found within max_latency_ms 10 (7 ms" in found.words
    found = recommend(timed(one, [16.0, 12.0, 8.0, 11.0, 12.0]), 0.5)
    assert found.name == "search1"
    assert "the best found within max_latency_ms 10 by the sum over its layers (11 ms" in found.words


def with_int8(found: Results, scores: dict[str, float]) -> Results:
    """``found`` with what its networks score in INT8 and how long they take; those without a score have no file."""
    networks, way = [], ("onnxruntime", "int8")
    parity = {"engine": way[0], "precision": way[1], "logit_difference": 0.1, "score_drift": 0.1, "rows": 9}
    for place, one in enumerate(found.networks):
        if score := scores.get(one.name):
            small = (Reduced(*way, score, {}, 0.1, 10_000, (), parity),)
            time = Latency("cpu", *way, 16, 128, "measured", 8.0 - place)
            one = replace(one, reduced=small, parity=(parity,), latencies=(*one.latencies, time))
        networks.append(one)
    return replace(found, networks=tuple(networks), target="cpu")


INT8 = "cpu_onnxruntime_int8_b16_s128_measured"


def test_a_limit_on_int8_tells_what_the_int8_file_scores_and_takes_a_network_that_has_one() -> None:
    one = searched(limits={"max_latency_ms": 10.0}, figure=INT8)
    found = recommend(with_int8(one, {"w1": 0.93, "search1": 0.9}), 0.5)
    assert (found.name, found.precision) == ("search1", "int8")
    assert "ONNX Runtime int8, batch 16: " in found.words and "(5 ms, measured on cpu); loses 3.00 p" in found.words
    two = replace(one, networks=(*one.networks, network(0.5, 0.9, name="search2")))
    found = recommend(with_int8(two, {"w1": 0.93, "search2": 0.89}), 0.5)
    assert (found.name, found.precision) == ("search2", "int8"), "no INT8 file of search1: it has no such latency"
    found = recommend(two, 0.5)
    assert (found.name, found.precision) == ("search1", None), "nothing was timed"


def test_tables_show_the_latency_that_is_limited() -> None:
    one = timed(searched(figure=INT8), [1.0] * 4, kind="measured", where="cpu", engine="onnxruntime")
    found = with_int8(one, {"w1": 0.93, "search1": 0.9})
    assert [one.name(found.unnamed_engine) for one in found.headlines] == [INT8]
    (row,) = [row for row in table(found) if row[0] == "search1"]
    assert row[-2:] == ["5.00", "1.60x"], "as the recommendation tells it, although FP32 takes the full network less"
    other = replace(found, search={**SEARCH, "figure": None})
    assert [one.precision for one in other.headlines] == ["fp32"]


def test_where_no_latency_is_limited_the_fastest_way_to_run_the_network_is_named() -> None:
    one = timed(searched(), [20.0] * 4, kind="measured", where="cpu", engine="onnxruntime")
    found = recommend(with_int8(one, {"w1": 0.93, "search1": 0.905}), 0.5)
    assert (found.name, found.precision, found.figure) == ("search1", "int8", INT8)
    found = recommend(with_int8(one, {"w1": 0.93, "search1": 0.89}), 0.5)
    assert (found.name, found.precision) == ("search1", "fp32"), "INT8 loses more than the network and the tolerance"


def test_a_network_found_within_its_own_loss_is_never_over_it() -> None:
    """Of 872 rows, each loss is a fraction that binary numbers miss, above or below."""
    for lost in range(5, 60):
        one = timed(searched(), [20.0] * 4, kind="measured", where="cpu", engine="onnxruntime")
        right = (813 - lost) / 872
        networks = [replace(network, score=right) if network.searched else network for network in one.networks]
        teacher = replace(one.teacher, score=813 / 872)
        found = recommend(
            replace(one, teacher=teacher, networks=tuple(networks), search={**SEARCH, "figure": None}), 0.5
        )
        assert found.figure is not None, lost


def test_tables_and_results_json_have_the_found_networks_by_name() -> None:
    found = searched()
    found = replace(found, recommended=recommend(found, 0.5))
    assert [row[0] for row in table(found)[1:]] == ["teacher", "width 1", "width 0.75", "width 0.5", "★ search1"]
    assert Results.from_json(found.to_json()).search == found.search == found.to_json()["search"]
    assert "search" not in results().to_json()
    assert "![the front](front.png)" in text(found) and "![the front]" not in text(results())


def test_the_picture_has_the_front_and_the_uniform_networks(tmp_path: Path, drawn: list) -> None:
    front.draw(searched(), tmp_path / front.FRONT)
    lines = {line.get_label(): line for line in drawn[0].axes[0].lines}
    assert list(lines["front"].get_xdata()) == [50, 100] and list(lines["uniform"].get_xdata()) == [80]
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["search1"]


def test_a_sweep_s_curves_over_the_width_are_of_uniform_networks(tmp_path: Path, drawn: list) -> None:
    draw_sweep("all", aggregate.summarise([("", searched())]), tmp_path / "sweep.png")
    assert list(drawn[0].axes[0].lines[0].get_xdata()) == [0.5, 0.75, 1.0]


MS = {"limits": {"max_latency_ms": 10.0}, "figure": "cpu_fp32_b16_s128_measured"}


def predicted(ms: float, measured: list[float]) -> Results:
    """A search whose best network takes ``ms`` by its table of layers; each network's own time, if it was timed."""
    one = searched(**MS, front=[{**ENTRIES[0], "costs": {"max_latency_ms": ms}}])
    found = timed(one, measured, kind="measured", where="cpu") if measured else one
    return replace(found, search=front.checked(found))


def test_what_the_table_of_layers_predicted_stands_beside_what_was_measured() -> None:
    found = predicted(9.0, [16.0, 12.0, 8.0, 9.5])
    assert found.search is not None
    checked = {"search1": {"predicted_ms": 9.0, "measured_ms": 9.5, "error": -5.3}}
    assert found.search["checked"] == checked == found.to_json()["search"]["checked"]
    assert front.words(found.search).endswith("by a table of layers: search1 9 ms, measured 9.5 ms (-5.3%).")
    assert not any("table of layers" in said for said in front.remarks(found))
    assert front.checked(searched()) == SEARCH and front.checked(results()) is None, "no limit on what is measured"


def test_a_table_that_is_far_off_a_limit_that_is_passed_and_what_nobody_timed_are_remarks() -> None:
    far, over, _ = front.remarks(predicted(9.0, [16.0, 12.0, 8.0, 12.0]))
    assert "more than 15% (search1 -25%)" in far and "force=[layer_times,search,latency]" in far
    assert over == "Timed whole, over the limit of 10 ms: search1 12 ms."
    said, _ = front.remarks(predicted(9.0, []))
    assert said.startswith("The limit on cpu_fp32_b16_s128_measured is on sums over layers")


def test_what_distilling_alone_came_to_is_a_remark() -> None:
    kept = {"search1": {"before": 0.85, "step": 40, "score": 0.87}, "search3": {"before": 0.8, "step": 0, "score": 0.8}}
    said, _ = front.remarks(searched(specialised=kept))
    assert said.endswith("on the 500 rows held out: it helped 1 of 2 (search1 0.8500 to 0.8700).")
    said, _ = front.remarks(searched(specialised={"search3": kept["search3"]}))
    assert said.endswith("it helped 0 of 1.") and front.remarks(results()) == []


def test_a_uniform_network_within_the_limits_that_dev_rows_place_higher_is_a_remark() -> None:
    (said,) = front.remarks(searched())
    assert said.startswith(
        "Within the limits, too, and higher on the dev rows than search1 (0.9050): width 0.5 0.9100."
    )
    assert front.remarks(searched(uniform=[{**UNIFORM[0], "share": 1.2}])) == []


def test_a_sweep_within_a_limit_on_int8_counts_what_the_int8_files_score() -> None:
    found = with_int8(results(), {"w1": 0.92, "w0.75": 0.9, "w0.5": 0.8})
    assert objective(found, ObjectiveConfig(max_latency_ms=7.5, latency=INT8)) == 0.9


def test_a_sum_over_layers_is_compared_with_times_of_its_own_machine_alone() -> None:
    figure = "cpu_onnxruntime_fp32_b16_s128_measured"
    entries = [{**entry, "costs": {"max_latency_ms": 8.0}} for entry in ENTRIES]
    mine, other = {"cpu": "one"}, {"cpu": "another"}
    found = searched(limits={"max_latency_ms": 10.0}, figure=figure, front=entries, timed_on=mine)
    found = timed(found, [16.0, 12.0, 8.0, 24.0], "measured", where="cpu", engine="onnxruntime")
    here = front.checked(replace(found, measured_on={"cpu": {"machine": mine}}))
    assert here is not None and here["checked"]["search1"]["measured_ms"] == 24.0
    there = front.checked(replace(found, search=here, measured_on={"cpu": {"machine": other}}))
    assert there is not None and "checked" not in there

"""The points that are drawn, not the size of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import results, timed

from ofa.results import aggregate
from ofa.results.figures import draw, draw_sweep


def test_points_from_the_teacher_over_milliseconds_per_row(tmp_path: Path, drawn: list) -> None:
    found = timed(timed(results(target="t4"), [16.0, 12.0, 8.0]), [40.0, 30.0, 20.0], "measured", where="cpu")
    found = timed(found, [160.0, 120.0, 80.0], "measured", where="cpu", engine="onnxruntime")
    draw(found, tmp_path / "figure.png")
    target, here = drawn[0].axes
    (curve,) = [line for line in target.lines if line.get_label() == "Paddle Inference fp32"]
    assert list(curve.get_xdata()) == [0.5, 0.75, 1.0] and list(curve.get_ydata()) == pytest.approx([-2.0, -0.4, 0.0])
    assert {line.get_label() for line in here.lines} >= {"Paddle Inference fp32", "ONNX Runtime fp32"}
    assert [text.get_text() for text in target.texts] == ["0.5", "0.75", "★ 1"]
    low, high = target.get_ylim()
    assert low < -2.0 and high > 0.5, "small differences stay small"
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_names_of_many_curves_hide_no_points(tmp_path: Path, drawn: list) -> None:
    found = results()
    for engine in ("paddle", "onnxruntime", "openvino"):
        for precision in ("fp32", "bf16", "int8"):
            found = timed(found, [16.0, 8.0, 0.8], "measured", where="cpu", engine=engine, precision=precision)
    draw(found, tmp_path / "figure.png")
    (panel,) = drawn[0].axes
    assert len(panel.get_legend().get_texts()) == 9
    assert panel.get_legend().get_window_extent().y1 < panel.get_window_extent().y0, "below the panel"
    assert len(panel.get_xticks(minor=True)) < 9, "no number on another"


def test_without_latencies_over_parameters(tmp_path: Path, drawn: list) -> None:
    draw(results(), tmp_path / "figure.png")
    curve = next(line for line in drawn[0].axes[0].lines if line.get_label() == "networks")
    assert list(curve.get_xdata()) == [50, 75, 100]


def test_a_long_title_stays_within_the_picture(tmp_path: Path, drawn: list) -> None:
    found = results("customer_service_intents")
    found = replace(found, model="chinese-roberta-wwm-ext-large", dev_rows=100_000)
    found = replace(found, networks=tuple(replace(one, lost=(-1.0, 1.0)) for one in found.networks))
    draw(found, tmp_path / "figure.png")
    title, box = drawn[0]._suptitle.get_window_extent(), drawn[0].bbox
    assert box.x0 <= title.x0 and title.x1 <= box.x1 and title.y1 <= box.y1


def test_a_sweep_has_a_panel_for_each_task(tmp_path: Path, drawn: list) -> None:
    """Bars are of the points that are drawn: width 1/2 is always the same, its teacher is not."""
    teachers = {1: 0.93, 2: 0.91}
    jobs = [
        ("", results(task, seed, {1.0: teachers[seed] - 0.03, 0.5: 0.89}, teachers[seed]))
        for task in ("sst2", "rte")
        for seed in (1, 2)
    ]
    draw_sweep("all", aggregate.summarise(jobs), tmp_path / "sweep.png")
    panels = [panel for panel in drawn[0].axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["sst2", "rte", "average"]
    for panel in panels:
        assert list(panel.lines[0].get_ydata()) == pytest.approx([-3.0, -3.0])
        (bars,) = panel.containers[0].lines[2]
        assert [high - low for (_, low), (_, high) in bars.get_segments()] == pytest.approx([2 * 1.414214, 0.0])
    words = " ".join(drawn[0].get_suptitle().split())
    assert words == "all; bars: standard deviation over seeds, each against its own teacher"


def test_the_scores_of_a_sweep_that_are_equal_are_drawn_as_equal(tmp_path: Path, drawn: list) -> None:
    draw_sweep("all", aggregate.summarise([("", results(scores={1.0: 0.93, 0.5: 0.93}))]), tmp_path / "sweep.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert low <= -0.5 and high >= 0.5, "rounding is no trend"

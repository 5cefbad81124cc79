"""The end of a run in the terminal: fits the window, says what to take, and what can be pasted."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import results, timed

from ofa.results import advice, report, terminal


@pytest.fixture
def found():
    some = replace(
        results(dev_rows=872, target="t4", export="export-1"), warnings=tuple(f"remark {i}" for i in range(5))
    )
    ones = [replace(one, lost=(-0.5, 0.7), last=0.9, undistilled=0.8, bytes=10**8) for one in some.networks]
    some = timed(replace(some, networks=tuple(ones)), [24.0, 17.0, 13.0], "measured", where="cpu", engine="onnxruntime")
    some = timed(some, [4.1, 3.1, 2.6], engine="tensorrt", precision="fp16", evidence="fitted on 4 rows")
    return replace(some, recommended=advice.recommend(some, 0.5))


PAGES = ("ofa ui", "http://127.0.0.1:5000/#/1")


def shown(found, width: int, pair: bool = False, **more) -> str:
    out = io.StringIO()
    where = terminal.Where(Path("out/runs/a"), PAGES, pair)
    terminal.show(found, where, terminal._console(file=out, width=width, **more))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_the_window_and_keeps_what_matters(found, width):
    text = shown(found, width)
    table = text.split("\n\n")[0].strip("\n").splitlines()
    assert max(map(len, table)) <= width
    for column in ("network", "accuracy", "vs teacher", "ms t4 est.", "speed-up"):
        assert column in table[0]
    assert ("undistilled" in table[0]) == (width == 200)
    assert sum(line.startswith("★ width 0.75") for line in table) == 1


def test_a_narrow_window_leaves_further_metrics_out_before_the_latency(found):
    three = {"micro_f1": 0.9, "macro_f1": 0.8, "exact_match": 0.7}
    networks = tuple(replace(one, metrics=three) for one in found.networks)
    text = shown(replace(found, networks=networks, teacher=replace(found.teacher, metrics=three)), 80)
    header = text.split("\n\n")[0].strip("\n").splitlines()[0]
    assert {"micro_f1", "ms t4 est.", "speed-up"} <= set(re.split(r"\s{2,}", header)) and "exact_match" not in header


def test_wide_windows_show_every_column(found):
    rows = report.table(found)
    assert terminal.fitting(rows, 1000) == list(range(len(rows[0])))
    assert terminal.fitting(rows, 1)[0] == 0


def test_three_remarks_at_most_and_lines_to_paste(found):
    text = shown(found, 80)
    assert "- remark 2" in text and "remark 3" not in text and "(2 more remarks in report.md)" in text
    ends = [
        line
        for line in text.splitlines()
        if line[:9].strip() in ("Deploy", "Try", "Report", "Results", "Compare", "MLflow")
    ]
    assert ends == [
        "Report   out/runs/a/report.md",
        "Deploy   out/runs/a/recommended",
        "Try      ofa predict out/runs/a 'the film was not good'",
        "Results  out/runs/a/results.json",
        "Compare  ofa ui",
        "MLflow   http://127.0.0.1:5000/#/1",
    ]


def test_the_line_to_try_asks_the_engine_that_is_recommended(found):
    by = replace(found, recommended=replace(found.recommended, engine="openvino"))
    assert "\nTry      ofa predict out/runs/a 'the film was not good' --engine openvino\n" in shown(by, 80)


def test_the_line_to_try_gives_a_network_of_pairs_two_texts(found):
    line = "\nTry      ofa predict out/runs/a 'the film was not good' --pair 'the film was bad'\n"
    assert line in shown(found, 80, pair=True)


def test_figures_that_cannot_be_relied_on_are_measured_again_by_a_line_to_paste(found):
    assert "Again" not in shown(found, 80)
    command = "ofa time out/runs/a --device cpu --engines paddle --precisions fp32 --batch-sizes 16 --seq-lengths 128"
    assert f"\nAgain    {command}\n" in shown(replace(found, unsteady=("cpu_fp32_b16_s128_measured",)), 80)


def test_plain_when_piped_and_without_color(found, monkeypatch):
    assert "\x1b[" not in shown(found, 80)
    assert "\x1b[" in shown(found, 80, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in shown(found, 80, force_terminal=True)


def test_a_run_that_scored_nothing_says_where_it_is(found):
    text = shown(replace(found, teacher=None, networks=(), recommended=None, export=None), 80)
    assert text.splitlines() == [
        "Results  out/runs/a/results.json", "Compare  ofa ui", "MLflow   http://127.0.0.1:5000/#/1",
    ]  # fmt: skip


def test_a_narrow_window_keeps_the_column_of_the_network_to_take():
    rows = [["task", "teacher", "w1", "w0.5", "search1"], ["sst2", "0.93", "0.92", "0.91", "★ 0.92"]]
    assert terminal.fitting(rows, 26) == [0, 1, 4]


def test_brackets_in_settings_are_no_markup():
    """Values of a sweep are lists: rich would take [paddle] for a style, and [/data/a.tsv] for the end of one."""
    rows = [
        ["task", "setting [x]", "w1"],
        ["sst2", "engines=[paddle]", "0.9"],
        ["sst2", "unlabelled=[/data/a.tsv]", "0.8"],
    ]
    out = io.StringIO()
    terminal._console(file=out, width=100).print(terminal._table(rows, 100))
    assert all(cell in out.getvalue() for cell in ("setting [x]", "engines=[paddle]", "unlabelled=[/data/a.tsv]"))

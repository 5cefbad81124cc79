"""``ofa plan``: the networks of a job before it is trained."""

from __future__ import annotations

import pytest

from ofa.commands import plan
from ofa.hardware import estimate
from ofa.results.report import human
from ofa.supernet.subnet import EncoderShape, SubNet, count_params

BASE = EncoderShape(12, 768, 12, 3072)
JOB = ["task=sst2", "ofa.widths=[1,0.5]", "ofa.depths=[1,0.5]", "latency.precisions=[fp16]", "latency.batch_sizes=[16]"]


def test_every_network_has_its_size_and_its_estimate(capsys: pytest.CaptureFixture) -> None:
    assert plan.main(JOB) == 0
    title, heading, *lines = capsys.readouterr().out.splitlines()
    assert "estimated for t4 (tensorrt in fp16: fitted on" in title and heading.split()[0] == "network"
    rows = {line.split()[0]: line.split() for line in lines}
    assert list(rows) == ["w1", "w0.5", "w1-d0.5", "w0.5-d0.5"]
    half = SubNet.at(0.5, 0.5, BASE)
    assert rows["w0.5-d0.5"][1:4] == ["6", "6", "1536"]
    assert rows["w0.5-d0.5"][4] == human(count_params(BASE, half))
    assert float(rows["w0.5-d0.5"][6]) == round(estimate("t4", "tensorrt", "fp16", BASE, half, 16, 128).ms, 2)
    assert rows["w1"][-1] == "1.00x" and float(rows["w0.5"][-1].rstrip("x")) > 1.5


def test_where_no_network_is_the_full_one_speed_ups_are_against_the_teacher(capsys: pytest.CaptureFixture) -> None:
    assert plan.main([*JOB, "ofa.widths=[0.5]", "ofa.depths=[1]"]) == 0
    _, _, full, half = capsys.readouterr().out.splitlines()
    assert full.split()[0] == "teacher" and full.endswith(" 1.00x") and full.split()[1:4] == ["12", "12", "3072"]
    assert float(half.split()[-1].rstrip("x")) > 1.5


def test_figures_that_a_window_has_no_room_for_follow_below(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(plan, "terminal_width", lambda: 80)
    assert plan.main(["task=sst2", "ofa.widths=[1,0.5]"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3 and max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines] == ["network", "w1", "w0.5"] * (len(lines) // 3)


def test_sizes_are_the_folder_s_and_no_estimate_is_no_error(toy_folder, capsys: pytest.CaptureFixture) -> None:
    sizes = ["trainer.max_seq_length=16", "latency.seq_lengths=[16]", "ofa.widths=[1,0.5]", "hardware=a100"]
    assert plan.main(["task=mnli", "model=folder", f"model.path={toy_folder}", *sizes]) == 0
    title, _, full, half = capsys.readouterr().out.splitlines()
    assert title.endswith("a100 (nothing is estimated for it)")
    assert full.split()[1:4] == ["3", "4", "64"] and half.split()[1:4] == ["3", "2", "32"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["lr=3"], "lr: no such setting (did you mean trainer.finetune.learning_rate"),
        (["ofa.sampling=layers", "search.max_macs=1e3"], "search.max_macs: 1,000 is less than any network of this job"),
        (
            [
                "ofa.sampling=layers",
                "search.max_latency_ms=9",
                "search.figure=cpu_int8_b16_s128_measured",
                "int8.enabled=false",
            ],
            "search.figure: cpu_int8_b16_s128_measured is of networks in INT8, which int8.enabled=false leaves out",
        ),
        (["ofa.widths=[1,0.7]"], "ofa.widths: 0.7 of 12 heads is 8.4 heads"),
        (["task=sst3"], "task: 'sst3' is unknown; allowed: afqmc, cmnli, cola"),
        (["predict"], "cannot parse 'predict'"),
    ],
)
def test_a_mistake_is_that_of_a_run(settings: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    assert plan.main(settings) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") <= 2

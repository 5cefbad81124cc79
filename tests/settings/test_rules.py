"""Rules that settings keep together; those of a single job are in jobs/test_preflight.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ofa.jobs.preflight import problems
from ofa.settings.schema import Config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("sweep.name=a/b", "sweep.name: 'a/b' cannot name a folder"),
        ("sweep.parallel_jobs=0", "sweep.parallel_jobs: 0 is not allowed; allowed: from 1"),
        ("trainer.finetune.max_steps=1" + "0" * 30, "trainer.finetune.max_steps: 1" + "0" * 30 + " is not allowed; "),
        ("ofa.hidden_weight=inf", "ofa.hidden_weight: inf is not allowed; allowed: from 0 to 2147483647"),
        ("sweep.parallel_jobs=2", "stages: latency would be measured while 2 jobs run at once"),
        ("objective.width=0.25", "objective.width: 0.25 is not among ofa.widths"),
        ("objective.width=0.5 objective.max_latency_ms=3", "objective: width and max_latency_ms are both set"),
        ("objective.width=0.5 objective.depth=0.5", "objective.depth: 0.5 is not among ofa.depths, [1.0]"),
        ("objective.depth=1", "objective.depth: 1 names no network without objective.width; set both"),
        ("objective.max_latency_ms=0", "objective.max_latency_ms: 0 is not allowed; allowed: above 0"),
        (
            "objective.latency=t4_fp32_b16_s128_estimated",
            "objective.latency: t4_fp32_b16_s128_estimated limits nothing ",
        ),
        (
            "objective.max_latency_ms=9 objective.latency=t4_fp32_b16_s128_estimatd",
            "objective.latency: 't4_fp32_b16_s128_estimatd' is unknown; allowed: t4_fp16_b16_s32_estimated, ",
        ),
        (
            "objective.max_latency_ms=9 objective.latency=cpu_fp32_b16_s128_measured stages=[evaluate]",
            "objective.latency: cpu_fp32_b16_s128_measured is measured by the stage latency, which is not among ",
        ),
        ("latency.engines=[]", "latency.engines: [] is empty; allowed: one or more names; "),
        ("latency.precisions=[]", "latency.precisions: [] is empty; allowed: one or more names; "),
        ("hardware.name=rtx_4090", "hardware.name: 'rtx_4090' cannot be in the name of a figure; allowed: letters, "),
    ],
)
def test_rules_of_sweeps(overrides: str, words: str, quickstart: Callable[..., Config]) -> None:
    (found,) = problems(quickstart(*overrides.split()))
    assert found.startswith(words)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            "ofa.depths=[1,0.7]",
            "ofa.depths: 0.7 of 2 layers is 1.4 layers, not a whole number; near it: 0.5 (1 layers)",
        ),
        ("ofa.depth_teacher=x", "ofa.depth_teacher: 'x' is unknown; allowed: teacher, supernet"),
        ("ofa.depth_hidden_weight=-1", "ofa.depth_hidden_weight: -1"),
        (
            "ofa.depth_hidden_weight=0 ofa.depth_logit_weight=0",
            "ofa.depth_logit_weight: 0 with ofa.depth_hidden_weight",
        ),
        ("trainer.depth.epochs=0", "trainer.depth.epochs: 0 is not allowed; allowed: from 1"),
        ("trainer.final.epochs=-1", "trainer.final.epochs: -1 is not allowed; allowed: from 0"),
        ("trainer.final_held_out=0.9", "trainer.final_held_out: 0.9 is outside [0.01, 0.5]"),
        (
            "stages=[distill_depth]",
            "stages: distill_depth has nothing to do in this job; ask for it with e.g. ofa.depths",
        ),
        (
            "force=[search]",
            "force: search has nothing to do in this job; ask for it with e.g. search.max_macs",
        ),
        ("stages=[final]", "stages: final has nothing to do in this job; ask for it with e.g. trainer.final.epochs=1"),
    ],
)
def test_rules_of_depths(overrides: str, words: str, quickstart: Callable[..., Config]) -> None:
    (found,) = problems(quickstart(*overrides.split()))
    assert found.startswith(words)


def test_depths_and_one_target_are_allowed(quickstart: Callable[..., Config]) -> None:
    for overrides in (
        "ofa.depths=[1,0.5] trainer.final.epochs=1 stages=[distill_depth,final] objective.width=1 objective.depth=0.5",
        "ofa.widths=[0.5]",
        "ofa.depths=[0.5] ofa.widths=[1]",
    ):
        assert not list(problems(quickstart(*overrides.split())))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("task.metrics=[accuracy]", "task.metrics: accuracy does not fit a task of multi_label; allowed: micro_f1, "),
        ("task.labels=[a,b|c] task.label_separator=|", "task.label_separator: '|' is in 'b|c' of task.labels; "),
        ("task.label_values=[0;,1] task.label_separator=;", "task.label_separator: ';' is in '0;' of task.label_val"),
        ("task.label_separator=''", "task.label_separator: '' is in "),
        ("task.multi_label=false", "task.metrics: micro_f1 does not fit a task of classes; allowed: accuracy, f1, "),
    ],
)
def test_rules_of_several_labels(overrides: str, words: str, compose: Callable[..., Config], tmp_path: Path) -> None:
    task = ["task.multi_label=true", "task.metrics=[micro_f1]"]
    places = [f"output_dir={tmp_path}", f"cache_dir={tmp_path}"]
    assert not list(problems(compose("experiment=quickstart", *places, *task)))
    assert next(iter(problems(compose("experiment=quickstart", *places, *task, *overrides.split())))).startswith(words)

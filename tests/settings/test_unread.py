"""What a job was given and does not read is said, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ofa.settings import compose
from ofa.settings.schema import ModelConfig
from ofa.settings.unread import sizes_unread, unread
from ofa.supernet.subnet import EncoderShape


def lines(*overrides: str) -> list[str]:
    return list(unread(compose.typed(compose.compose(["task=sst2", *overrides]))))


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        ("ofa.sandwich_random=3", "ofa.sampling=sandwich"),
        ("trainer.depth.learning_rate=1e-4", "ofa.depths=[1,0.5]"),
        ("ofa.depth_teacher=supernet", "ofa.depths=[1,0.5]"),
        ("ofa.augment.share=0.5", "ofa.augment.copies=2"),
        ("trainer.final.learning_rate=1e-4", "trainer.final.epochs=1"),
        ("search.rows=500", "search.max_macs=1e9"),
    ],
)
def test_a_setting_that_nothing_reads_is_named_until_something_does(given: str, asks: str) -> None:
    key, _, value = given.partition("=")
    (line,) = lines(given)
    assert line.startswith(f"{key}: ") and asks.partition("=")[0] in line
    assert lines(given, asks) == []


@pytest.mark.parametrize("given", ["ofa.importance.rows=99", "int8.tries=1", "tracking.register_precision=int8"])
def test_a_setting_is_named_where_what_reads_it_is_off(given: str) -> None:
    off = {
        "ofa": "ofa.importance.method=random",
        "int8": "int8.enabled=false",
        "tracking": "tracking.register_models=false",
    }
    assert lines(given) == []
    assert [line.partition(":")[0] for line in lines(given, off[given.partition(".")[0]])] == [given.partition("=")[0]]


FROM_SCRATCH = ("trainer=from_scratch", "experiment=quickstart", "experiment=sst2_small")


@pytest.mark.parametrize("preset", [*FROM_SCRATCH, "experiment=glue_minilm"])
def test_depths_are_distilled_at_the_rate_of_widths(preset: str) -> None:
    """BERT-base's 2e-5 leaves a small model four points below what it can."""
    trainer = compose.typed(compose.compose(["task=sst2", preset, "trainer.distill.weight_decay=0.02"])).trainer
    assert replace(trainer.depth, epochs=trainer.distill.epochs) == trainer.distill


@pytest.mark.parametrize(
    "preset", ["experiment=glue_minilm", "experiment=published_recipe", "trainer=recipe", "", *FROM_SCRATCH]
)
def test_presets_set_nothing_that_their_jobs_do_not_read(preset: str) -> None:
    assert lines(*filter(None, [preset])) == []


def test_sizes_beside_a_folder_that_has_others_are_said_to_change_nothing() -> None:
    folder = vars(EncoderShape(6, 384, 12, 3072))
    fits = ModelConfig("minilm", num_hidden_layers=6, hidden_size=384)
    assert list(sizes_unread(ModelConfig(), folder, "/m")) == list(sizes_unread(fits, folder, "/m")) == []
    (line,) = sizes_unread(ModelConfig(num_hidden_layers=4, hidden_size=384, num_attention_heads=6), folder, "/m")
    asked = "model.num_hidden_layers=4, model.num_attention_heads=6: changes nothing in this job"
    (of_kind,) = sizes_unread(ModelConfig(architecture="roberta"), {**folder, "architecture": "bert"}, "/m")
    assert of_kind == "model.architecture=roberta: changes nothing in this job; the model in /m has architecture=bert"
    assert line == f"{asked}; the model in /m has num_hidden_layers=6, num_attention_heads=12"

"""Types of settings: what is at a key, and which values inside a composed configuration are not of it."""

from __future__ import annotations

from typing import Any

import pytest

from ofa.settings.schema import Config, LoopConfig, ModelConfig
from ofa.settings.target import EngineProfile
from ofa.settings.types import kind_of, mismatches


def test_a_key_has_a_type_down_to_its_entries() -> None:
    assert (kind_of("ofa.widths"), kind_of("ofa.widths[2]"), kind_of("task.columns")) == (
        list[float],
        float,
        list[str] | None,
    )
    assert (kind_of("task.columns[0]"), kind_of("trainer.finetune"), kind_of("task.nope")) == (str, LoopConfig, None)
    assert kind_of("hardware.engines.x.efficiency.fp32") is float


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("ofa.widths", [1.0, [0.5]], "ofa.widths[1]: [0.5] is not allowed; allowed: a number"),
        ("ofa.widths", None, "ofa.widths: null is not allowed; allowed: a list in brackets, each entry a number"),
        ("ofa.tolerance", True, "ofa.tolerance: True is not allowed; allowed: a number"),
        ("trainer.seed", 1.0, "trainer.seed: 1.0 is not allowed; allowed: a whole number"),
        ("model.finetuned", 1, "model.finetuned: 1 is not allowed; allowed: true or false, or null"),
        ("model.path", "/m\udcff", "model.path: '/m\\udcff' holds halves of characters; allowed: text in UTF-8"),
        ("task.dev", {"dev": 3}, "task.dev.dev: 3 is not allowed; allowed: text"),
        ("trainer.distill", ModelConfig(), "trainer.distill: another section is not allowed; allowed: one of its keys"),
        ("hardware.engines", {"x": EngineProfile(fused="no")}, "hardware.engines.x.fused: 'no' is not allowed; allo"),  # type: ignore[arg-type]
    ],
)
def test_what_is_of_another_type_is_named(key: str, value: Any, words: str) -> None:
    config = Config()
    assert list(mismatches(config)) == []
    section, _, name = key.rpartition(".")
    owner: Any = config
    for part in section.split("."):
        owner = getattr(owner, part)
    setattr(owner, name, value)
    (found,) = mismatches(config)
    assert found.startswith(words)

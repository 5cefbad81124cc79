from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ofa.jobs.preflight import problems
from ofa.settings.schema import Config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("ofa.hard_weight=-1", "ofa.hard_weight: -1.0 is not allowed; allowed: from 0"),
        ("ofa.temperature=0", "ofa.temperature: 0.0 is outside [0.1, 100]"),
        ("task=stsb ofa.temperature=2", "ofa.temperature: 2 is for classes, stsb is a regression task; allowed: 1"),
        ("ofa.hidden_weight=0 ofa.logit_weight=0", "ofa.logit_weight: 0 with ofa.hidden_weight 0 leaves nothing"),
        ("ofa.hidden_weight=0 ofa.logit_weight=0 ofa.hard_weight=1", None),
        ("task=stsb ofa.hard_weight=1", None),
    ],
)
def test_rules(overrides: str, words: str | None, compose: Callable[..., Config], tmp_path: Path) -> None:
    places = [f"output_dir={tmp_path}", f"cache_dir={tmp_path}"]
    found = list(problems(compose("experiment=quickstart", *places, *overrides.split())))
    assert [problem[: len(words or "")] for problem in found] == ([words] if words else [])

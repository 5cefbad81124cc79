from __future__ import annotations

from collections.abc import Callable

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
        ("task.unlabelled=[a.tsv,a.tsv]", "task.unlabelled names a.tsv twice; allowed: each once"),
        (
            "task.unlabelled=[s3://bucket/a.tsv]",
            "task.unlabelled[0]: 's3://bucket/a.tsv' is an address; allowed: a path",
        ),
        ("+task.dev.unlabelled=dev.tsv", "task.dev: the split name 'unlabelled' is taken by task.unlabelled"),
        ("ofa.augment.copies=-1", "ofa.augment.copies: -1 is not allowed; allowed: from 0"),
        ("ofa.augment.share=0", "ofa.augment.share: 0.0 is outside [0.01, 1]"),
        ("ofa.augment.candidates=0", "ofa.augment.candidates: 0 is not allowed; allowed: from 1"),
        ("+task.dev.augmented=dev.tsv", "task.dev: the split name 'augmented' is taken by ofa.augment"),
        (
            "stages=[augment]",
            "stages: augment has nothing to do in this job; ask for it with e.g. ofa.augment",
        ),
        ("ofa.vocabulary=small", "ofa.vocabulary: 'small' is unknown; allowed: full, seen"),
        ("ofa.vocabulary_files=[a.tsv]", "ofa.vocabulary_files: nothing is left out of the vocabulary; set ofa.vocab"),
        (
            "stages=[vocabulary]",
            "stages: vocabulary has nothing to do in this job; ask for it with e.g. ofa.vocabulary",
        ),
        ("stages=[vocabulary] ofa.vocabulary=seen", None),
    ],
)
def test_rules(overrides: str, words: str | None, quickstart: Callable[..., Config]) -> None:
    found = list(problems(quickstart(*overrides.split())))
    assert [problem[: len(words or "")] for problem in found] == ([words] if words else [])

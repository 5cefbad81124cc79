"""A study's results.json begins with its claims, which are those of the figures below them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.toys import REPO

STUDIES = sorted(path.parent for path in (REPO / "experiments").glob("*/results.json"))
MADE = sorted(path.parent for path in (REPO / "experiments").glob("*/claims.py"))


@pytest.fixture
def claiming(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The script's names; ``claims.py`` of a study imports it."""
    monkeypatch.syspath_prepend(REPO / "experiments")
    yield runpy.run_path(str(REPO / "experiments" / "claiming.py"))
    sys.modules.pop("claiming", None)


@pytest.mark.parametrize("study", STUDIES, ids=lambda folder: folder.name)
def test_every_study_begins_with_claims(study: Path) -> None:
    record = json.loads((study / "results.json").read_text())
    assert next(iter(record)) == "claims" and record["claims"]
    assert all({"name", "aim", "got", "met"} <= claim.keys() for claim in record["claims"])


@pytest.mark.parametrize("study", MADE, ids=lambda folder: folder.name)
def test_claims_are_made_of_the_kept_figures(study: Path, tmp_path: Path, claiming: dict[str, Any]) -> None:
    kept = (study / "results.json").read_text()
    (tmp_path / "claims.py").write_text((study / "claims.py").read_text())
    claiming["write"](tmp_path, json.loads(kept))
    assert (tmp_path / "results.json").read_text() == kept, f"python experiments/claiming.py experiments/{study.name}"


@pytest.mark.parametrize(
    ("sign", "got", "met", "shown"),
    [
        ("<=", 1.10000001, False, 1.1),
        ("<=", 1.1, True, 1.1),
        (">=", 1.1, True, 1.1),
        (">", 1.1, False, 1.1),
        ("=", 1.1, True, 1.1),
        ("<=", None, False, "not measured"),
    ],
)
def test_a_claim_is_met_by_the_figure_as_it_is(
    claiming: dict[str, Any], sign: str, got: float | None, met: bool, shown: float | str
) -> None:
    assert claiming["claim"]("time", sign, 1.1, got) == {
        "name": "time",
        "aim": f"{sign} 1.1",
        "got": shown,
        "met": met,
    }

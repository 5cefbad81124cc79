from __future__ import annotations

import pytest

from ofa.settings.limits import SearchConfig, row_problems, search_problems


@pytest.mark.parametrize(
    ("search", "sampling", "networks", "words"),
    [
        ({"max_macs": 0.0}, "layers", 3, "search.max_macs: 0 is not allowed; allowed: above 0"),
        ({"max_bytes": float("inf")}, "layers", 3, "search.max_bytes: inf is not allowed"),
        ({"max_macs": 1.0, "rows": 0}, "layers", 3, "search.rows: 0 is not allowed; allowed: from 1"),
        ({"evaluations": 0}, "all", 3, "search.evaluations: 0"),
        ({"networks": 0}, "all", 3, "search.networks: 0"),
        ({"specialise_epochs": -1, "max_macs": 1.0}, "layers", 3, "search.specialise_epochs: -1 is not allowed"),
        (
            {"specialise_epochs": 2},
            "all",
            3,
            "search.specialise_epochs: 2, but nothing is searched; set e.g. search.max",
        ),
        ({"unseen": True}, "all", 3, "search.unseen: true, but nothing is searched; set e.g. search.max_macs"),
        (
            {"max_params": 1.0},
            "all",
            3,
            "ofa.sampling: all trains uniform networks alone; allowed with search.*: layers",
        ),
        ({"max_params": 1.0}, "layers", 1, "ofa.widths: one network leaves nothing to search"),
        (
            {"max_params": 1.0, "evaluations": 3},
            "layers",
            4,
            "search.evaluations: 3, the job has 4 networks; allo",
        ),
        ({"max_params": 1.0, "figure": "x"}, "layers", 2, "search.figure: x limits nothing without search.max_latency"),
    ],
)
def test_each_broken_rule_is_one_line(search: dict, sampling: str, networks: int, words: str) -> None:
    (found,) = search_problems(SearchConfig(**search), sampling, networks)
    assert found.startswith(words)


def test_without_a_limit_there_is_no_search_and_nothing_to_keep() -> None:
    assert not SearchConfig().runs and not SearchConfig(rows=5).runs
    assert not list(search_problems(SearchConfig(), "all", 1)) and not row_problems(SearchConfig(), 1)
    assert SearchConfig(max_macs=1.0, max_params=2.0).limits == {"max_params": 2.0, "max_macs": 1.0}


def test_half_of_the_rows_stay_for_distillation() -> None:
    search = SearchConfig(max_macs=1.0, rows=50)
    assert not row_problems(search, 100)
    assert row_problems(search, 99) == ["search.rows: 50 of 99 training rows; allowed: up to 49, the half of them"]

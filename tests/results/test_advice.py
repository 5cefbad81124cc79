"""Which network is recommended, in which words; by INT8 and other precisions, tests/results/test_reduced.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.results import network, results, timed

from ofa.results.advice import recommend


@pytest.mark.parametrize(
    ("tolerance", "chosen"), [(0.5, 0.75), (0.4, 0.75), (0.39, 1.0), (2.0, 0.5), (1.99, 0.75), (0.0, 1.0)]
)
@pytest.mark.parametrize("times", [None, [9.0, 7.0, 5.0]])
def test_the_cheapest_within_the_tolerance_is_recommended(
    tolerance: float, chosen: float, times: list[float] | None
) -> None:
    """By parameters, or by time; a loss of exactly the tolerance is within it (93.0 - 92.6 and 93.0 - 91.0 points)."""
    found = recommend(timed(results(), times) if times else results(), tolerance)
    assert (found.width, found.name) == (chosen, f"w{chosen:g}")
    if not times:
        assert found.words.startswith(f"Take width {chosen:g}, the smallest within {tolerance:g} points: ")
    elif chosen < 1:
        assert found.words.startswith(f"Take width {chosen:g} with ") and found.evidence


def test_no_width_within_the_tolerance_is_said() -> None:
    found = recommend(results(scores={1.0: 0.83, 0.75: 0.826, 0.5: 0.81}), 0.5)
    assert found.width is found.name is None
    assert found.words == "No width is within 0.5 points of the teacher (0.9300); the best is width 1 at 0.8300."


def test_a_better_width_than_the_teacher_counts_as_close() -> None:
    found = recommend(results(scores={1.0: 0.93, 0.5: 0.95}), 0.0)
    assert found.width == 0.5 and "gains 2.00 points, 50% fewer parameters" in found.words


def test_depth_is_part_of_the_name() -> None:
    found = results()
    chosen = recommend(replace(found, networks=(*found.networks, network(0.75, 0.929, depth=0.5))), 0.5)
    assert chosen.name == "w0.75-d0.5" and (chosen.width, chosen.depth) == (0.75, 0.5)
    assert chosen.words.startswith("Take width 0.75, depth 0.5, ")


@pytest.mark.parametrize(
    ("times", "chosen", "words"),
    [
        ([9.0, 5.0, 4.95], 0.75, "1.80x the full network's speed"),  # within 2% the score decides
        ([9.0, 5.0, 4.8], 0.5, "1.88x the full network's speed"),
        ([5.0, 4.9, 4.8], 1.0, "No network is faster on t4 at this size"),  # less than 5%: not worth any score
        ([5.0, 9.0, 9.0], 1.0, "No network is faster on t4 at this size"),
    ],
)
def test_time_decides_and_between_equals_the_score(times: list[float], chosen: float, words: str) -> None:
    found = recommend(timed(results(), times), 2.0)
    assert found.width == chosen and words in found.words


def test_what_was_measured_on_the_target_goes_before_its_estimate() -> None:
    found = timed(timed(results(), [9.0, 8.0, 1.0]), [9.0, 4.0, 5.0], "measured")
    assert recommend(found, 2.0).width == 0.75
    assert recommend(found, 2.0).evidence == "measured on t4"


def test_a_teacher_that_learned_nothing_has_nothing_to_recommend() -> None:
    found = recommend(results(learned=False), 0.5)
    assert found.name is None and found.words.startswith("Nothing to recommend: the teacher (0.9300) is no better")


@pytest.mark.parametrize(
    ("score", "interval", "said"),
    [
        (0.926, (-0.1, 0.9), "loses 0.40 points (90% interval -0.1 to 0.9 on 872 rows, wider than the tolerance)"),
        (0.926, (0.2, 0.6), "loses 0.40 points (90% interval 0.2 to 0.6 on 872 rows)"),
        (0.935, (-0.8, -0.2), "gains 0.50 points (90% interval 0.2 to 0.8 on 872 rows, wider than the tolerance)"),
    ],
)
def test_how_sure_the_loss_is_stands_beside_it(score: float, interval: tuple[float, float], said: str) -> None:
    """Of a gain both ends change their sign and their order."""
    found = replace(results(), dev_rows=872, networks=(network(1.0, 0.5), network(0.5, score, lost=interval)))
    assert said in recommend(found, 0.5).words

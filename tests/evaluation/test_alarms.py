import numpy as np
import pytest

from ofa.data.kinds import KINDS
from ofa.evaluation import alarms

CLASSES = KINDS["classes"]


def networks(*scores):
    return {
        f"w{1 - i / 4:g}": {"width": 1 - i / 4, "depth": 1.0, "score": s, "metrics": {"accuracy": s}, "macs": 100 - i}
        for i, s in enumerate(scores)
    }


def test_a_healthy_family_raises_no_alarm():
    assert alarms.family(0.9, networks(0.9, 0.895, 0.91), {"teacher": 7.0, "w1": 6.5}, 0.5) == []
    assert alarms.teacher(0.9, 0.51, np.array([0, 1])) == []
    assert alarms.truncation({"train": 0.04, "dev": 0.0}, 128) == []


def test_constant_logits():
    found = alarms.family(0.9, networks(0.9, 0.89), {"teacher": 5.0, "w0.75": 2e-7}, 0.5)
    assert found == ["w0.75: its logits are the same for every row (spread 2.0e-07)."]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ((0.87, 0.86), "w1 was initialised from the teacher and ended 3.0 points below it"),
        ((0.9, 0.9, 0.9), "All sub-networks score the same to the last digit: an easy task or few dev rows"),
        ((0.9, 0.86, 0.89), "w0.5 is 3.0 points above the larger w0.75"),
    ],
)
def test_each_sign_of_a_sick_family_is_named(scores, words):
    found = alarms.family(0.9, networks(*scores), {}, 0.5)
    assert len(found) == 1 and words in found[0]


def test_a_shallow_network_is_not_compared_with_a_deep_one():
    pair = networks(0.9, 0.86)
    pair["w0.75"]["score"], pair["w0.75"]["depth"] = 0.95, 0.5
    assert alarms.family(0.9, pair, {}, 0.5) == []


def test_a_network_that_a_search_found_may_be_better_than_one_as_large():
    family = networks(0.9, 0.86)
    family["search1"] = {**family["w0.75"], "score": 0.89, "macs": 98}
    assert alarms.family(0.9, family, {}, 0.5, {"search1"}) == []
    assert alarms.family(0.9, {**family, "search1": {**family["search1"], "score": 0.8}}, {}, 0.5, {"search1"}) == []


@pytest.mark.parametrize("score", [1.0, 0.0])
def test_dev_rows_of_one_label_are_said_and_not_that_the_teacher_learned_nothing(score):
    """Accuracy of them is 1 and F1 0, whatever a network has learned."""
    (said,) = alarms.teacher(score, score, np.zeros(50))
    assert said.startswith(
        "All 50 dev rows have the same label, so that scores on them tell nothing (task.dev, or task.max"
    )


def test_a_family_without_the_full_network_is_not_said_to_have_started_as_the_teacher():
    assert alarms.family(0.9, {"w0.5": networks(0.5, 0.5, 0.8)["w0.5"]}, {}, 0.5) == []


def test_widths_that_all_give_the_one_answer_of_their_teacher_raise_no_second_alarm():
    assert alarms.family(0.5, networks(0.5, 0.5, 0.5), {}, 0.5) == []


def test_a_teacher_at_the_majority_class_is_named():
    labels = np.array([1, 1, 1, 0])
    constant = alarms.constant_score(CLASSES, ["accuracy"], labels, 2)
    assert constant == 0.75
    assert (
        "0.7550, no better than always giving the same answer (0.7500)"
        in alarms.teacher(0.755, constant, np.array([0, 1]))[0]
    )


def test_a_teacher_below_the_majority_class_is_worse_and_not_told_to_train_longer_if_it_was_taken_over():
    (said,) = alarms.teacher(0.0, 0.54, np.array([0, 1]), finetuned=False)
    assert "0.0000, worse than always giving the same answer (0.5400)" in said and "order" in said
    assert "epochs" not in said


def test_swapped_classes_are_named():
    labels = np.arange(300) % 3
    assert alarms.swapped_classes(CLASSES, labels, labels, ["a", "b", "c"]) is None
    assert alarms.swapped_classes(CLASSES, np.zeros(300, int), labels, ["a", "b", "c"]) is None, (
        "a constant answer is no order"
    )
    often = np.repeat([0, 1], [200, 100])
    assert alarms.swapped_classes(CLASSES, np.ones(300, int), often, ["a", "b"]) is None, (
        "nor is it that of the rarer class"
    )
    said = alarms.swapped_classes(CLASSES, (labels + 1) % 3, labels, ["a", "b", "c"])
    assert "right on 0.0% of the dev rows, and on 100.0% if what it calls a is c, b is a, c is b." in said.words
    assert said.order == (1, 2, 0), "of its classes, the one that is each of the task's"


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_best_constant_answer_by_f1_is_the_class_that_it_counts_however_rare(share):
    """Of 10 rows with 3 of class 1, "always 1" has 3 hits and 7 false alarms."""
    labels = (np.arange(10) < 10 * share).astype(int)
    assert alarms.constant_score(CLASSES, ["f1"], labels, 2) == pytest.approx(2 * share / (1 + share))
    assert alarms.constant_score(CLASSES, ["accuracy"], labels, 2) == 0.7


def test_a_constant_answer_has_no_correlation():
    assert alarms.constant_score(CLASSES, ["matthews"], np.array([0, 1, 1, 0]), 2) == 0.0
    scores = np.array([0.5, 1.0, 2.0], dtype="float32")
    assert alarms.constant_score(KINDS["score"], ["pearson", "spearman"], scores, 1) == 0.0


def test_many_cut_rows_are_named():
    assert alarms.truncation({"train": 0.061, "dev": 0.01}, 64) == [
        "6% of the train rows are longer than trainer.max_seq_length=64 and were cut."
    ]


def test_reduced_precision_that_cannot_be_right():
    good = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.5]])
    assert alarms.reduced("w1", good, good + 0.1, CLASSES) == []
    broken = good.copy()
    broken[1, 0] = np.nan
    assert alarms.reduced("w1", good, broken, CLASSES) == ["w1: 33% of the rows have logits that are not finite."]
    same = alarms.reduced("w1", good, np.ones((3, 2)), CLASSES)
    assert same == ["w1: its logits are the same for every row, those of the network are not."]
    one = alarms.reduced("w1", good, good + [[9.0, 0.0]], CLASSES)
    assert one == ["w1: it gives every row the same answer, the network does not."]
    assert alarms.reduced("w1", good, good + [[9.0, 0.0]], KINDS["score"]) == []
    assert alarms.reduced("w1", np.ones((3, 2)), np.ones((3, 2)), CLASSES) == [], "the network's own alarm"


@pytest.mark.parametrize(
    ("scale", "offset", "near"), [(1.0, 0.0, True), (0.95, 0.1, True), (0.2, 0.0, False), (1.0, 3.0, False)]
)
def test_scores_of_another_scale_or_offset_are_said_to_be_moved(scale, offset, near):
    """With labels whose deviation is 1.41; to any correlation they are the same."""
    scores = np.arange(5.0)
    expected, found = {"dev": scores[:, None]}, {"dev": scale * scores[:, None] + offset}
    said = alarms.moved_scores(expected, [expected, found], {"dev": scores})
    assert (
        said is None if near else said.endswith("(root mean square; allowed 0.141, a tenth of the labels' deviation)")
    )


@pytest.mark.parametrize(
    ("factor", "shift", "words"),
    [
        (1.0, 0.0, []),
        (0.8, 0.2, []),
        (0.4, 0.0, ["w1: where its scores differ by 1, the labels differ by 2.50 in the mean."]),
        (2.0, 0.0, ["w1: where its scores differ by 1, the labels differ by 0.50 in the mean."]),
        (1.0, -0.5, ["w1: its scores are off by -0.50 deviations of the labels in the mean."]),
    ],
)
def test_scores_that_go_with_the_labels_and_are_not_of_their_size_are_named(factor, shift, words):
    labels = np.linspace(-2, 2, 9)
    found = alarms.scale({"w1": (factor * labels + shift)[:, None], "flat": np.zeros((9, 1))}, labels)
    assert [one.partition(" No correlation")[0] for one in found] == words


def test_scores_that_are_unsure_are_no_alarm():
    """A network that knows little answers near the mean, as it should."""
    rng = np.random.default_rng(0)
    known, labels = rng.normal(size=(2, 4000))
    assert alarms.scale({"w1": (known * 0.5)[:, None]}, 0.5 * known + 0.87 * labels) == []

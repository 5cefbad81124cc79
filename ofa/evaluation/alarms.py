"""Sanity checks: warnings about results that look wrong although no error occurred."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from ofa.data.kinds import TaskKind
from ofa.evaluation.metrics import score

MARGIN = 0.01  # a teacher this close to the best constant answer has learned nothing
FAR = 0.02  # two points: more than chance moves a width against the teacher or its neighbour
CONSTANT = 1e-4  # logits whose spread over all rows is below this say the same of every row
MOVED = 0.1  # share of the labels' deviation that reduced precision may move scores by, root mean square
SHIFTED = 0.25  # deviations of the labels: scores further off than this, in the mean, are not the labels'
STRETCHED = 1.5  # scores that spread this many times too much, or too little
TRUNCATED = 0.05  # share of rows cut to max_seq_length that deserves a word


def constant_score(kind: TaskKind, metrics: list[str], labels: np.ndarray, outputs: int) -> float:
    """The task's score, the first of ``metrics``, of always giving one answer: the best of those that the kind knows.

    Args:
        labels: of ``N`` rows, as in ``Rows``.
        outputs: how many logits the task has.
    """
    name = metrics[0]
    return max(score([name], logits, labels)[name] for logits in kind.constants(labels, outputs))


def truncation(shares: dict[str, float], max_seq_length: int) -> list[str]:
    """Warnings about splits of which many rows did not fit.

    Args:
        shares: split name -> share of its rows that were cut.
    """
    return [
        f"{share:.0%} of the {split} rows are longer than trainer.max_seq_length={max_seq_length} and were cut."
        for split, share in shares.items()
        if share > TRUNCATED
    ]


def teacher(found: float, constant: float, labels: np.ndarray, finetuned: bool = True) -> list[str]:
    """A warning if the teacher is no better than a constant answer: nothing distilled from it can be either.

    Args:
        labels: of the dev rows, as in ``Rows``.
        finetuned: whether the job did that; otherwise it was taken as it stands.
    """
    if found > constant + MARGIN:
        return []
    if (labels == labels[0]).all():
        return [
            f"All {len(labels)} dev rows have the same label, so that scores on them tell nothing (task.dev, or "
            "task.max_dev_rows, which takes the first rows only)."
        ]
    than = "worse" if found < constant - MARGIN else "no better"
    why = (
        "it has not learned the task (raise trainer.finetune.epochs, look at learning_rate and data)"
        if finetuned
        else "its classes may be in another order than task.labels, or it was trained for another task"
    )
    return [f"The teacher scores {found:.4f}, {than} than always giving the same answer ({constant:.4f}): {why}."]


class Swapped(NamedTuple):
    """That a teacher's classes are in another order: in words, and which of its classes is each of the task's."""

    words: str
    order: tuple[int, ...]


def swapped_classes(kind: TaskKind, predicted: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Swapped | None:
    """The order of classes under which a teacher would be right far more often, if there is one.

    Args:
        predicted, labels: of ``N`` rows as ``kind`` has them, the teacher's and the rows' own.
        names: of the classes.
    """
    said, true = kind.marks(predicted, len(names)), kind.marks(labels, len(names))
    confusion = said.T.astype(int) @ true.astype(int)
    _, order = linear_sum_assignment(confusion, maximize=True)  # the class that each of the teacher's is most often
    # Accuracy where each row has one class; micro-F1 where it has any number.
    mean = (said.sum() + true.sum()) / 2
    now, then = np.trace(confusion) / mean, confusion[np.arange(len(names)), order].sum() / mean
    # What a constant answer of as many classes gets says nothing of an order.
    most = np.sort(true.sum(axis=0))[::-1][: math.ceil(said.sum() / len(said))].sum() / mean
    if then <= max(now, most) + FAR:
        return None
    moved = [f"{names[a]} is {names[b]}" for a, b in enumerate(order) if a != b]
    words = (
        f"The teacher's classes are in another order: it is right on {now:.1%} of the dev {kind.unit}, and on "
        f"{then:.1%} if what it calls {', '.join(moved[:6])}{', ...' if len(moved) > 6 else ''}."
    )
    return Swapped(words, tuple(int(place) for place in np.argsort(order)))


def family(
    teacher: float,
    networks: Mapping[str, Mapping[str, Any]],
    spreads: dict[str, float],
    constant: float,
    found: Collection[str] = (),
) -> list[str]:
    """Warnings about the scored sub-networks.

    Args:
        teacher: the teacher's score.
        networks: name -> ``width``, ``depth``, ``score``, ``metrics`` and ``macs``.
        spreads: name -> largest difference of one logit over the dev rows.
        constant: the best score of always giving the same answer.
        found: names of those that a search found, which are to be better than others as large.
    """
    odd = [
        f"{name}: its logits are the same for every row (spread {spread:.1e})."
        for name, spread in spreads.items()
        if spread < CONSTANT
    ]
    ordered = sorted(networks, key=lambda name: (-networks[name]["depth"], -networks[name]["macs"]))
    largest = networks[ordered[0]]
    lost = teacher - largest["score"]
    if lost > FAR and largest["width"] == largest["depth"] == 1:
        odd.append(
            f"{ordered[0]} was initialised from the teacher and ended {100 * lost:.1f} points below it: "
            "distillation made it worse; lower trainer.distill.learning_rate or distil longer."
        )
    same = len(ordered) > 1 and all(network["metrics"] == largest["metrics"] for network in networks.values())
    if same and largest["score"] > constant + MARGIN:  # otherwise all give one answer, which has its own alarm
        odd.append(
            "All sub-networks score the same to the last digit: an easy task or few dev rows, which do not tell them "
            "apart; or they do not differ at all."
        )
    uniform = [name for name in ordered if name not in found]
    for wide, narrow in zip(uniform, uniform[1:], strict=False):
        gain = networks[narrow]["score"] - networks[wide]["score"]
        if gain > FAR and networks[narrow]["depth"] == networks[wide]["depth"]:
            odd.append(
                f"{narrow} is {100 * gain:.1f} points above the larger {wide}: "
                "the dev split is small, or training has not settled."
            )
    return odd


def scale(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> list[str]:
    """Warnings about scores that go with the labels and are not of their size, which no correlation sees.

    Args:
        logits: name of a network -> its scores ``[N, 1]``.
        labels: ``[N]``, on the same scale, deviations of the training rows' (:mod:`ofa.data.scale`).
    """
    found, true = [], labels.astype(np.float64)
    for name, answers in logits.items():
        said = answers.reshape(-1).astype(np.float64)
        if min(said.std(), true.std()) < CONSTANT:
            continue
        both = ((said - said.mean()) * (true - true.mean())).mean()
        slope = both / said.var()  # of the labels over the scores: 1, however sure these are
        if slope > STRETCHED or (both > said.std() * true.std() / 2 and slope < 1 / STRETCHED):
            found.append(f"{name}: where its scores differ by 1, the labels differ by {slope:.2f} in the mean.")
        if abs(shift := said.mean() - true.mean()) > SHIFTED:
            found.append(f"{name}: its scores are off by {shift:+.2f} deviations of the labels in the mean.")
    why = " No correlation shows that: train longer or at another rate, or rescale what it answers."
    return [words + why for words in found]


def reduced(what: str, expected: np.ndarray, found: np.ndarray, kind: TaskKind) -> list[str]:
    """Warnings about logits ``[N, C]`` of a network in reduced precision that cannot be right, whatever they score.

    Args:
        what: the network and its precision.
        expected: the logits of the network itself.
        kind: of the task.
    """
    if not np.isfinite(found).all():
        return [f"{what}: {np.mean(~np.isfinite(found).all(axis=1)):.0%} of the rows have logits that are not finite."]
    if np.ptp(found, axis=0).max() < CONSTANT <= np.ptp(expected, axis=0).max():
        return [f"{what}: its logits are the same for every row, those of the network are not."]
    marks = (kind.marks(kind.predicted(logits), logits.shape[1]) for logits in (found, expected))
    answers, wanted = (np.unique(rows, axis=0) for rows in marks)
    if len(answers) == 1 < len(wanted):
        return [f"{what}: it gives every row the same answer, the network does not."]
    return []


def moved_scores(
    expected: Mapping[str, np.ndarray], found: Iterable[Mapping[str, np.ndarray]], labels: Mapping[str, np.ndarray]
) -> str | None:
    """How far scores in reduced precision are from the network's, in words; None if that is near enough.

    Correlations do not tell: they are those of any scores with another scale or offset.

    Args:
        expected: split -> scores ``[N, 1]`` of the network itself.
        found: the same in reduced precision, for each size of batch.
        labels: split -> scores ``[N]``.
    """
    deviation = np.std(np.concatenate([labels[split] for split in expected]))
    differences = [np.concatenate([scores[split] - expected[split] for split in expected]) for scores in found]
    most = max(float(np.sqrt(np.mean(difference**2))) for difference in differences)
    if most <= MOVED * deviation:
        return None
    allowed = f"allowed {MOVED * deviation:.3g}, a tenth of the labels' deviation"
    return f"its scores are off by {most:.3g} (root mean square; {allowed})"

"""Sanity checks: warnings about results that look wrong although no error occurred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ofa.evaluation.metrics import score

MARGIN = 0.01  # a teacher this close to the best constant answer has learned nothing
FAR = 0.02  # two points: more than chance moves a width against the teacher or its neighbour
CONSTANT = 1e-4  # logits whose spread over all rows is below this say the same of every row
TRUNCATED = 0.05  # share of rows cut to max_seq_length that deserves a word


def constant_score(kind: str, metrics: list[str], labels: np.ndarray, outputs: int) -> float:
    """The task's score of always giving one answer: for ``classes`` the most frequent, for a ``score`` the mean.

    Args:
        kind: of the task.
        labels: ``[N]`` class ids or scores.
        outputs: how many logits the task has.
    """
    logits = np.zeros((len(labels), outputs))
    if kind == "classes":
        logits[:, np.bincount(labels, minlength=outputs).argmax()] = 1
    else:
        logits[:] = labels.mean()
    return next(iter(score(metrics, logits, labels).values()))


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


def teacher(found: float, constant: float) -> list[str]:
    """A warning if the teacher is no better than a constant answer: nothing distilled from it can be either."""
    if found > constant + MARGIN:
        return []
    return [
        f"The teacher scores {found:.4f}, no better than the majority-class baseline ({constant:.4f}): it has not "
        "learned the task (raise trainer.finetune.epochs, look at learning_rate and data) or, if it came finetuned, "
        "has its classes in another order than task.labels."
    ]


def family(
    teacher: float, networks: Mapping[str, Mapping[str, Any]], spreads: dict[str, float], constant: float
) -> list[str]:
    """Warnings about the scored sub-networks.

    Args:
        teacher: the teacher's score.
        networks: name -> ``width``, ``depth``, ``score``, ``metrics`` and ``macs``.
        spreads: name -> largest difference of one logit over the dev rows.
        constant: the best score of always giving the same answer.
    """
    found = [
        f"{name}: its logits are the same for every row (spread {spread:.1e})."
        for name, spread in spreads.items()
        if spread < CONSTANT
    ]
    ordered = sorted(networks, key=lambda name: (-networks[name]["depth"], -networks[name]["macs"]))
    largest = networks[ordered[0]]
    lost = teacher - largest["score"]
    if lost > FAR and largest["width"] == largest["depth"] == 1:
        found.append(
            f"{ordered[0]} was initialised from the teacher and ended {100 * lost:.1f} points below it: "
            "distillation made it worse; lower trainer.distill.learning_rate or distil longer."
        )
    same = len(ordered) > 1 and all(network["metrics"] == largest["metrics"] for network in networks.values())
    if same and largest["score"] > constant + MARGIN:  # otherwise all give one answer, which has its own alarm
        found.append("All sub-networks score the same to the last digit: check that they differ at all.")
    for wide, narrow in zip(ordered, ordered[1:], strict=False):
        gain = networks[narrow]["score"] - networks[wide]["score"]
        if gain > FAR and networks[narrow]["depth"] == networks[wide]["depth"]:
            found.append(
                f"{narrow} is {100 * gain:.1f} points above the larger {wide}: "
                "the dev split is small, or training has not settled."
            )
    return found


def reduced(what: str, expected: np.ndarray, found: np.ndarray, kind: str) -> list[str]:
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
    answers, wanted = (np.unique(logits.argmax(axis=1)) for logits in (found, expected))
    if kind == "classes" and len(answers) == 1 < len(wanted):
        return [f"{what}: it gives every row the same class, the network does not."]
    return []

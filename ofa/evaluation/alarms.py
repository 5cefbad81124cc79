"""Signs that a run went wrong although nothing failed, in words for the terminal and the report."""

from __future__ import annotations

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
    """Splits of which many rows did not fit.

    Args:
        shares: split name -> share of its rows that were cut.
    """
    return [
        f"{share:.0%} of the {split} rows are longer than trainer.max_seq_length={max_seq_length} and were cut."
        for split, share in shares.items()
        if share > TRUNCATED
    ]


def teacher(found: float, constant: float) -> list[str]:
    """A teacher no better than a constant answer: nothing distilled from it can be either."""
    if found > constant + MARGIN:
        return []
    return [
        f"The teacher's score, {found:.4f}, is that of always giving the same answer ({constant:.4f}): it has learned "
        "nothing (raise trainer.finetune.epochs, look at learning_rate and data) or, if it came finetuned, has its "
        "classes in another order than task.labels."
    ]


def family(results: dict[str, Any], spreads: dict[str, float], constant: float) -> list[str]:
    """Signs among the scored networks.

    Args:
        results: the content of results.json.
        spreads: network name -> largest difference of one logit over the dev rows.
        constant: the best score of always giving the same answer.
    """
    found = [
        f"{name}: its logits are the same for every row (spread {spread:.1e})."
        for name, spread in spreads.items()
        if spread < CONSTANT
    ]
    widths = sorted(results["widths"], key=lambda entry: -entry["width"])
    lost = results["teacher"]["score"] - widths[0]["score"]
    if lost > FAR:
        found.append(
            f"Width {widths[0]['width']:.4g} started as the teacher and ended {100 * lost:.1f} points below it: "
            "distillation did harm; lower trainer.distill.learning_rate or distil longer."
        )
    same = len(widths) > 1 and all(entry["metrics"] == widths[0]["metrics"] for entry in widths)
    if same and widths[0]["score"] > constant + MARGIN:  # otherwise all give one answer, which has its own alarm
        found.append("All widths score the same to the last digit: check that the widths differ at all.")
    for wide, narrow in zip(widths, widths[1:], strict=False):
        gain = narrow["score"] - wide["score"]
        if gain > FAR:
            found.append(
                f"Width {narrow['width']:.4g} is {100 * gain:.1f} points above the wider {wide['width']:.4g}: "
                "the dev split is small, or training has not settled."
            )
    return found

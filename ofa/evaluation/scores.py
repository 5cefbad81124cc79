"""Score a network on encoded rows: the teacher, a width and an exported model all go through here."""

from __future__ import annotations

import numpy as np

from ofa.data.batches import collate, eval_batches
from ofa.data.tokens import Encoded
from ofa.evaluation.metrics import score
from ofa.model.network import Forward
from ofa.system import ranks


def predict(forward: Forward, encoded: Encoded, batch_size: int, together: bool = False) -> np.ndarray:
    """Logits ``[N, C]`` of all rows, in the rows' order.

    Args:
        together: every rank calls this, runs its share of the batches and gets the logits of all.
    """
    batches = eval_batches(encoded.lengths, batch_size)
    parts = []
    for picked in ranks.shard(batches) if together else batches:
        batch = collate(encoded, picked)
        parts.append(forward(batch.input_ids, batch.token_type_ids))
    logits = np.concatenate(ranks.unshard(parts) if together else parts)
    ordered = np.empty_like(logits)
    ordered[np.concatenate(batches)] = logits
    return ordered


def predict_splits(
    forward: Forward, splits: dict[str, Encoded], batch_size: int, together: bool = False
) -> dict[str, np.ndarray]:
    """Logits ``[N, C]`` of all rows by split; ``together`` as for :func:`predict`."""
    return {name: predict(forward, encoded, batch_size, together) for name, encoded in splits.items()}


def evaluate(forward: Forward, splits: dict[str, Encoded], metrics: list[str], batch_size: int) -> dict[str, float]:
    """Metrics of every dev split, which the ranks share: see :func:`scores`."""
    return scores(predict_splits(forward, splits, batch_size, together=True), splits, metrics)


def scores(logits: dict[str, np.ndarray], splits: dict[str, Encoded], metrics: list[str]) -> dict[str, float]:
    """Metrics of the ``logits`` ``[N, C]`` of every dev split, from 0 to 1.

    With one split the names are the metrics' own (``accuracy``); with several, the split's name is
    put before them (``matched/accuracy``). The first entry is the task's score.
    """
    found = {}
    for name, encoded in splits.items():
        prefix = f"{name}/" if len(splits) > 1 else ""
        for metric, value in score(metrics, logits[name], encoded.labels).items():
            found[prefix + metric] = value
    return found


def main_score(found: dict[str, float]) -> float:
    """The task's score: its first metric on its first dev split."""
    return next(iter(found.values()))

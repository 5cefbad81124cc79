"""GLUE's metrics, by scikit-learn and SciPy, and those of tasks with several labels per row.

All are from 0 to 1, correlations from -1 to 1.

Where a metric is not defined (constant predictions have no correlation) it is 0.0, without a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from ofa.data.kinds import KINDS
from ofa.errors import Diverged, UserError


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose class ids [N] are equal."""
    return float(np.mean(predicted == labels))


def f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """F1 of class 1 against class 0; 0.0 if class 1 is neither predicted nor there."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, labels=[0, 1], pos_label=1, average="binary", zero_division=0.0))


def matthews(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Matthews correlation of class ids [N], two classes or more."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predicted))


def micro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """F1 over all decisions, of 0 or 1 ``[N, C]``; 0.0 if nothing is predicted and nothing is there."""
    return _f1_of((predicted * labels).sum(), predicted.sum() + labels.sum())


def macro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of each one's F1, of 0 or 1 ``[N, C]``; 0.0 of a class that is neither predicted nor there."""
    right, both = (predicted * labels).sum(axis=0), predicted.sum(axis=0) + labels.sum(axis=0)
    return float(np.mean([_f1_of(*counts) for counts in zip(right, both, strict=True)]))


def exact_match(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose sets of classes, of 0 or 1 ``[N, C]``, are equal."""
    return float((predicted == labels).all(axis=1).mean())


def _f1_of(right: float, both: float) -> float:
    """F1 from the number of true positives, and of what is predicted and what is there together."""
    return float(2 * right / both) if both else 0.0


def pearson(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Linear correlation of scores [N]."""
    from scipy.stats import pearsonr

    return _correlation(pearsonr, predicted, labels)


def spearman(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Correlation of the ranks of scores [N]; ties share their mean rank."""
    from scipy.stats import spearmanr

    return _correlation(spearmanr, predicted, labels)


def _correlation(function: Callable, predicted: np.ndarray, labels: np.ndarray) -> float:
    if len(labels) < 2:
        return 0.0
    # SciPy gives nan for constant values. float64: the mean of a float32 column can be off by more than its spread.
    return float(np.nan_to_num(function(np.float64(predicted), np.float64(labels))[0]))


# Name -> the function, and the kind of task (`TaskConfig.kind`) it is for.
METRICS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], float], str]] = {
    "accuracy": (accuracy, "classes"),
    "f1": (f1, "classes"),
    "matthews": (matthews, "classes"),
    "pearson": (pearson, "score"),
    "spearman": (spearman, "score"),
    "micro_f1": (micro_f1, "multi_label"),
    "macro_f1": (macro_f1, "multi_label"),
    "exact_match": (exact_match, "multi_label"),
}


def score(names: Sequence[str], logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics ``names``, in that order.

    Args:
        logits: [N, C]; the class is the greatest. For metrics of scores [N, 1] or [N], the scores.
        labels: [N] class ids or scores, or 0 and 1 [N, C].

    Raises:
        UserError: if a metric does not fit the logits.
        Diverged: if a logit is not finite.
    """
    if len(logits) != len(labels) or not len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels")
    broken = ~np.isfinite(logits.reshape(len(logits), -1)).all(axis=1)
    if broken.any():
        raise Diverged(
            f"{broken.sum()} of {len(logits)} rows have logits that are not finite, first row {broken.argmax()}"
        )
    found = {}
    for name in names:
        function, kind = METRICS.get(name, (None, None))
        if function is None or kind is None or not KINDS[kind].fits(logits):
            raise UserError(
                f"task.metrics: {name!r} does not fit logits {list(logits.shape)}; allowed: {', '.join(METRICS)}"
            )
        if name == "f1" and logits.shape[1] != 2:
            raise UserError(f"task.metrics: f1 is for two classes, the model has {logits.shape[1]}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[name] = function(KINDS[kind].predicted(logits), labels)
    return found

"""The kinds of tasks, one object each: how a label is read, learned, distilled, predicted and answered.

Besides an entry of :data:`KINDS`, a kind needs its metrics (``ofa/evaluation/metrics.py``) and its rules
(``ofa/settings/rules.py``). The losses import Paddle only as they run: what serves a network does without.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ofa.data.lines import BadRow, listed, short
from ofa.settings.schema import TaskConfig

if TYPE_CHECKING:
    from paddle import Tensor


class TaskKind(ABC):
    """What depends on the kind of a task. ``C`` is the number of logits, one for each class, or one for a score.

    Attributes:
        dtype: of the labels of rows.
        answer: columns of a served answer -> their MLflow type, in brackets where each cell is a list.
        fp32_drift: points that a score in FP32 may differ by between two engines.
        unit: what the share of right answers is counted in.
        has_classes: whether the logits are of classes that have names.
        problem_type: what Transformers' config.json says, where the number of classes does not tell the kind.
    """

    dtype: ClassVar[type]
    answer: ClassVar[dict[str, str]]
    fp32_drift: ClassVar[float] = 0.0
    unit: ClassVar[str] = "rows"
    has_classes: ClassVar[bool] = True
    problem_type: ClassVar[str | None] = None

    @abstractmethod
    def parser(self, task: TaskConfig) -> Callable[[str], Any]:
        """The function from the text of a label to its value in ``Rows.labels``; it raises BadRow."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits ``[B, C]`` against a batch's labels, mean over rows."""

    @abstractmethod
    def logit_loss(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Of a student's logits ``[B, C]`` against the teacher's, mean over rows."""

    @abstractmethod
    def fits(self, logits: np.ndarray) -> bool:
        """Whether ``logits`` can be of a task of this kind."""

    @abstractmethod
    def predicted(self, logits: np.ndarray) -> np.ndarray:
        """What metrics compare with the labels of ``N`` rows, from logits ``[N, C]``."""

    @abstractmethod
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Of the classes, ``[N, C]``, from logits ``[N, C]``; ``[N, 0]`` where there are no classes."""

    @abstractmethod
    def answers(self, logits: np.ndarray, classes: Sequence[str]) -> tuple[Sequence, ...]:
        """The columns of :attr:`answer` for logits ``[N, C]``."""

    @abstractmethod
    def constants(self, labels: np.ndarray, outputs: int) -> list[np.ndarray]:
        """Logits ``[N, C]`` of the best ways to give each of the rows with ``labels`` the same answer."""

    def marks(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Which classes each of ``N`` labels or predictions names, bool ``[N, C]``; none of a score."""
        return np.zeros((len(labels), classes), bool)

    @abstractmethod
    def words(self, label: Any, classes: Sequence[str]) -> str:
        """One entry of ``Rows.labels`` as a person reads it."""


class Classes(TaskKind):
    """One class of several; labels are class ids ``[N]``."""

    dtype = np.int64
    answer = {"label": "string", "probability": "double"}

    def parser(self, task: TaskConfig) -> Callable[[str], int]:
        ids = _ids(task)

        def parse(value: str) -> int:
            if value not in ids:
                raise BadRow(f"label {short(value)} is unknown; allowed: {listed(list(ids))}")
            return ids[value]

        return parse

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        import paddle.nn.functional as F

        return F.cross_entropy(logits, labels)

    def logit_loss(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Cross-entropy against the teacher's distribution, summed over classes (DynaBERT, section 2.2)."""
        import paddle.nn.functional as F

        return -(F.softmax(teacher_logits) * F.log_softmax(logits)).sum(axis=-1).mean()

    def fits(self, logits: np.ndarray) -> bool:
        return logits.ndim == 2 and logits.shape[1] > 1

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def answers(self, logits: np.ndarray, classes: Sequence[str]) -> tuple[Sequence, ...]:
        names = [classes[index] for index in logits.argmax(axis=1)]
        return names, self.probabilities(logits).max(axis=1).tolist()

    def constants(self, labels: np.ndarray, outputs: int) -> list[np.ndarray]:
        """The most frequent class; of two also the other, as F1 is of class 1 however rare that is."""
        most = int(np.bincount(labels, minlength=outputs).argmax())
        answers = dict.fromkeys([most, 1 - most]) if outputs == 2 else [most]
        return [_always(np.arange(outputs) == answer, len(labels)) for answer in answers]

    def marks(self, labels: np.ndarray, classes: int) -> np.ndarray:
        return labels[:, None] == np.arange(classes)

    def words(self, label: Any, classes: Sequence[str]) -> str:
        return classes[int(label)]


class Score(TaskKind):
    """A number (regression); labels are scores ``[N]``. Its metrics are correlations, and move as rounding does."""

    dtype = np.float32
    answer = {"score": "double"}
    fp32_drift = 0.01
    has_classes = False

    def parser(self, task: TaskConfig) -> Callable[[str], float]:
        low, high = task.score_range or (-math.inf, math.inf)

        def parse(value: str) -> float:
            try:
                if "_" in value:  # which Python takes between digits
                    raise ValueError
                score = float(value)
            except ValueError:
                raise BadRow(f"score {short(value)} is no number; allowed: {low:g} to {high:g}") from None
            if not (low <= score <= high and math.isfinite(score)):
                raise BadRow(f"score {short(value)} is out of range; allowed: {low:g} to {high:g}")
            return score

        return parse

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        import paddle.nn.functional as F

        return F.mse_loss(logits.squeeze(-1), labels)

    def logit_loss(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """A softmax over one score is constant, so the recipe's loss would teach nothing on STS-B."""
        import paddle.nn.functional as F

        return F.mse_loss(logits, teacher_logits)

    def fits(self, logits: np.ndarray) -> bool:
        return logits.ndim == 1 or logits.shape[1] == 1

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        return logits.reshape(-1)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return logits[:, :0]

    def answers(self, logits: np.ndarray, classes: Sequence[str]) -> tuple[Sequence, ...]:
        return (logits[:, 0].tolist(),)

    def constants(self, labels: np.ndarray, outputs: int) -> list[np.ndarray]:
        return [np.full((len(labels), outputs), labels.mean(), float)]

    def words(self, label: Any, classes: Sequence[str]) -> str:
        return f"{label:g}"


class MultiLabel(TaskKind):
    """Any number of the classes, each a question of its own; labels are 0 or 1, ``[N, C]``.

    A class is predicted where its probability is above one half, that is, where its logit is above 0. There are ``C``
    such decisions in a row, so rounding may bring a logit to the other side of 0 once in a great many.
    """

    dtype = np.float32
    answer = {"labels": "[string]", "probabilities": "[double]"}
    fp32_drift = 0.1
    unit = "labels (micro-F1)"
    problem_type = "multi_label_classification"

    def parser(self, task: TaskConfig) -> Callable[[str], np.ndarray]:
        ids = _ids(task)

        def parse(value: str) -> np.ndarray:
            found = np.zeros(len(ids), np.float32)
            for part in (part.strip() for part in value.split(task.label_separator) if value):
                if part not in ids:
                    raise BadRow(
                        f"label {short(part)} is unknown; allowed: any of {listed(list(ids))}, with "
                        f"{task.label_separator!r} between them (task.label_separator), or nothing"
                    )
                found[ids[part]] = 1
            return found

        return parse

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy, mean over classes and rows, as Transformers has it."""
        import paddle.nn.functional as F

        return F.binary_cross_entropy_with_logits(logits.astype("float32"), labels)

    def logit_loss(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Binary cross-entropy against the teacher's probabilities; summed over classes, as it is of one class."""
        import paddle.nn.functional as F

        wanted = F.sigmoid(teacher_logits.astype("float32"))
        found = F.binary_cross_entropy_with_logits(logits.astype("float32"), wanted, reduction="none")
        return found.sum(axis=-1).mean()

    def fits(self, logits: np.ndarray) -> bool:
        return logits.ndim == 2

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        return (logits > 0).astype(np.float32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return (1 + np.tanh(logits / 2)) / 2  # the sigmoid, which does not overflow so

    def answers(self, logits: np.ndarray, classes: Sequence[str]) -> tuple[Sequence, ...]:
        """The likeliest class first."""
        shares = self.probabilities(logits)
        chosen = [[int(index) for index in np.argsort(-row, kind="stable") if row[index] > 0] for row in logits]
        names = [[classes[index] for index in row] for row in chosen]
        return names, [[float(share[index]) for index in row] for row, share in zip(chosen, shares, strict=True)]

    def constants(self, labels: np.ndarray, outputs: int) -> list[np.ndarray]:
        """The set that is best by micro-F1 (the most frequent classes, of the best number), all, and the commonest."""
        counts = labels.sum(axis=0)
        order, numbers = np.argsort(-counts, kind="stable"), np.arange(1, outputs + 1)
        best = np.argmax(np.cumsum(counts[order]) / (len(labels) * numbers + labels.sum())) + 1
        sets, times = np.unique(labels, axis=0, return_counts=True)
        found = (np.isin(np.arange(outputs), order[:best]), np.ones(outputs, bool), sets[times.argmax()] > 0)
        return [_always(answer, len(labels)) for answer in found]

    def marks(self, labels: np.ndarray, classes: int) -> np.ndarray:
        return labels > 0

    def words(self, label: Any, classes: Sequence[str]) -> str:
        return ", ".join(name for name, given in zip(classes, label, strict=True) if given)


def _ids(task: TaskConfig) -> dict[str, int]:
    """What the files say for each class -> its id."""
    return {value: index for index, value in enumerate(task.label_values or task.labels)}


def _always(answer: np.ndarray, rows: int) -> np.ndarray:
    """Logits ``[N, C]`` that say the same, bool ``[C]``, of every row."""
    return np.tile(np.where(answer, 1.0, 0.0), (rows, 1))


# By `TaskConfig.kind`.
KINDS: dict[str, TaskKind] = {"classes": Classes(), "score": Score(), "multi_label": MultiLabel()}

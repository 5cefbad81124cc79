"""Which class of a finished teacher is which of the task's."""

from __future__ import annotations

import logging

from ofa.errors import UserError
from ofa.model.folder import Folder, tensor_names
from ofa.settings.schema import Config, TaskConfig
from ofa.settings.words import as_pasted

log = logging.getLogger(__name__)


def label_order(config: Config, folder: Folder) -> tuple[int, ...] | None:
    """Which of the folder's classes is each of the task's, if the folder is a finished teacher.

    Labels are matched by name or id; placeholders (LABEL_0, ...) that match neither way, by position.
    """
    model, task = config.model, config.task
    has_classifier = f"{folder.architecture.output}.weight" in tensor_names(folder, model.allow_pickle)
    if model.finetuned is False or (model.finetuned is None and not has_classifier):
        return None
    if not has_classifier:
        raise UserError(f"model.finetuned: {folder.path} has no classifier; leave model.finetuned out to train one")
    return match_labels(folder, task)


def match_labels(folder: Folder, task: TaskConfig) -> tuple[int, ...]:
    """The folder's class index of each of the task's classes, by name or id, as task.teacher_labels says if it does.

    Raises:
        UserError: if number or names differ.
    """
    wanted, found = tuple(task.labels), folder.labels
    hint = "set model.finetuned=false to train a new classifier on its encoder"
    if len(found) != len(task.outputs):
        raise UserError(
            f"model.path: {folder.path} has {len(found)} labels, task {task.name} has {len(task.outputs)}; {hint}"
        )
    if not task.labels:
        return tuple(range(len(found)))
    order = _matched(tuple(task.teacher_labels or wanted), found)
    if order is None and not (folder.named_labels or task.teacher_labels):
        log.warning("%s has no names for its classes: taken as %s, in this order.", folder.path, ", ".join(wanted))
        return tuple(range(len(found)))
    if order is None and task.teacher_labels:
        raise UserError(
            f"task.teacher_labels: {', '.join(task.teacher_labels)} are not the labels of {folder.path}: "
            f"{', '.join(found)}; allowed: these, or their ids from 0 to {len(found) - 1}, each once"
        )
    if order is None:
        raise UserError(
            f"model.path: {folder.path} has the labels {', '.join(found)}, task {task.name} has {', '.join(wanted)}\n"
            f"if they mean the same, put them in the order of task.labels: {as_pasted('task.teacher_labels', found)} "
            f"(names or ids); or {hint}"
        )
    if any(found[index] != label for index, label in zip(order, wanted, strict=True)):
        log.warning("%s names its classes %s: taken for %s.", folder.path, ", ".join(found), ", ".join(wanted))
    return order


def _matched(wanted: tuple[str, ...], found: tuple[str, ...]) -> tuple[int, ...] | None:
    """Where each of ``wanted`` is in ``found``: letter for letter, else without regard to case, else by its id."""
    for form in (str, lambda label: label.strip().casefold()):
        ours, theirs = [form(label) for label in wanted], [form(label) for label in found]
        if set(ours) == set(theirs) and len(set(ours)) == len(ours):
            return tuple(theirs.index(label) for label in ours)
    ids = [str(number) for number in range(len(found))]
    return tuple(map(int, wanted)) if sorted(wanted) == sorted(ids) else None

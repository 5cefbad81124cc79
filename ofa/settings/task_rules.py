"""The rules that the description of a task must keep: its files, columns, labels and metrics, as far as values show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ofa.settings.bounds import choice, file_name, once
from ofa.settings.places import url_problems
from ofa.settings.task import METRICS, TaskConfig
from ofa.system.redact import without_secrets

GENERATORS = ("negation",)


def task_problems(task: TaskConfig) -> list[str]:
    """Every contradiction in the description of a task."""
    found = list(file_name("task.name", task.name))
    if len(task.text) not in (1, 2) or len(set(task.text)) < len(task.text):
        found.append(f"task.text: {task.text} is not one column of text or two different ones")
    if task.label in task.text:
        found.append(f"task.label: {task.label!r} is also a column of task.text")
    if task.columns is not None:
        found += once("task.columns", task.columns)
        for column in [*task.text, task.label]:
            if column not in task.columns:
                found.append(f"task.columns: no column {column!r}, which task.text or task.label names")
    if not task.dev:
        found.append("task.dev is empty: name at least one split and its file, e.g. +task.dev.dev=dev.tsv")
    found += [*_label_problems(task), *_metric_problems(task)]
    taken = {name: f"task.{name}" for name in ("train", "test", "unlabelled")} | {"augmented": "ofa.augment"}
    for name in sorted(taken.keys() & set(task.dev)):
        found.append(f"task.dev: the split name {name!r} is taken by {taken[name]}")
    if task.test is not None and task.test_share is not None:
        found.append("task.test_share: task.test names a file already; allowed: one of them")
    for key in ("test_share", "dev_share"):
        share = getattr(task, key)
        if share is not None and not 0 < share <= 0.5:
            found.append(f"task.{key}: {share:g} is outside (0, 0.5]")
    if task.dev_share is not None and len(task.dev) > 1:
        found.append(f"task.dev_share: holds out one split, task.dev has {', '.join(task.dev)}; leave one of them")
    found += _hub_problems(task)
    found += choice("task.bad_rows", task.bad_rows, ("error", "skip"))
    found += choice("task.quoting", task.quoting or "none", ("none", "csv"))
    for key in ("max_train_rows", "max_dev_rows"):
        limit = getattr(task, key)
        if limit is not None and limit < 1:
            found.append(f"task.{key}: {limit} is below 1; null means all rows")
    if task.generator is not None and task.generator not in GENERATORS:
        found.append(
            f"task.generator: {without_secrets(task.generator)!r} is unknown; allowed: null, {', '.join(GENERATORS)}"
        )
    if task.generator is not None and task.data_dir is not None:
        found.append(
            f"task.generator: {without_secrets(task.generator)} and task.data_dir are both set; "
            "for rows of your own choose task=custom"
        )
    found += url_problems(task.url)
    if task.sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", task.sha256):
        found.append(
            f"task.sha256: {without_secrets(task.sha256)!r} is not a SHA-256; allowed: 64 digits 0-9 and a-f, or null"
        )
    return found


def _hub_problems(task: TaskConfig) -> Iterable[str]:
    """A data set of the hub under no name, or besides other places for the rows."""
    if task.hub is None:
        return
    if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?(?::[\w.-]+)?", task.hub):
        yield f"task.hub: {without_secrets(task.hub)!r} is no name; allowed: owner/name, owner/name:configuration, null"
    folder = task.hub.partition(":")[0]
    if Path(folder).is_dir():  # which datasets takes for the data set, and changes of it would be seen by no one
        yield f"task.hub: {without_secrets(folder)!r} is a folder here; to read its files: task.data_dir={folder}"
    for key in ("data_dir", "generator"):
        if getattr(task, key) is not None:
            yield f"task.hub: {task.hub} and task.{key} are both set; allowed: one of them"


def _label_problems(task: TaskConfig) -> Iterable[str]:
    """Contradictions between ``labels``, ``label_values`` and ``score_range``."""
    if task.labels and task.score_range is not None:
        yield "task.score_range is for regression: set it to null, or task.labels to []"
    if not task.labels and task.score_range is None:
        yield "task.labels is empty: name the classes, or set task.score_range=[low,high] for a regression task"
    if len(task.labels) == 1:
        yield f"task.labels has one class, {task.labels[0]!r}: name two or more"
    if task.multi_label and not task.labels:
        yield "task.multi_label: true needs the names of the classes in task.labels"
    for key in ("labels", "label_values") if task.multi_label else ():
        value = next((value for value in getattr(task, key) or () if task.label_separator in value), None)
        if value is not None:  # the empty text is in every one
            yield f"task.label_separator: {task.label_separator!r} is in {value!r} of task.{key}; set another"
    for key in ("label_values", "teacher_labels"):
        values = getattr(task, key)
        if values is not None and len(values) != len(task.labels):
            yield f"task.{key} has {len(values)} values for {len(task.labels)} task.labels"
        yield from once(f"task.{key}", values or [])
    yield from once("task.labels", task.labels)
    if task.score_range is not None and not (len(task.score_range) == 2 and task.score_range[0] < task.score_range[1]):
        yield f"task.score_range: {task.score_range} is not [low, high] with low < high"


def _metric_problems(task: TaskConfig) -> Iterable[str]:
    """Metrics that are unknown or do not fit the kind of task."""
    if not task.metrics:
        yield f"task.metrics is empty; allowed: {', '.join(METRICS)}"
    allowed = [name for name, kind in METRICS.items() if kind == task.kind]
    for metric in task.metrics:
        if metric not in METRICS:
            yield from choice("task.metrics", metric, list(METRICS))
        elif metric not in allowed:
            yield f"task.metrics: {metric} does not fit a task of {task.kind}; allowed: {', '.join(allowed)}"
        elif metric == "f1" and len(task.labels) != 2:
            yield f"task.metrics: f1 is for two classes, task.labels has {len(task.labels)}"

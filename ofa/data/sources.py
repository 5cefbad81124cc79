"""Where the files of a task come from: a local folder, a download or a generator."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa.data import hub
from ofa.data.arrow import splits_of
from ofa.data.fetch import fetch_files
from ofa.data.kinds import KINDS
from ofa.data.rows import Rows, read_rows
from ofa.data.unlabelled import Unlabelled
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig
from ofa.system.files import expanded

log = logging.getLogger(__name__)
_HELP = "point to local files with task.data_dir=<folder>, or try experiment=quickstart, which needs no download"


def find_folder(task: TaskConfig, cache_dir: Path) -> Path:
    """The folder with all files of the task, generated or downloaded into ``cache_dir`` if need be.

    Raises:
        UserError: two lines that name every missing file and how to point to local ones.
    """
    dev = [] if task.dev_share else task.dev.values()
    files = [task.train, *dev, *([task.test] if task.test else [])]
    if task.generator:
        return _generate(task.generator, cache_dir)
    if task.hub is not None:
        folders = [hub.folder_of(task.hub, cache_dir)]
        if not folders[0].is_dir():
            hub.fetch(task.hub, folders[0])
    elif task.data_dir is not None:
        base = expanded(task.data_dir)
        folders = [base, base / task.folder] if task.folder else [base]
        if not base.is_dir():
            raise UserError(f"task.data_dir={task.data_dir}: no such folder; allowed: a folder with {', '.join(files)}")
    else:
        folders = [cache_dir / "glue" / (task.folder or task.name)]
    for folder in folders:
        if all((folder / expanded(file)).exists() for file in files):
            return folder

    folder = next((found for found in reversed(folders) if found.is_dir()), folders[0])
    missing = [file for file in files if not (folder / expanded(file)).exists()]
    problem = f"task {task.name}: {', '.join(missing)} missing in {folder}"
    if splits := splits_of(folder):
        others = [name for name in splits if name != "train"] or splits
        raise UserError(
            f"{problem}\nit is a data set with the splits {', '.join(splits)}: name them instead, "
            f"e.g. task.train={'train' if 'train' in splits else splits[0]} task.dev.dev={others[0]}"
        )
    if task.data_dir is not None:
        raise UserError(f"{problem}\n{_HELP}")
    if task.url is None:
        raise UserError(f"{problem}, and task.url gives no address to fetch from\n{_HELP}")
    try:
        fetch_files(task.url, task.sha256, missing, folder)
    except UserError as error:
        raise UserError(f"{problem}, and {error}\n{_HELP}") from error
    return folder


def _generate(generator: str, cache_dir: Path) -> Path:
    from ofa.data.negation import write_negation

    folder = cache_dir / "generated" / generator
    try:
        write_negation(folder)
    except OSError as error:
        raise UserError(f"cache_dir: cannot write {folder} ({error.strerror})") from None
    return folder


def load_splits(task: TaskConfig, cache_dir: Path) -> dict[str, Rows]:
    """The rows of "train", of each dev split in the order of ``task.dev``, and of "test" if the task has one.

    Raises:
        UserError: a missing file (all are named), a malformed row, or a train split of one label.
    """
    folder = find_folder(task, expanded(cache_dir))
    train_file = folder / expanded(task.train)
    train = read_rows(train_file, task, task.max_train_rows)
    test = {"test": read_rows(folder / expanded(task.test), task)} if task.test else {}
    if task.test_share:
        train, test["test"] = _held_out(train, task.test_share, "task.test_share")
    if task.dev_share:
        train, held_out = _held_out(train, task.dev_share, "task.dev_share")
        dev = {name: held_out.take(np.arange(len(held_out))[: task.max_dev_rows]) for name in task.dev}
    else:
        files = {name: folder / expanded(file) for name, file in task.dev.items()}
        dev = {name: read_rows(file, task, task.max_dev_rows) for name, file in files.items()}
    _require_labels(train_file, train, task)
    for name, rows in dev.items():
        _warn_of_missing(f"task.dev.{name}", rows, _there(train, task), task, "max_dev_rows")
    _warn_of_shared(train, {**dev, **test})
    return {"train": train, **dev, **test}


def load_unlabelled(task: TaskConfig, cache_dir: Path, splits: Mapping[str, Rows]) -> Unlabelled | None:
    """The rows without labels that distillation learns from besides those of ``splits``, if the task has any.

    Raises:
        UserError: a file that is missing or malformed, or no row that is new.
    """
    if not task.unlabelled:
        return None
    return Unlabelled.scan(further_files(task, cache_dir, "task.unlabelled", task.unlabelled), task, splits)


def further_files(task: TaskConfig, cache_dir: Path, key: str, names: Sequence[str]) -> list[Path]:
    """The files of rows that the setting ``key`` names; a name without a folder is one in the task's folder.

    Raises:
        UserError: for a file that is missing.
    """
    folder = find_folder(task, expanded(cache_dir)) if names else Path()
    paths = [folder / expanded(name) for name in names]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{key}: {path} is not a file; a name without a folder is one in {folder}")
    return paths


def _require_labels(path: Path, train: Rows, task: TaskConfig) -> None:
    """Refuse training rows of one label, and name the classes that none has: nothing is learned of them."""
    if (train.labels == train.labels[0]).all():
        value = KINDS[task.kind].words(train.labels[0], task.labels)
        left = " that are not held out" if task.test_share or task.dev_share else ""
        raise UserError(
            f"{path}: all {len(train)} rows{left} have the label {value!r}; at least two different are needed"
            + ("\ntask.max_train_rows takes the first rows only: raise it" if task.max_train_rows else "")
        )
    _warn_of_missing(str(path), train, [True] * len(task.labels), task, "max_train_rows")


def _there(rows: Rows, task: TaskConfig) -> list[bool]:
    """Which of ``task.labels`` any of the rows has."""
    return list(KINDS[task.kind].marks(rows.labels, len(task.labels)).any(axis=0))


def _warn_of_missing(place: str, rows: Rows, wanted: Sequence[bool], task: TaskConfig, limit: str) -> None:
    """Name the ``wanted`` classes that none of the rows has; the setting ``limit`` takes the first rows only."""
    named = zip(task.labels, wanted, _there(rows, task), strict=True)
    missing = [label for label, asked, found in named if asked and not found]
    if missing:
        most = getattr(task, limit)
        first = f"; task.{limit}={most} takes the first rows only" if most else ""
        log.warning("%s: none of the %d rows has the label %s%s", place, len(rows), ", ".join(missing), first)


def _warn_of_shared(train: Rows, others: Mapping[str, Rows]) -> None:
    """Say how many rows to score on have the texts of training rows: scores on these say little of new rows."""
    known = set(zip(*train.columns, strict=True))
    for name, rows in others.items():
        shared = sum(texts in known for texts in zip(*rows.columns, strict=True))
        if shared:
            log.warning("%s: %d of its %d rows have the same text as a training row", name, shared, len(rows))


def _held_out(rows: Rows, share: float, key: str) -> tuple[Rows, Rows]:
    """``rows`` without, and with only, a ``share`` of them that was drawn at random; always the same ones."""
    order = np.random.default_rng(0).permutation(len(rows))
    count = max(1, round(share * len(rows)))
    if count >= len(rows):
        raise UserError(f"{key}: {share:g} of {len(rows)} rows leaves none to train on; at least 2 rows are needed")
    # Rows that were left out are counted once, with the training rows.
    return rows.take(np.sort(order[count:])), replace(rows.take(np.sort(order[:count])), skipped=0)

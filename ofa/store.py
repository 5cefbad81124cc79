"""Finished stages on disk: find them, list them, clean them; ``ofa store`` is in ``ofa.commands.store``."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from ofa.errors import Interrupted
from ofa.system import files

log = logging.getLogger(__name__)
RECORD = "stage.json"  # written last: a folder with it is complete
WAIT_S = 0.5  # how often a job that waits for another one asks whether to stop
PART = ".part"  # where a stage is being made, its checkpoints included
DAMAGED = ".damaged"  # where a finished stage goes that is no longer what was written
SMALL = 1 << 20  # bytes up to which a digest costs nothing; those of a BERT-base job take 10 s on one core


class Store:
    """One folder per finished stage, ``<root>/<stage>-<digest>``; jobs and sweeps share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, stage: str, key: dict[str, Any]) -> Path:
        """The folder of what ``key`` decides: the same key, the same folder."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return self.root / f"{stage}-{digest}"

    @staticmethod
    def complete(folder: Path) -> bool:
        return (folder / RECORD).is_file()

    @staticmethod
    def finish(folder: Path, record: dict[str, Any]) -> None:
        """Declare ``folder`` complete: ``record``, with the manifest of its files, is written last."""
        whole = {**record, "files": files.manifest(folder)}
        (folder / RECORD).write_text(json.dumps(whole, indent=1) + "\n")

    @staticmethod
    def record(folder: Path) -> dict[str, Any]:
        """What :meth:`finish` wrote in a complete folder."""
        return json.loads((folder / RECORD).read_text())

    @staticmethod
    def content(folder: Path) -> str:
        """A digest of the files in a complete folder, of those that its manifest names."""
        listed = json.dumps(Store.record(folder).get("files", {}), sort_keys=True)
        return hashlib.sha256(listed.encode()).hexdigest()[:16]

    @staticmethod
    def damage(folder: Path, thorough: bool = False) -> str | None:
        """How a complete folder differs from what was written, in words; None if it does not.

        Sizes are always compared, digests those of small files only unless ``thorough``. A folder from before
        there were manifests passes if its JSON files can be read.
        """
        others = [path for path in folder.rglob("*") if not (path.is_file() or path.is_dir())]
        if others or not Store.complete(folder):  # a pipe or a device would be read for ever
            return f"{(others or [folder / RECORD])[0].relative_to(folder)} is not a regular file"
        try:
            listed = Store.record(folder).get("files")
            if listed is not None:
                return files.damage(folder, listed, math.inf if thorough else SMALL)
            for path in folder.rglob("*.json"):
                json.loads(path.read_text())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return f"a JSON file cannot be read ({error})"
        return None

    @staticmethod
    def set_aside(folder: Path) -> Path:
        """Rename a damaged folder, so that its stage is made again and its files can still be looked at."""
        names = (folder.with_name(f"{folder.name}{DAMAGED}{number or ''}") for number in itertools.count())
        target = next(path for path in names if not path.exists())
        return folder.rename(target)

    def lock(self, folder: Path) -> FileLock:
        """The lock of one folder, not yet taken; the system frees it when its holder dies."""
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / folder.name)

    def locked(self, folder: Path, stop: Callable[[], bool] = lambda: False) -> FileLock:
        """Take the lock of ``folder``, waiting with a message while another job makes it.

        Raises:
            Interrupted: if ``stop`` says so while waiting.
        """
        lock = self.lock(folder)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            return lock
        log.info("%s: another job is building it; waiting for its lock", folder.name)
        while not stop():
            with suppress(Timeout):
                lock.acquire(timeout=WAIT_S)
                return lock
        raise Interrupted(f"stopped while waiting for {folder.name}")

    @contextmanager
    def using(self, folders: Iterable[Path]) -> Iterator[None]:
        """Keep ``clean`` off these folders, made or not, until the block ends or its process dies."""
        listed = self.root / "locks" / f"uses-{uuid4().hex}.json"
        lock = self.lock(self.root / listed.stem)
        with lock:
            files.write_whole(listed, json.dumps([folder.name for folder in folders]))
            try:
                yield
            finally:
                listed.unlink(missing_ok=True)
        Path(lock.lock_file).unlink(missing_ok=True)

    def used(self) -> set[str]:
        """The names of all folders that jobs which run now are ``using``."""
        names: set[str] = set()
        for listed in (self.root / "locks").glob("uses-*.json"):
            lock = self.lock(self.root / listed.stem)
            with suppress(FileNotFoundError):  # that job has just ended
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    names.update(json.loads(listed.read_text()))
                else:  # that job has died
                    listed.unlink()
                    lock.release()
                    Path(lock.lock_file).unlink()
        return names

    def linked(self) -> set[str]:
        """The names of the folders that finished runs beside this store link to: what they have deployed."""
        links = (path for path in self.root.parent.glob("runs/*/*") if path.is_symlink())
        targets = [Path(os.path.realpath(path)) for path in links]
        root = self.root.resolve()
        return {target.relative_to(root).parts[0] for target in targets if root in target.parents}

    def entries(self) -> list[Entry]:
        """What the store holds, oldest first."""
        if not self.root.is_dir():
            return []
        folders = [path for path in self.root.iterdir() if path.is_dir() and path.name != "locks"]
        stats = [(path, found) for path in folders if (found := _stats(path))]
        stats.sort(key=lambda one: max(stat.st_mtime for stat in one[1]), reverse=True)
        counted: set[tuple[int, int]] = set()
        return [Entry.read(path, found, counted) for path, found in stats][::-1]


@dataclass(frozen=True)
class Entry:
    """A folder of the store.

    Attributes:
        size: bytes on disk, without what a newer folder has as well: stages link files that they only pass on.
        modified: seconds since the epoch when it was finished, or last written while unfinished.
    """

    path: Path
    what: str
    size: int
    modified: float
    complete: bool

    @classmethod
    def read(cls, path: Path, stats: list[os.stat_result], counted: set[tuple[int, int]]) -> Entry:
        """The folder ``path`` with files of these ``stats``; those not yet ``counted`` are added to these."""
        own = {(stat.st_dev, stat.st_ino): stat.st_size for stat in stats}
        size = sum(own[file] for file in own.keys() - counted)
        counted.update(own)
        complete = Store.complete(path)
        return cls(path, _what(path, complete), size, max(stat.st_mtime for stat in stats), complete)


def _stats(folder: Path) -> list[os.stat_result]:
    """Of all files in ``folder``, or its own if there are none; what a running job takes away meanwhile is left out."""
    found = []
    for place in (os.path.join(top, name) for top, _, names in os.walk(folder) for name in names):
        with suppress(FileNotFoundError):
            found.append(os.stat(place))
    if not found:
        with suppress(FileNotFoundError):
            found.append(folder.stat())
    return found


def _what(path: Path, complete: bool) -> str:
    """Task and model of a folder of the store, or what else it is."""
    if not complete:
        return "unfinished"
    try:
        record = json.loads((path / RECORD).read_text())
        what = f"{record['task']} {record['model']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "damaged"
    return f"{what}, damaged" if DAMAGED in path.name else what


def clean(store: Store, older_than_days: float | None, keep_gb: float | None) -> list[Entry]:
    """Remove the oldest folders beyond an age or until the rest fits; returns what was removed.

    What a job that runs is making, or goes on to need, is left alone, and so is what a finished run links to.
    """
    entries, removed = store.entries(), []
    total = sum(entry.size for entry in entries)
    for entry in entries:
        too_old = older_than_days is not None and time.time() - entry.modified > 86400 * older_than_days
        too_much = keep_gb is not None and total > keep_gb * 1e9
        if not (too_old or too_much):
            continue
        of = entry.path.with_name(re.sub(rf"({PART}|{DAMAGED}\d*)$", "", entry.path.name))
        try:
            with store.lock(of).acquire(timeout=0):
                # A job lists what it needs before it asks for any lock, and links what it leaves before it ends.
                if of.name in store.used() or entry.path.name in store.linked():
                    continue
                shutil.rmtree(entry.path)
        except Timeout:
            continue
        total -= entry.size
        removed.append(entry)
    return removed

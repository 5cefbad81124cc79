"""The journal of a job: what it reports to MLflow, kept in its own folder until it is sent, and after.

``tracking.jsonl`` holds one entry per line; ``tracking.json`` marks how many were sent, where to, and
under which run ids. One process writes a journal at a time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ofa.supernet.space import name_of
from ofa.system.files import write_whole

log = logging.getLogger(__name__)
MARK = "tracking.json"
VALUES = ("run", "values")
# Kind of entry -> what it must hold.
FIELDS: dict[str, tuple[str, ...]] = {
    "journal": ("id",),
    "run": ("run", "name", "tags", "ms"),
    "params": VALUES,
    "tags": VALUES,
    "experiment": VALUES,
    "metrics": (*VALUES, "step", "ms"),
    "dataset": ("run", "name", "digest", "context", "source_type", "source", "columns", "rows"),
    "artifact": ("run", "name", "digest", "path", "folder"),
    "model": ("run", "name", "digest", "folder", "settings"),
    "end": ("status", "ms"),
}
# What the mark says of the server, all of it or nothing.
PLACE = {"uri": str, "experiment": str, "output_dir": str, "secret": bool}


class Busy(Exception):
    """Another process is writing this journal: the same job is running."""


class Journal:
    """An append-only file of what to send, with a mark of what has been sent.

    Attributes:
        id: names the job's runs for good, so that a run can be found again whose id was not noted.
        entries: all entries, the oldest first; the first ``sent`` of them are at the server.
        runs: run ids at the server, by the job's own names of its runs.
        resumed: whether an earlier start of the job wrote here.

    Raises:
        Busy: if another process holds the journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path, self.mark = folder, folder / "tracking.jsonl", folder / MARK
        self._lock = FileLock(folder / "tracking.lock")  # freed by the system when its holder dies
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise Busy(str(folder)) from None
        self._adding = threading.Lock()
        self._unwritten = ""
        self._known: dict[tuple[str, ...], str] = {}
        self.entries = self._read()
        self.resumed = bool(self.entries)
        self.state = read_mark(folder)
        self.sent: int = min(self.state["sent"], len(self.entries))
        self.runs: dict[str, str] = self.state["runs"]
        if not {entry["run"] for entry in self.entries[: self.sent] if entry["op"] == "run"} <= self.runs.keys():
            self.sent = 0  # the server has runs whose ids are lost; they are found again by their tags
        if not self.entries:
            self.path.unlink(missing_ok=True)  # of no use: it lacks even its first line
            self._append({"op": "journal", "id": uuid.uuid4().hex})
        self.id: str = self.entries[0]["id"]

    def close(self) -> None:
        self._lock.release()

    def _read(self) -> list[dict[str, Any]]:
        """The entries on disk; a line cut off by a kill is dropped, and the file made whole again."""
        if not self.path.exists():
            return []
        raw = self.path.read_bytes()
        entries = [entry for entry in map(_parsed, raw.splitlines()) if entry is not None]
        if not entries or entries[0]["op"] != "journal":
            return []
        whole = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
        if whole != raw:
            write_whole(self.path, whole.decode())
        for entry in entries:
            self._new(entry)
        return entries

    def add(self, entry: dict[str, Any]) -> bool:
        """Append ``entry``, or what of it was not reported before; returns whether there was anything."""
        with self._adding:
            entry = self._new(entry)
            if any(key in entry and not entry[key] for key in ("values", "digest")):
                return False
            self._append(entry)
            return True

    def _new(self, entry: dict[str, Any]) -> dict[str, Any]:
        """``entry`` without values that are already in the journal; a resumed job reports them again."""
        if "values" in entry:
            where = (entry["op"], entry["run"], str(entry.get("step")))
            fresh = {key: value for key, value in entry["values"].items() if self._learn((*where, key), repr(value))}
            return {**entry, "values": fresh}
        if "digest" in entry and not self._learn((entry["op"], entry["run"], entry["name"]), entry["digest"]):
            return {**entry, "digest": ""}
        return entry

    def _learn(self, what: tuple[str, ...], value: str) -> bool:
        if self._known.get(what) == value:
            return False
        self._known[what] = value
        return True

    def _append(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        self._unwritten += json.dumps(entry) + "\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(self._unwritten)
            self._unwritten = ""
        except OSError as error:  # a full disk must not end the job here; the entry is still sent from memory
            if self._unwritten.count("\n") == 1:
                log.warning("%s cannot be written (%s); its entries wait in memory.", self.path, error.strerror)
            with contextlib.suppress(OSError):
                os.truncate(self.path, size)

    @property
    def unsent(self) -> int:
        return len(self.entries) - self.sent

    @property
    def status(self) -> str | None:
        """How the job's last start ended: FINISHED, FAILED, KILLED; RUNNING if it did not, None if never begun."""
        for entry in reversed(self.entries):
            if entry["op"] in ("run", "end"):
                return entry.get("status", "RUNNING")
        return None

    def points(self, prefix: str) -> Iterator[int]:
        """Steps at which a metric that begins with ``prefix`` was reported."""
        known = list(self._known)  # at once: another thread may be adding
        return (int(step) for op, _, step, *key in known if op == "metrics" and key[0].startswith(prefix))

    def metrics(self, run: str, step: int) -> Iterator[str]:
        """Names of the metrics that were reported of a ``run`` at ``step``."""
        known = list(self._known)  # as above
        return (key[-1] for op, of, *key in known if (op, of, key[0]) == ("metrics", run, str(step)))

    def advance(self, count: int, **state: Any) -> None:
        """Mark ``count`` more entries as sent."""
        self.sent += count
        self.state |= {**state, "sent": self.sent, "runs": self.runs}
        try:
            write_whole(self.mark, json.dumps(self.state))
        except OSError as error:  # costs a resend of what the server takes only once
            log.debug("%s: %s", self.mark, error)

    def restart(self) -> None:
        """Forget what was sent: the server that had it is another one, or has lost it."""
        self.runs.clear()
        self.sent = 0


def read_mark(folder: Path) -> dict[str, Any]:
    """What ``tracking.json`` in ``folder`` says; of one that is damaged nothing, so that all is sent afresh.

    Runs that the server has already are found there by their tags.
    """
    try:
        text = (folder / MARK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    state = _parsed_json(text or "null")
    if not isinstance(state, dict) or not _is_mark(state):
        if text:
            log.warning("%s is damaged; what was sent is looked up at the server.", folder / MARK)
        return {"sent": 0, "runs": {}}
    return {**state, "runs": {_network(run): run_id for run, run_id in state["runs"].items()}}


def _is_mark(state: dict[str, Any]) -> bool:
    sent, runs = state.get("sent"), state.get("runs")
    if type(sent) is not int or sent < 0 or not isinstance(runs, dict):
        return False
    place = [key for key, kind in PLACE.items() if isinstance(state.get(key), kind)]
    return all(isinstance(run_id, str) for run_id in runs.values()) and len(place) in (0, len(PLACE))


def _network(run: str) -> str:
    """The name of a run; one of a journal from before sub-networks had names is a width, ``0.75``."""
    try:
        return name_of(float(run))
    except ValueError:
        return run


def _parsed_json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The entry of a line; None for one cut off by a kill, or damaged otherwise."""
    entry = _parsed_json(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
        return None
    fields = FIELDS.get(entry["op"])
    if fields is None or not all(field in entry for field in fields) or not isinstance(entry.get("values", {}), dict):
        return None
    return {**entry, "run": _network(str(entry["run"]))} if "run" in entry else entry

"""What a job reports to: one MLflow run for the job, one child run for each sub-network.

What a job says is first written to a journal in its own folder, then sent from a thread beside the
work. If the server is away the work goes on; the journal keeps what could not be sent, and the next
send, from this job, a later start of it or ``ofa resend``, begins where the last one ended.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shlex
import threading
import time
from pathlib import Path
from typing import Any

from ofa.settings.schema import TrackingConfig
from ofa.system.machine import SystemMetrics
from ofa.system.process import process_tag
from ofa.system.redact import without_secrets
from ofa.tracking.address import from_environment, tracking_uri
from ofa.tracking.journal import Busy, Journal, read_mark
from ofa.tracking.sender import JOB, Sender
from ofa.tracking.server import PROCESS, Page, Server

log = logging.getLogger(__name__)
TICK_S = 2.0  # how often the thread looks for something to send
NOTE_CHARS = 7800  # a little below what MLflow keeps of a note
METER_S = 10.0  # how often the machine is read
NAME_CHARS = 250  # of the name of a metric, at most
NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in the name of a metric
LAST_TRIES_S = (0.0, 1.0, 4.0)  # pauses before each of the last attempts; a busy database gets over it


class Tracker:
    """Journals what a job reports; a thread sends it. With ``backend=none`` it keeps and sends nothing."""

    def __init__(self, settings: TrackingConfig, output_dir: Path, folder: Path) -> None:
        self.settings, self.output_dir = settings, output_dir
        self.journal: Journal | None = None
        self._held: list[dict[str, Any]] = []  # what opens the runs, until there is something to open them for
        self._open, self._started_ms = False, 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if settings.backend != "mlflow":
            return
        try:
            self.journal = Journal(folder)
        except Busy:
            log.warning("The same job is running already, and reports to MLflow; this one does not.")
            return
        if from_environment(settings):
            log.info("MLflow is at %s, as MLFLOW_TRACKING_URI says.", without_secrets(settings.uri or ""))
        server = Server(tracking_uri(settings, output_dir), settings.experiment, output_dir)
        self.sender = Sender(self.journal, server)

    def start(self, name: str, tags: dict[str, str], params: dict[str, Any]) -> None:
        """Open the job's run, or go on with the one an earlier start of this job opened.

        Raises:
            UserError: if the server does not answer and never did, which is a mistake in the settings.
        """
        if self.journal is None:
            return
        try:
            self.sender.open(self.settings.must_answer)
        except BaseException:
            self.journal.close()
            self.journal = None
            raise
        # A finished job that is run again and has nothing new to say leaves its runs as they are.
        self._open = self.journal.status != "FINISHED"
        self._run(JOB, name, {**tags, PROCESS: process_tag()}, params)
        self._thread = threading.Thread(target=self._pump, name="tracking", daemon=True)
        self._thread.start()

    def network(self, network: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> None:
        """Open the child run of a sub-network."""
        self._run(network, name, {**tags, PROCESS: process_tag()}, params)

    def _run(self, run: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> None:
        self._started_ms = max(now_ms(), self._started_ms + 1)  # pages sort runs by it
        entry = {"op": "run", "run": run, "name": name, "tags": tags, "ms": self._started_ms}
        if self._open and self.journal is not None:
            self.journal.add(entry)
        else:
            self._held.append(entry)
        self._add(
            {"op": "params", "run": run, "values": {key: without_secrets(str(value)) for key, value in params.items()}}
        )

    def _add(self, entry: dict[str, Any]) -> None:
        if self.journal is None or not self.journal.add(entry) or self._open:
            return
        self._open = True
        for held in self._held:
            self.journal.add(held)

    def metrics(self, values: dict[str, float], step: int, network: str | None = None) -> None:
        """Points of curves; one that an earlier start of this job reported is not reported again."""
        numbers = {metric_name(key): float(value) for key, value in values.items() if value is not None}
        self._add({"op": "metrics", "run": network or JOB, "values": numbers, "step": step, "ms": now_ms()})

    def tags(self, values: dict[str, str], network: str | None = None) -> None:
        """Words about a run; ``mlflow.note.content`` is its description."""
        self._add({"op": "tags", "run": network or JOB, "values": values})

    def experiment(self, values: dict[str, str]) -> None:
        """Tags of the experiment that are not there yet."""
        self._add({"op": "experiment", "run": JOB, "values": values})

    def dataset(self, name: str, digest: str, context: str, network: str | None = None, **about: Any) -> None:
        """Name the rows that a run rests on; ``about`` has the other fields of the journal's entry."""
        self._add({"op": "dataset", "run": network or JOB, "name": name, "digest": digest, "context": context, **about})

    def artifacts(self, paths: list[Path], network: str | None = None, folder: str | None = None) -> None:
        """Files to show on the page of a run."""
        for path in paths if self.journal else ():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entry = {"op": "artifact", "run": network or JOB, "name": f"{folder or ''}/{path.name}", "digest": digest}
            self._add({**entry, "path": str(path.absolute()), "folder": folder})

    def model(
        self,
        network: str,
        name: str,
        folder: Path,
        settings: dict[str, Any],
        tags: dict[str, str] | None = None,
        alias: str | None = None,
    ) -> None:
        """Register the exported ``folder`` of a sub-network as a version of a model, once per run and content.

        Its path in the store names its content; ``alias`` is taken from the version that had it.
        """
        if self.settings.register_models:
            said = [settings.get("precision"), alias, (tags or {}).get("speedup")]  # what is new is sent again
            digest = " ".join(filter(None, [f"{folder.parent.name}/{folder.name}", *said]))
            entry = {"op": "model", "run": network, "name": name, "digest": digest, "folder": str(folder.absolute())}
            self._add({**entry, "settings": settings, "tags": tags or {}, "alias": alias})

    @property
    def address(self) -> str:
        """Where the runs are, without secrets; empty if nothing is tracked."""
        return without_secrets(self.sender.server.uri) if self.journal else ""

    def _pump(self) -> None:
        """Send what there is, and read the machine, until told to stop."""
        assert self.journal is not None
        meter = SystemMetrics() if self.settings.system_metrics else None
        step = max(self.journal.points("system/"), default=-1)
        read = time.monotonic()
        while not self._stop.wait(TICK_S):
            if meter and self._open and time.monotonic() - read >= METER_S:
                read, step = time.monotonic(), step + 1
                try:
                    self.metrics(meter.read(), step)
                except Exception as error:  # a failing driver query must not stop tracking
                    log.debug("The machine could not be read: %s", error)
            self.sender.send()

    def finish(self, status: str) -> Page | None:
        """Close all runs of the job as FINISHED, FAILED or KILLED; returns where to look, or None."""
        if self.journal is None:
            return None
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._open:
            self.journal.add({"op": "end", "status": status, "ms": now_ms()})
        for pause in LAST_TRIES_S:
            time.sleep(pause)
            self.sender.send(now=True)
            if not self.journal.unsent or self.sender.away:
                break
        if self.journal.unsent:
            _warn_of_unsent(self.journal, self.sender.server.uri)
        self.journal.close()
        return self.sender.server.page(self.journal.runs.get(JOB))

    @property
    def unsent(self) -> int:
        """Entries that are kept in the journal only."""
        return self.journal.unsent if self.journal else 0


def _warn_of_unsent(journal: Journal, uri: str) -> None:
    log.warning(
        "Tracking: %d entries could not be sent to %s and are kept in %s; send them with\n  ofa resend %s",
        journal.unsent,
        without_secrets(uri),
        journal.path,
        shlex.quote(str(journal.folder)),
    )


def metric_name(key: str) -> str:
    """``key`` as MLflow takes it, which makes a path of it; one that is too long loses its middle, for a digest."""
    name = "/".join(part for part in NOT_IN_NAMES.sub("_", key).split("/") if part not in ("", ".", ".."))
    if len(name) <= NAME_CHARS:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: NAME_CHARS // 2 - 10]}-{digest}-{name[10 - NAME_CHARS // 2 :]}"


def now_ms() -> int:
    return int(time.time() * 1000)


def run_id(folder: Path) -> str | None:
    """The id at its server of the run whose journal is in ``folder``; None if it has none."""
    return read_mark(folder)["runs"].get(JOB)


def page(folder: Path) -> Page | None:
    """Where the server shows what the journal in ``folder`` has told it, without asking it; None if nothing is."""
    server = Server.of_journal(read_mark(folder))
    return server.page(None) if server else None


def nest(folder: Path, parent: Path, tags: dict[str, str]) -> bool:
    """Nest the run whose journal is in ``folder`` under the one of ``parent``, if both are at the same place.

    Returns:
        Whether that could be said: not if the server does not know the parent's run yet, or nothing is tracked.
    """
    try:
        above = read_mark(parent)
        if above["runs"].get(JOB) is None:
            return False
        journal = Journal(folder)
    except (Busy, OSError):  # running elsewhere, or nothing is tracked
        return False
    try:
        state = journal.state
        if any(above.get(key) != state.get(key) for key in ("uri", "experiment")):
            return False
        server = Server.of_journal(state)
        values = {**tags, "mlflow.parentRunId": above["runs"][JOB]}
        if server and journal.add({"op": "tags", "run": JOB, "values": values}):
            Sender(journal, server).send(now=True)
        return True
    finally:
        journal.close()

"""A sweep: each job leaves a record in the sweep's folder, and the end reads nothing but these.

Jobs may run in this process, in others or on other machines, one after another or at once; all they share is
``<output_dir>``. ``sweeps/<name>/<number>/`` holds a job's record and its log.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ofa.errors import UserError
from ofa.results import aggregate, collect, terminal
from ofa.results.figures import draw_sweep
from ofa.results.page import page
from ofa.results.report import markdown
from ofa.settings.explain import explain
from ofa.settings.schema import TrackingConfig
from ofa.system.files import write_whole as write
from ofa.tracking import logged, metrics, pages, tracker
from ofa.tracking.server import Page

RECORD = "job.json"
SHARED = "shared.json"  # in the sweep's folder: the overrides that all of its jobs have
TICK_S = 1.0  # how often the launching process looks for jobs that have ended


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        folder: its own, with its record and log.
        name: what a person calls it: task, model and seed.
        overrides: its settings on the command line.
        searched: whether the sweeper looks for the job with the best value.
    """

    folder: Path
    number: int
    name: str
    overrides: list[str]
    log: Path
    searched: bool

    def attempt(self, run: Callable[[], tuple[str, float]], stop_on_failure: bool, debug: bool) -> float:
        """Run the job; whatever ends it, it leaves a record, from which the launching process names it.

        Args:
            run: returns the name of the run's folder and the job's value.
            stop_on_failure: leave the job out if another one has failed.
            debug: show tracebacks in the terminal, not only in the log.

        Returns:
            The job's value; nan if it failed and nothing searches for the best value.

        Raises:
            UserError: if it failed in a search, which has to know.
        """
        if stop_on_failure and any(record["status"] == "failed" for record in records(self.folder.parent)):
            return self._failed("left out", "not begun, as another job failed (sweep.stop_on_failure)")
        started = time.monotonic()
        try:
            name, value = run()
        except KeyboardInterrupt:
            self._record(status="stopped", error="the same command goes on from its last checkpoint")
            raise
        except Exception as error:
            words = explain(error)
            if not isinstance(error, UserError | OSError):
                words = f"{type(error).__name__}: {words}"
            with self.log.open("a", encoding="utf-8") as file:
                traceback.print_exc(file=file)
            if debug:
                traceback.print_exc()
            return self._failed("failed", words)
        finally:
            gc.collect()  # a network is a web of cycles: without this the next job's comes on top of it
        seconds = round(time.monotonic() - started, 1)
        self._record(status="finished", run=name, value=value, seconds=seconds)
        return value

    def _failed(self, status: str, words: str) -> float:
        self._record(status=status, error=words)
        if self.searched:
            raise UserError(words)
        return float("nan")

    def _record(self, **what: Any) -> None:
        record = {"number": self.number, "name": self.name, "overrides": self.overrides, "log": str(self.log), **what}
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder / RECORD, json.dumps(record, indent=1) + "\n")


def full_name(name: str, overrides: list[str], folder: Path) -> str:
    """``name`` (task, model and seed) and what else sets a job apart from the others of the sweep in ``folder``."""
    try:
        shared = json.loads((folder / SHARED).read_text())
    except (OSError, ValueError):  # launched by hand, or by an earlier version
        return name
    return f"{name} {aggregate.variant(overrides, shared)}".strip()


def records(folder: Path) -> list[dict[str, Any]]:
    """What the jobs of the sweep in ``folder`` have recorded so far, by number."""
    found = [json.loads(path.read_text()) for path in folder.glob(f"*/{RECORD}")]
    return sorted(found, key=lambda record: record["number"])


def _words(record: dict[str, Any]) -> str:
    """How a job ended, in a line."""
    name = f"Job {record['number']} ({record['name']})"
    if record["status"] == "finished":
        return f"{name} finished in {record['seconds']:.0f} s"
    return f"{name} {record['status']}: {record['error'].splitlines()[0]} (log: {record['log']})"


def _of(total: int | None) -> str:
    return f"/{total}" if total else ""


def _left(ended: int, total: int | None, seconds: float) -> str:
    """How long a sweep may still take, if its jobs go on ending as they have; empty where that is not known."""
    if not total or ended >= total:
        return ""
    left = seconds / ended * (total - ended)
    return f", about {left / 60:.0f} min left" if left >= 90 else f", about {left:.0f} s left"


@dataclass
class Sweep:
    """All jobs of one command, seen from the process that launched them.

    Attributes:
        folder: ``<output_dir>/sweeps/<name>``, the same for the same command.
        total: how many jobs it has; None if a search finds them as it goes.
        shared: the overrides that all of its jobs have.
    """

    folder: Path
    output_dir: Path
    tracking: TrackingConfig
    total: int | None = None
    shared: Sequence[str] = ()
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._tracker = tracker.Tracker(replace(self.tracking, system_metrics=False), self.output_dir, self.folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def begin(self) -> None:
        """Forget what an earlier start recorded (finished jobs are quickly found again), and tell of jobs as they end.

        Raises:
            UserError: if MLflow refuses the sweep's run, as it would refuse those of the jobs.
        """
        for path in self.folder.glob(f"*/{RECORD}"):
            path.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.folder / SHARED, json.dumps(list(self.shared)) + "\n")
        self._tracker.start(self.name, {"kind": "sweep", "sweep": self.name}, {})
        self._thread = threading.Thread(target=self._watch, name="sweep", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        """Say how each job ended, wherever it ran, in the terminal and on the page of the sweep's run."""
        started = time.monotonic()
        told: dict[int, bool] = {}  # number -> whether it has a result
        orphans: list[dict[str, Any]] = []  # with a result, and not yet nested in MLflow
        while True:
            last = self._stop.wait(TICK_S)  # asked before looking, so that the last look misses nothing
            for record in records(self.folder):
                if record["number"] not in told:
                    told[record["number"]] = finished = record["status"] == "finished"
                    seconds = time.monotonic() - started
                    line = f"[{len(told)}{_of(self.total)}] {_words(record)}"
                    if record["status"] != "stopped":  # nothing goes on
                        line += _left(len(told), self.total, seconds)
                    print(line, file=sys.stdout if finished else sys.stderr, flush=True)
                    done = sum(told.values())
                    self._tracker.metrics({"jobs/finished": done, "jobs/without_result": len(told) - done}, len(told))
                    orphans += [record] * finished
            orphans = [record for record in orphans if not self._nest(record)]
            if last:
                return

    def _nest(self, record: dict[str, Any]) -> bool:
        """Nest a job's run in MLflow under the sweep's; whether that could be done."""
        return tracker.nest(self._run(record), self.folder, {"sweep": self.name})

    def close(self) -> int:
        """Write and print what came of the jobs; returns how many have no result."""
        self._stop.set()
        self._thread.join()
        jobs = records(self.folder)
        done = [record for record in jobs if record["status"] == "finished"]
        problems = [_words(record) for record in jobs if record["status"] != "finished"]
        # A stop ends jobs in other processes at once, and those that wait never begin: neither leaves a record.
        missing = sorted(set(range(self.total or 0)) - {record["number"] for record in jobs})
        if missing:
            problems.append(f"Not begun, or not ended: job{'s' * (len(missing) > 1)} {', '.join(map(str, missing))}")
        lacking = len(jobs) + len(missing) - len(done)
        found = [collect.read(self._run(record)) for record in done]
        of_jobs = [(record["overrides"], results.task) for record, results in zip(done, found, strict=True)]
        names = aggregate.variants(of_jobs, self.shared)
        numbers = aggregate.summarise([(n, r) for n, r in zip(names, found, strict=True) if r.networks])
        best = self._best(done)
        remarks = [*best, *aggregate.merged(zip(names, found, strict=True))]
        files = self._write(numbers, jobs, aggregate.text(self.name, numbers, problems, remarks))
        stopped = missing or any(record["status"] == "stopped" for record in jobs)
        note = pages.sweep_note(numbers, self._links(done), problems, remarks)
        where = self._tell(numbers, note, files, "KILLED" if stopped else "FAILED" if problems else "FINISHED")
        for record in done:  # those that ended before the server knew the sweep's run
            self._nest(record)
        self._print(numbers, best, where)
        if problems:
            sys.stdout.flush()
            print(f"\n{lacking} job{'s' * (lacking > 1)} without a result:", *problems, sep="\n", file=sys.stderr)
        logged.log_taken((row["take"] for row in numbers["rows"]), self.output_dir, self.tracking.uri)
        return lacking

    def _best(self, done: Sequence[dict[str, Any]]) -> list[str]:
        """What a search has found, in a line; none of a grid, whose jobs are compared in the table."""
        if self.total is not None or not done:
            return []
        best = max(done, key=lambda record: (record["value"] == record["value"], record["value"]))  # nan is no value
        return [f"Best of {len(done)} trials: {best['value']:.4f}, job {best['number']} ({best['name']})"]

    def _run(self, record: dict[str, Any]) -> Path:
        return self.output_dir / "runs" / record["run"]

    def _write(self, numbers: dict[str, Any], jobs: list[dict[str, Any]], text: str) -> list[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        results = {"sweep": self.name, **numbers, "jobs": jobs}
        write(self.folder / "results.json", json.dumps(results, indent=1) + "\n")
        if numbers["rows"]:
            draw_sweep(self.name, numbers, self.folder / "figure.png")
        write(self.folder / "report.md", text)
        write(self.folder / "report.html", page(text, self.folder))
        return [self.folder / name for name in collect.WRITTEN if numbers["rows"] or name != "figure.png"]

    def _links(self, done: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
        """Run folder -> name and id in MLflow of the jobs whose runs are there."""
        ids = {record["run"]: tracker.run_id(self._run(record)) for record in done}
        return {record["run"]: (record["name"], known) for record in done if (known := ids[record["run"]])}

    def _print(self, numbers: dict[str, Any], best: list[str], where: Page | None) -> None:
        if numbers["rows"]:
            terminal.show_sweep(numbers, self.output_dir)
        for line in best:
            print(f"\n{line}")
        if any(row["published"] for row in numbers["rows"]):
            print(f"\n{markdown(aggregate.published_table(numbers))}")
        print(f"\nSweep:   {self.folder / 'report.md'}")
        if where:
            print(f"Compare: {where.command}\n" * bool(where.command) + f"MLflow:  {where.address}")

    def _tell(self, numbers: dict[str, Any], note: str, files: list[Path], status: str) -> Page | None:
        """Tell MLflow what came of the sweep and close its run; returns where to look."""
        for row in numbers["rows"]:
            self._tracker.metrics(metrics.of_sweep(row["task"], row), 0)
        for average in numbers["averages"]:
            self._tracker.metrics(metrics.of_sweep("average", average), 0)
        self._tracker.tags({"mlflow.note.content": note})
        self._tracker.artifacts(files)
        return self._tracker.finish(status)

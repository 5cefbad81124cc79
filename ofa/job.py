"""One job: from typed settings to results, in a folder and an MLflow run of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofa import report, runpage, runtime
from ofa.config import Config
from ofa.errors import Interrupted
from ofa.inputs import Inputs, load_inputs
from ofa.pipeline import run_stages
from ofa.store import Store
from ofa.tracking import Tracker

log = logging.getLogger(__name__)


def run_job(config: Config, yaml: str) -> dict[str, Any]:
    """Run the stages ``config`` asks for; writes and returns the results.

    Args:
        config: settings that passed ``rules.check``.
        yaml: the resolved settings as text, kept beside the results.
    """
    log.info("Process: %s.", ", ".join(runtime.prepare(config.hardware.threads)))
    inputs = load_inputs(config)
    output_dir = Path(config.output_dir).expanduser()
    name = run_name(config)
    title = config.tracking.run_name or name
    folder = output_dir / "runs" / f"{name}-{_digest(config, inputs)}"
    tracker = Tracker(config.tracking, output_dir, folder)
    log.info("Run folder: %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(runpage.without_password(yaml))
    status = "FAILED"
    try:
        runpage.open_runs(tracker, title, config, inputs)
        runtime.set_device(config.hardware.device)  # before the signals: Paddle takes SIGTERM for itself as it loads
        with _stop_signals() as stop:
            folders = run_stages(config, inputs, tracker, Store(output_dir / "store"), stop.is_set)
        results = report.collect(config, folders, inputs.shape)
        files = report.write(folder, results)
        runpage.tell_results(tracker, title, config, inputs, folders, results)
        tracker.artifacts([*files, folder / "config.yaml"])
        status = "FINISHED"
    except (KeyboardInterrupt, Interrupted) as error:
        status = "KILLED"
        raise KeyboardInterrupt(str(error)) from None
    finally:
        where = tracker.finish(status)
    if "teacher" in results:
        print(f"\n{report.markdown(report.table(results))}\n")
        print("\n".join([*report.legend(results), "", results["recommended"]["words"], *results["warnings"], ""]))
    print(f"Results: {folder / 'results.json'}")
    if where:
        print(f"MLflow:  {where}   (run {title!r} in experiment {config.tracking.experiment!r})")
    return results


def run_name(config: Config) -> str:
    """What a person calls this job: task, model and seed."""
    return f"{config.task.name}-{config.model.name}-s{config.trainer.seed}"


def _digest(config: Config, inputs: Inputs) -> str:
    """Names the run's folder: the same settings on the same data meet in the same one."""
    what = {key: value for key, value in asdict(config).items() if key not in runpage.HOW}
    text = json.dumps([what, inputs.digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM ask the training loop to save and stop; a second Ctrl-C stops at once."""
    stop = threading.Event()

    def ask(number: int, _: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log.warning("Stopping after this step, with a checkpoint (once more to stop at once).")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

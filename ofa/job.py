"""One job: from typed settings to results, in a folder and an MLflow run of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofa import report, runtime
from ofa.config import Config
from ofa.errors import Interrupted
from ofa.inputs import Inputs, load_inputs
from ofa.pipeline import Store, run_stages
from ofa.subnet import SubNet, count_macs, count_params, uniform
from ofa.tracking import Tracker

log = logging.getLogger(__name__)
# Settings that say where and how a job runs, not what it computes.
HOW = ("stages", "force", "output_dir", "cache_dir", "debug", "tracking")


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
    folder = output_dir / "runs" / f"{name}-{_digest(config, inputs)}"
    tracker = Tracker(config.tracking, output_dir, folder)
    log.info("Run folder: %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml)
    status = "FAILED"
    try:
        tracker.start(config.tracking.run_name or name, _tags(), _params(config, inputs))
        for width in config.ofa.widths:
            tracker.width(width, f"{name} width {width:.4g}", _width_params(width, inputs))
        with _stop_signals() as stop:
            runtime.set_device(config.hardware.device)
            folders = run_stages(config, inputs, tracker, Store(output_dir / "store"), stop.is_set)
        results = report.collect(config, folders, inputs.shape)
        files = report.write(folder, results)
        _track_results(tracker, results)
        tracker.artifacts([*files, folder / "config.yaml"])
        status = "FINISHED"
    except (KeyboardInterrupt, Interrupted) as error:
        status = "KILLED"
        raise KeyboardInterrupt(str(error)) from None
    finally:
        uri = tracker.finish(status)
    if "teacher" in results:
        print(f"\n{report.markdown(report.table(results))}\n")
        print("\n".join([*report.legend(results), "", results["recommended"]["words"], *results["warnings"], ""]))
    print(f"Results: {folder / 'results.json'}")
    if uri:
        print(f"MLflow:  make ui   (run {name!r} in experiment {config.tracking.experiment!r})")
    return results


def run_name(config: Config) -> str:
    """What a person calls this job: task, model and seed."""
    return f"{config.task.name}-{config.model.name}-s{config.trainer.seed}"


def _digest(config: Config, inputs: Inputs) -> str:
    """Names the run's folder: the same settings on the same data meet in the same one."""
    what = {key: value for key, value in asdict(config).items() if key not in HOW}
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


def _git(*arguments: str) -> str:
    root = Path(__file__).parent.parent
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _tags() -> dict[str, str]:
    """Where a result comes from: commit, whether the tree was clean, library versions, machine."""
    commit = _git("rev-parse", "HEAD")
    tags = {"git.commit": commit or "unknown", "git.dirty": str(bool(_git("status", "--porcelain"))).lower()}
    tags |= {f"version.{key}": value for key, value in runtime.versions().items()}
    return tags | {f"machine.{key}": str(value) for key, value in runtime.machine().items()}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif not isinstance(value, list) and value is not None:
        yield prefix, value  # a list in a string cannot be compared; widths have runs of their own


def _params(config: Config, inputs: Inputs) -> dict[str, Any]:
    what = {key: value for key, value in asdict(config).items() if key not in HOW}
    flat = dict(_flat("", what))
    return {**flat, "params": count_params(inputs.shape), "num_widths": len(config.ofa.widths)}


def _width_params(width: float, inputs: Inputs) -> dict[str, Any]:
    subnet = SubNet.at_width(width, inputs.shape)
    return {
        "width": width,
        "heads": uniform(subnet.heads),
        "neurons": uniform(subnet.neurons),
        "params": count_params(inputs.shape, subnet),
        "macs": count_macs(inputs.shape, subnet, inputs.max_seq_length),
    }


def _track_results(tracker: Tracker, results: dict[str, Any]) -> None:
    """The final figures of the job (the teacher's) and of every width, as metrics to compare."""
    if "teacher" not in results:
        return
    for entry in [results["teacher"], *results["widths"]]:
        values = {f"eval/{key}": value for key, value in entry["metrics"].items()}
        values |= {"eval/score": entry["score"], "params": entry["params"], "macs": entry["macs"]}
        values |= {f"latency_ms/{name}": value for name, value in entry.get("latency_ms", {}).items()}
        values |= {f"speedup/{name}": value for name, value in entry.get("speedup", {}).items()}
        values |= {key: entry[key] for key in ("width", "bytes") if key in entry}
        tracker.metrics(values, 0, entry.get("width"))

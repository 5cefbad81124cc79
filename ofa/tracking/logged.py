"""What a job's pages in MLflow say: names, tags, parameters, results, notes and models."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofa.settings.fields import what
from ofa.settings.schema import Config
from ofa.stages.inputs import Inputs
from ofa.supernet.space import width_name
from ofa.supernet.subnet import SubNet, count_macs, count_params, uniform
from ofa.system import machine
from ofa.tracking.pages import ABOUT, note, views, width_note
from ofa.tracking.registry import model_name, serving_settings
from ofa.tracking.tracker import Tracker

# Facts of the target that hardware.name stands for; a hundred rows of them would bury the settings.
TARGET = ("hardware.peak_tops", "hardware.engines", "hardware.memory", "hardware.launch")


def open_runs(tracker: Tracker, name: str, config: Config, inputs: Inputs) -> None:
    """Open the run of a job, called ``name``, and one for each width."""
    common = {"task": config.task.name, "model": config.model.name}
    common |= {"sweep": config.sweep.name} if config.sweep.name else {}
    shown = _shown()
    tracker.start(name, {"kind": "job", **common, **shown, **_origin()}, _params(config, inputs))
    tracker.experiment({"mlflow.note.content": ABOUT, "mlflow.experimentKind": "custom_model_development"})
    for width in config.ofa.widths:
        params = {**_width_params(width, inputs), "trainer.seed": config.trainer.seed}
        tracker.width(width, f"{width_name(width)} {name}", {"kind": "width", **common, **shown}, params)


def tell_results(
    tracker: Tracker, name: str, config: Config, inputs: Inputs, folders: dict[str, Path], results: dict[str, Any]
) -> None:
    """The final figures of the job (the teacher's) and of every width, in numbers and in words."""
    tracker.tags({f"store.{stage}": folder.name for stage, folder in folders.items()})
    _replay(tracker, config, folders)
    if "teacher" not in results:
        return
    for entry in [results["teacher"], *results["widths"]]:
        tracker.metrics(_metrics(entry), 0, entry.get("width"))
    recommended = results["recommended"]["width"]
    for entry in results["widths"]:
        tracker.tags({"mlflow.note.content": width_note(entry, name, results)}, entry["width"])
        if entry["width"] == recommended:
            tracker.metrics({"recommended/width": recommended, "recommended/score": entry["score"]}, 0)
    view, tags = views(results)
    tracker.experiment(tags)
    tracker.tags({"mlflow.note.content": note(results, config, view)})
    if "export" in folders:
        for width in config.ofa.widths:
            folder = folders["export"] / width_name(width)
            tracker.model(width, model_name(config, width), folder, serving_settings(config, inputs))


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[2]
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _origin() -> dict[str, str]:
    """Where a result comes from: commit, whether the tree was clean, library versions, machine."""
    commit = _git("rev-parse", "HEAD")
    tags = {"git.commit": commit or "unknown", "git.dirty": str(bool(_git("status", "--porcelain"))).lower()}
    tags |= {f"version.{key}": value for key, value in machine.versions().items()}
    return tags | {f"machine.{key}": str(value) for key, value in machine.machine().items()}


def _shown() -> dict[str, str]:
    """What MLflow's own columns read."""
    tags = {"mlflow.source.name": "main.py", "mlflow.source.type": "LOCAL"}
    tags["mlflow.source.git.commit"] = _git("rev-parse", "HEAD") or "unknown"
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif not isinstance(value, list) and value is not None:
        yield prefix, value  # a list in a string cannot be compared; widths have runs of their own


def _params(config: Config, inputs: Inputs) -> dict[str, Any]:
    flat = {key: value for key, value in _flat("", what(config)) if not key.startswith(TARGET)}
    sizes = {f"model.{key}": value for key, value in asdict(inputs.shape).items()}  # a folder's own, not the settings'
    return {**flat, **sizes, "params": count_params(inputs.shape), "num_widths": len(config.ofa.widths)}


def _width_params(width: float, inputs: Inputs) -> dict[str, Any]:
    subnet = SubNet.at_width(width, inputs.shape)
    return {
        "width": width,
        "heads": uniform(subnet.heads),
        "neurons": uniform(subnet.neurons),
        "params": count_params(inputs.shape, subnet),
        "macs": count_macs(inputs.shape, subnet, inputs.max_seq_length),
    }


def _replay(tracker: Tracker, config: Config, folders: dict[str, Path]) -> None:
    """Curves of stages that were taken from the store; those this job trained itself are known already."""
    for stage in ("finetune", "distill"):
        path = folders.get(stage, Path()) / f"{stage}.json"
        record = json.loads(path.read_text()) if path.is_file() else {}
        for point in record.get("history", []):
            tracker.metrics({key: value for key, value in point.items() if key != "step"}, point["step"])
        best = record.get("best", {})
        if stage == "finetune" and best:
            tracker.metrics({"best/score": best["score"]}, best["step"])
        for width in config.ofa.widths:
            if width_name(width) in best:
                of_width = best[width_name(width)]
                tracker.metrics({"best/score": of_width["score"]}, of_width["step"], width)


def _metrics(entry: dict[str, Any]) -> dict[str, float]:
    values = {f"eval/{key}": value for key, value in entry["metrics"].items()}
    values |= {"eval/score": entry["score"], "params": entry["params"], "macs": entry["macs"]}
    values |= {f"latency_ms/{name}": value for name, value in entry.get("latency_ms", {}).items()}
    values |= {f"speedup/{name}": value for name, value in entry.get("speedup", {}).items()}
    return values | {key: entry[key] for key in ("width", "heads", "neurons", "bytes") if key in entry}


def sweep_metrics(of: str, entry: dict[str, Any]) -> dict[str, float]:
    """Means by name: ``sst2/teacher``, ``average/w0.75``; a variant is put before them."""
    prefix = f"{entry['variant']}/{of}" if entry["variant"] else of
    names = {name: name if name == "teacher" else f"w{name}" for name in entry["scores"]}
    return {f"{prefix}/{names[name]}": score["mean"] for name, score in entry["scores"].items()}


def log_timings(settings, folder: Path, results: dict, files: list[Path]) -> None:
    """Add the figures to the run's children in MLflow."""
    tracker = Tracker(settings, folder.parent.parent, folder)
    for entry in results["widths"]:
        values = {f"latency_ms/{name}": value for name, value in entry["latency_ms"].items()}
        values |= {f"speedup/{name}": value for name, value in entry["speedup"].items()}
        tracker.metrics(values, 0, entry["width"])
    tracker.artifacts(files)
    tracker.finish("FINISHED")

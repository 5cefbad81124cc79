"""What a job's pages in MLflow say: names, tags, parameters, results, notes and models."""

from __future__ import annotations

import getpass
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ofa import report, runtime
from ofa.address import without_secrets
from ofa.config import Config
from ofa.inputs import Inputs
from ofa.pipeline import width_name
from ofa.subnet import SubNet, count_macs, count_params, uniform
from ofa.tracking import NOTE_CHARS, Tracker
from ofa.views import link, views

# Settings that say where and how a job runs, not what it computes.
HOW = ("stages", "force", "output_dir", "cache_dir", "debug", "tracking", "sweep", "objective")
# Facts of the target that hardware.name stands for; a hundred rows of them would bury the settings.
TARGET = ("hardware.peak_tops", "hardware.engines", "hardware.memory", "hardware.launch")

INTRODUCTION = (
    "Jobs that compress a finetuned BERT into narrower networks: see Training runs on the left, or Runs where "
    "*Model training* is chosen at the top. Open a job with the `+` beside its name: its **children** are the "
    "widths, and `w0.75 ...` keeps three quarters of the heads and neurons. **Views** has all widths ready, as a "
    "table and as charts of score against cost.\n\n"
)  # MLflow's pages keep line breaks within a paragraph
ABOUT = f"""\
{INTRODUCTION}| column | of | says |
| :-- | :-- | :-- |
| `eval/score` | both | the task's own metric on the dev split, 0 to 1: a width's; on the job's run, the teacher's |
| `width`, `heads`, `neurons`, `params`, `macs` | widths | what is left of the network |
| `latency_ms/...measured` | widths | milliseconds per batch, timed on the machine in the job's tags |
| `latency_ms/...estimated` | widths | milliseconds per batch, estimated for a device that was not timed |
| `speedup/...` | widths | full width's milliseconds over this width's |
| `recommended/width` | job | the cheapest width within the tolerance of the teacher |
| `dev/...`, `finetune/...`, `distill/...` | both | curves while training; `best/score` is their best point |

A job's page has its report; its artifacts are `figure.png`, `report.md`, `results.json` and `config.yaml`.
"""


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
        tracker.tags({"mlflow.note.content": _width_note(entry, name, results)}, entry["width"])
        if entry["width"] == recommended:
            tracker.metrics({"recommended/width": recommended, "recommended/score": entry["score"]}, 0)
    view, tags = views(results)
    tracker.experiment(tags)
    tracker.tags({"mlflow.note.content": _note(results, config, view)})
    if "export" in folders:
        for width in config.ofa.widths:
            folder = folders["export"] / width_name(width)
            tracker.model(width, model_name(config, width), folder, _serving(config, inputs))


def model_name(config: Config, width: float) -> str:
    """The registered model of a width; seeds and repeats are its versions."""
    # MLflow allows none of these in the name of a model.
    return re.sub(r"[./:%\"']", "_", f"{config.task.name}-{config.model.name}-{width_name(width)}")


def without_password(yaml: str) -> str:
    """The resolved settings as text, fit to be kept and shown: the one address in them without secrets."""
    return re.sub(r"(?m)^(\s+uri: )(.+)$", lambda found: found[1] + without_secrets(found[2].strip("'\"")), yaml)


def _serving(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {
        "max_seq_length": inputs.max_seq_length,
        "lower_case": inputs.lower_case,
        "pair": len(config.task.text) > 1,
        "classes": bool(config.task.labels),
    }


def _git(*arguments: str) -> str:
    root = Path(__file__).parent.parent
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
    tags |= {f"version.{key}": value for key, value in runtime.versions().items()}
    return tags | {f"machine.{key}": str(value) for key, value in runtime.machine().items()}


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
    what = {key: value for key, value in asdict(config).items() if key not in HOW}
    flat = {key: value for key, value in _flat("", what) if not key.startswith(TARGET)}
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


def _note(results: dict[str, Any], config: Config, view: str) -> str:
    """The advice first, since a page shows the beginning of a note; then where to look, and the report."""
    widths = [entry["width"] for entry in results["widths"]]
    model = model_name(config, results["recommended"]["width"] or widths[0])
    advice = f"**{results['recommended']['words']}**"
    look = (
        f"All widths of this experiment: {link('as a table', view, False)}, {link('as charts', view, True)}. "
        "The figure and the settings are under Artifacts.\n\n"
        f"Serve a width: `mlflow models serve -m models:/{model}/<version> --env-manager local`"
    )
    paragraphs = report.text(results).strip().split("\n\n")[1:]  # the page has a title of its own
    body = "\n\n".join(part for part in paragraphs if part != advice and not part.startswith("!["))
    note = f"{advice}\n\n{body}\n\n{look}"
    if len(note) > NOTE_CHARS:
        body = body[: NOTE_CHARS - len(advice) - len(look)].rpartition("\n")[0] + "\n\n(more in report.md)"
        note = f"{advice}\n\n{body}\n\n{look}"
    return note


def _width_note(entry: dict[str, Any], name: str, results: dict[str, Any]) -> str:
    """One width in a sentence or two."""
    teacher = results["teacher"]
    drop = 100 * (entry["score"] - teacher["score"])
    words = (
        f"Width {entry['width']:.4g} of **{name}**: {entry['heads']} heads and {entry['neurons']} neurons per layer, "
        f"{report.human(entry['params'])} parameters against the teacher's {report.human(teacher['params'])}.\n\n"
        f"Score {entry['score']:.4f}, {drop:+.2f} points from the teacher's {teacher['score']:.4f}."
    )
    if entry["width"] == results["recommended"]["width"]:
        words += f"\n\n**Recommended**: the cheapest within {results['recommended']['tolerance']:g} points."
    return words

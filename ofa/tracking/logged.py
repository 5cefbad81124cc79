"""What is logged of jobs, sub-networks and later timings: parameters, tags, data sets, figures and models."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from ofa import __version__
from ofa.deploy.serving import settings_of
from ofa.results.collect import deployed, read
from ofa.results.record import NetworkResult, Results
from ofa.results.reduced import MAIN
from ofa.results.report import machine_of
from ofa.settings.compose import load
from ofa.settings.fields import shown
from ofa.settings.schema import Config, TaskConfig
from ofa.supernet.space import Network
from ofa.supernet.subnet import EncoderShape, count_macs, count_params, uniform
from ofa.system import machine
from ofa.system.redact import without_secrets
from ofa.tracking import metrics
from ofa.tracking.pages import ABOUT, network_note, note, views
from ofa.tracking.registry import RECOMMENDED, model_name
from ofa.tracking.sender import JOB
from ofa.tracking.tracker import Tracker, metric_name

CONTEXTS = {"train": "training", "test": "test"}  # what a split is for, in MLflow's words; the others choose weights
DIGEST_CHARS = 16  # of a dataset, of which MLflow keeps 36 at most
# Facts of the target that hardware.name stands for; a hundred rows of them would bury the settings.
TARGET = ("hardware.peak_tops", "hardware.engines", "hardware.memory", "hardware.launch")


def open_runs(
    tracker: Tracker, title: str, config: Config, shape: EncoderShape, networks: Mapping[str, Network]
) -> None:
    """Open the run of a job, called ``title``, and one for each of its sub-networks."""
    commit = _commit()
    tags = {"kind": "job", **_common(config), **_shown(commit), **_origin(commit)}
    tracker.start(title, tags, _params(config, shape))
    tracker.experiment({"mlflow.note.content": ABOUT, "mlflow.experimentKind": "custom_model_development"})
    open_networks(tracker, title, config, shape, networks)


def _common(config: Config) -> dict[str, str]:
    common = {"task": config.task.name, "model": config.model.name}
    return common | ({"sweep": config.sweep.name} if config.sweep.name else {})


def open_networks(
    tracker: Tracker, title: str, config: Config, shape: EncoderShape, networks: Mapping[str, Network]
) -> None:
    """Open a run for each of these sub-networks of a job."""
    tags = {"kind": "width", **_common(config), **_shown(_commit())}
    for name, network in networks.items():
        params = {
            "width": network.width,
            "depth": network.depth,
            "heads": uniform(network.subnet.heads),
            "neurons": uniform(network.subnet.neurons),
            **({"params": count_params(shape, network.subnet)} if config.ofa.vocabulary == "full" else {}),
            "macs": count_macs(shape, network.subnet, config.trainer.max_seq_length),
            "trainer.seed": config.trainer.seed,
        }
        tracker.network(name, f"{name} {title}", tags, params)


def log_data(
    tracker: Tracker,
    config: Config,
    rows: Mapping[str, Mapping[str, int]],
    digests: Mapping[str, str],
    networks: Iterable[str],
) -> None:
    """The splits of the task as datasets of the job's run, and those that score, as datasets of the ``networks``' runs.

    Args:
        rows: split -> how many rows were ``used`` and ``left_out``.
        digests: split -> digest of its rows.
    """
    task = config.task
    columns = {**dict.fromkeys(task.text, "string"), task.label: "double" if task.kind == "score" else "string"}
    for split, digest in digests.items():
        counts = rows[split]
        about: dict[str, Any] = {
            "columns": columns,
            "rows": {"num_rows": counts["used"], "left_out": counts["left_out"]},
        }
        about |= _source(task, split)
        what = (f"{task.name} {split}", digest[:DIGEST_CHARS], CONTEXTS.get(split, "validation"))
        for network in (None, *(networks if split != "train" else ())):
            tracker.dataset(*what, network, **about)


def _source(task: TaskConfig, split: str) -> dict[str, Any]:
    """Where a split came from: a local file, an archive, or this package."""
    dev = dict.fromkeys(task.dev, task.train) if task.dev_share else task.dev
    file = {"train": task.train, "test": task.test or task.train, **dev}[split]
    if task.hub:
        return {"source_type": "http", "source": {"url": f"https://huggingface.co/datasets/{task.hub.split(':')[0]}"}}
    if task.generator:
        return {"source_type": "code", "source": {"tags": {"mlflow.source.name": f"ofa {task.generator}"}}}
    if task.data_dir is None and task.url:
        return {"source_type": "http", "source": {"url": without_secrets(task.url)}}
    return {"source_type": "local", "source": {"uri": str(Path(task.data_dir or task.folder or task.name) / file)}}


def log_results(tracker: Tracker, title: str, config: Config, folders: Mapping[str, Path], results: Results) -> None:
    """The final figures of the job (the teacher's) and of every sub-network, in numbers and in words."""
    tracker.tags({f"store.{stage}": folder.name for stage, folder in folders.items()})
    _replay(tracker, folders)
    log_figures(tracker, title, config, deployed(folders) if "export" in folders else None, results)


def log_figures(tracker: Tracker, title: str, config: Config, export: Path | None, results: Results) -> None:
    """What ``results`` say, in numbers, in words and as registered models; said again, it replaces what was said.

    Args:
        export: the folder of the deployable networks, if there are any.
    """
    if results.teacher is None or results.recommended is None:
        return
    tokenizing = {
        f"tokenizer_ms/{where}_{size}": ms
        for where, about in results.measured_on.items()
        for size, ms in about.get("tokenizer_ms", {}).items()
    }
    say_anew(tracker, metrics.of_scored(results.teacher) | tokenizing, ("tokenizer_ms/",))
    tracker.tags({f"measured_on.{where}": machine_of(about) for where, about in results.measured_on.items()})
    for network in results.networks:
        say_anew(tracker, metrics.of_network(results, network), ("latency_ms/", "speedup/", "cost/"), network.name)
        tracker.tags({"mlflow.note.content": network_note(network, title, results)}, network.name)
    if chosen := metrics.of_recommended(results):
        tracker.metrics(chosen, 0)
    view, tags = views(results)
    tracker.experiment(tags)
    tracker.tags({"mlflow.note.content": note(results, config, view, tracker.address)})
    if export is not None and results.learned:  # what has learned nothing is not offered
        # Which of a sweep's jobs has the network to take is known at its end.
        taken = None if config.sweep.name else results.recommended.name
        for network in results.networks:
            _register(tracker, config, export, results, network, RECOMMENDED if network.name == taken else None)


def say_anew(tracker: Tracker, values: Mapping[str, float], whole: tuple[str, ...], network: str | None = None) -> None:
    """Numbers of a run that take the place of those it had.

    Args:
        whole: beginnings of names; those of the run that ``values`` lack become nan, as MLflow deletes none.
    """
    had = tracker.journal.metrics(network or JOB, 0) if tracker.journal else ()
    gone = dict.fromkeys((name for name in had if name.startswith(whole)), nan)
    tracker.metrics({**gone, **{metric_name(key): value for key, value in values.items()}}, 0, network)


def _register(
    tracker: Tracker, config: Config, export: Path, results: Results, network: NetworkResult, alias: str | None
) -> None:
    """Make a network of ``export`` a version of the job's registered model."""
    precision = config.tracking.register_precision if network.in_precision(*MAIN) else "fp32"
    tags = metrics.version_tags(results, network, precision)
    place = (network.name, model_name(config), export / network.name)
    tracker.model(*place, settings_of(config, precision), tags, alias)


def _git(*arguments: str) -> str:
    """What git says of the repository that holds this file; nothing where there is none."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _commit() -> str:
    """The commit of this code; empty if no repository tracks it: an installed package may lie inside another's."""
    return _git("ls-files", "--error-unmatch", Path(__file__).name) and _git("rev-parse", "HEAD")


def _origin(commit: str) -> dict[str, str]:
    """Where a result comes from: commit, whether the tree was clean, library versions, machine."""
    dirty = str(bool(_git("status", "--porcelain"))).lower() if commit else "unknown"
    tags = {"git.commit": commit or "unknown", "git.dirty": dirty, "version.ofa": __version__}
    tags |= {f"version.{key}": value for key, value in machine.versions().items()}
    return tags | {f"machine.{key}": str(value) for key, value in machine.machine().items()}


def _shown(commit: str) -> dict[str, str]:
    """What MLflow's own columns read."""
    tags = {"mlflow.source.name": "main.py", "mlflow.source.type": "LOCAL"}
    tags["mlflow.source.git.commit"] = commit or "unknown"
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif not isinstance(value, list) and value is not None:
        yield prefix, value  # a list in a string cannot be compared; widths have runs of their own


def _params(config: Config, shape: EncoderShape) -> dict[str, Any]:
    flat = {key: value for key, value in _flat("", shown(config)) if not key.startswith(TARGET)}
    sizes = {f"model.{key}": value for key, value in shape.to_dict().items()}  # a folder's own, not the settings'
    return {**flat, **sizes, "params": count_params(shape), "num_widths": len(config.ofa.widths)}


def _replay(tracker: Tracker, folders: Mapping[str, Path]) -> None:
    """Curves of stages that were taken from the store; those this job trained itself are known already."""
    last = "distill_depth" if "distill_depth" in folders else "distill"
    for stage in ("finetune", "distill", "distill_depth"):
        path = folders.get(stage, Path()) / f"{stage.partition('_')[0]}.json"
        record = json.loads(path.read_text()) if path.is_file() else {}
        for point in record.get("history", []):
            tracker.metrics({key: value for key, value in point.items() if key != "step"}, point["step"])
        best = record.get("best", {})
        if stage == "finetune" and best:
            tracker.metrics({"best/score": best["score"]}, best["step"])
        for name, of_network in best.items() if stage == last else ():
            tracker.metrics({"best/score": of_network["score"]}, of_network["step"], name)


def log_timings(config: Config, folder: Path, export: Path, results: Results, files: list[Path]) -> None:
    """Say anew in MLflow what the run in ``folder`` has found, now that it was timed again."""
    tracker = Tracker(config.tracking, folder.parent.parent, folder)
    log_figures(tracker, config.title, config, export, results)
    tracker.artifacts(files)
    tracker.finish("FINISHED")


def log_taken(takes: Iterable[Mapping[str, Any]], output_dir: Path, uri: str | None) -> None:
    """Let each registered model's alias name the network that a sweep says to take, where it says one of that model.

    Args:
        takes: see :func:`ofa.results.means.to_take`.
        uri: of the sweep's own server, whose secrets no job keeps.
    """
    found: dict[str, list[tuple[Config, Path, str]]] = {}
    for take in takes:
        if take["folder"]:
            folder = output_dir / "runs" / take["run"]
            config = load(folder / "config.yaml")
            found.setdefault(model_name(config), []).append((config, folder, take["name"]))
    for of_model in found.values():
        if len(of_model) > 1:
            continue
        ((config, folder, name),) = of_model
        results = read(folder)
        network = results.network(name)
        assert network is not None and results.export is not None
        tracker = Tracker(replace(config.tracking, uri=uri), output_dir, folder)
        _register(tracker, config, output_dir / "store" / results.export, results, network, RECOMMENDED)
        tracker.finish("FINISHED")

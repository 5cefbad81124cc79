"""All rules that settings must keep beyond their types, checked at once and without Paddle.

Those that need the settings alone stand in ``settings/rules.py``; here are the ones that take several
sections, a model folder or the disk to see.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ofa.errors import UserError
from ofa.limits import figure_problems, objective_problems, times_layers, timing_problems
from ofa.model.architectures import ARCHITECTURES
from ofa.model.hub import folder_here
from ofa.settings.bounds import choice, file_name, per_cpu
from ofa.settings.distill_rules import distill_problems, optional_stage_problems
from ofa.settings.limits import search_problems
from ofa.settings.places import path_problems
from ofa.settings.rules import (
    extras_missing,
    hardware_problems,
    int8_problems,
    latency_problems,
    ofa_problems,
    size_problems,
    stage_problems,
    sweep_problems,
    trainer_problems,
)
from ofa.settings.schema import Config
from ofa.settings.task_rules import task_problems
from ofa.stages.inputs import given_tokenizer, model_shape
from ofa.system import ranks
from ofa.system.files import expanded, unusable
from ofa.system.machine import paddle_for_cpu
from ofa.tracking.address import database_path, tracking_uri

FINISHED = "finished.json"  # in a run's folder, written last
NEED_GPU = ("bf16", "fp16")  # of the precisions of training


def check(config: Config) -> None:
    """Refuse settings that contradict themselves, the model, the disk or the machine that the job runs on.

    Raises:
        UserError: with one line per broken rule: the key, its value and what is allowed.
    """
    found = [*problems(config), *_machine(config)]
    if found:
        raise UserError("\n".join(found))


def problems(config: Config) -> Iterable[str]:
    """Every broken rule in words, key first."""
    addresses = list(path_problems(config))
    if addresses:  # in place of what is found where such a path would lead
        yield from addresses
        return
    yield from task_problems(config.task)
    yield from _model(config)
    yield from ofa_problems(config.ofa)
    yield from distill_problems(config)
    networks = len(config.ofa.widths) * len(config.ofa.depths)
    yield from search_problems(config.search, config.ofa.sampling, networks)
    yield from trainer_problems(config.trainer)
    yield from hardware_problems(config.hardware)
    timed = list(latency_problems(config.latency, config.hardware))
    yield from timed or [*figure_problems(config), *objective_problems(config)]
    yield from int8_problems(config)
    yield from stage_problems(config)
    yield from optional_stage_problems(config, not timed and times_layers(config))
    yield from _folders(config)
    yield from _tracking(config)
    yield from sweep_problems(config)


def _machine(config: Config) -> Iterable[str]:
    """Not among ``problems``: the jobs of a sweep may run on another machine than the one that launches them."""
    yield from per_cpu("hardware.threads", config.hardware.threads)
    yield from _gpu(config.hardware.device, config.trainer.precision)
    yield from extras_missing("latency.engines", config.latency.engines)
    if ranks.size() == 1:  # a launcher has started its own
        yield from per_cpu("hardware.devices", config.hardware.devices)
    if not list(latency_problems(config.latency, config.hardware)):
        yield from timing_problems(config)


def _gpu(device: str, precision: str) -> Iterable[str]:
    """What needs a GPU, where Paddle need not be loaded to see that there is none."""
    if device == "gpu" and paddle_for_cpu():
        yield "hardware.device: gpu is not there (this Paddle is built for CPU); allowed here: cpu, auto"
    elif precision in NEED_GPU and (device == "cpu" or paddle_for_cpu()):
        yield f"trainer.precision: {precision} needs a GPU, and this job runs on a CPU; allowed here: fp32"


def _model(config: Config) -> Iterable[str]:
    """Where the model and its tokenizer come from, and what its sizes allow: widths, depths, lengths and pairs."""
    model = config.model
    yield from file_name("model.name", model.name)
    if not 0 <= model.dropout < 1:
        yield f"model.dropout: {model.dropout} is outside [0, 1)"
    if model.finetuned and not (model.path or model.pretrained):
        yield "model.finetuned: true needs model.path, the folder of the finetuned model, or model.pretrained"
    if not model.path and model.name == "folder":  # conf/model/folder.yaml; with no path it would mean random weights
        yield "model.path: has no value; set it with model.path=<folder with config.json and model.safetensors>"
        return
    try:
        folder = folder_here(model, expanded(config.cache_dir))
        wrong = [] if folder else list(size_problems(config))
        wrong += choice("model.architecture", model.architecture, list(ARCHITECTURES))
        if wrong:
            raise UserError("\n".join(wrong))
        # Of a model of the hub that is not here yet, neither is known but by the settings.
        model_shape(config, folder, None if model.pretrained and not folder else given_tokenizer(model, folder))
    except UserError as error:
        yield str(error)


def _folders(config: Config) -> Iterable[str]:
    found = folder_problems(config)
    # A finished job is shown from where nothing can be written; `run_job` asks again if there is more to do.
    return [] if any((expanded(config.output_dir) / "runs").glob(f"*/{FINISHED}")) else found


def folder_problems(config: Config) -> list[str]:
    """Folders a run writes to must turn out unusable before hours of training, not after."""
    output, lines = expanded(config.output_dir), []
    for key, paths in (
        ("output_dir", (output, output / "runs", output / "store")),
        ("cache_dir", (expanded(config.cache_dir),)),
    ):
        found = "is empty" if not getattr(config, key) else next(filter(None, map(unusable, paths)), None)
        if found:
            lines.append(f"{key}: {found}; allowed: a folder that can be written to")
    return lines


def _tracking(config: Config) -> Iterable[str]:
    settings = config.tracking
    yield from choice("tracking.backend", settings.backend, ("mlflow", "none"))
    yield from choice("tracking.register_precision", settings.register_precision, ("fp32", "int8"))
    if settings.backend != "mlflow" or settings.uri is None:
        return
    try:
        database = database_path(tracking_uri(settings, Path(config.output_dir)))
    except UserError as error:
        yield str(error)
        return
    if database is not None:
        found = f"{database} is a folder" if database.is_dir() else unusable(database.parent)
        if found:
            yield f"tracking.uri: {found}; allowed: sqlite:////absolute/path.db in a folder that can be written to"

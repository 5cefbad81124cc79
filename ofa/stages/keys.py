"""What decides the output of each stage besides the stages before it: its own part of its key, as JSON.

A setting that is in no key here changes nothing that is kept in the store; ``tests/stages/test_keys.py`` tries each.
"""

from __future__ import annotations

from typing import Any

from ofa.deploy.graphs import reduced
from ofa.limits import figure, figures, target, times_layers
from ofa.settings.fields import key_of
from ofa.settings.rules import EXTRAS
from ofa.settings.schema import Config
from ofa.stages.inputs import Inputs
from ofa.supernet.layer_times import as_timed
from ofa.system.machine import machine

# Of the section ``ofa``, for distill_depth alone.
DEPTH = ("depths", "depth_teacher", "depth_hidden_weight", "depth_logit_weight")


def _data(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {
        "rows": inputs.digests["rows"],
        "vocab": inputs.digests["vocab"],
        "labels": config.task.labels,
        "metrics": config.task.metrics,
        "max_seq_length": config.trainer.max_seq_length,
        "lower_case": config.model.lower_case,
        **({"scores": "scaled"} if config.task.kind == "score" else {}),  # once, they were learned as they stand
    }


def finetune(config: Config, inputs: Inputs) -> dict[str, Any]:
    if inputs.label_order is not None:  # a finished teacher: nothing is trained
        return {**_data(config, inputs), "model": inputs.digests["model"], "label_order": inputs.label_order}
    return {
        **_data(config, inputs),
        "model": inputs.digests["model"],
        "shape": inputs.shape.to_dict(),
        "dropout": config.model.dropout,
        "seed": config.trainer.seed,
        "devices": config.hardware.devices,
        "precision": config.trainer.precision,
        "loop": key_of(config.trainer.finetune),
        **({"held_out": held_out} if (held_out := config.search.held_out_of_finetuning) else {}),
    }


def reorder(config: Config, inputs: Inputs) -> dict[str, Any]:
    splits = list(config.task.dev) if config.ofa.importance.split == "dev" else []
    more = {"splits": splits} if len(splits) > 1 else {}  # once, only the first was read
    return {"importance": key_of(config.ofa.importance), "seed": config.trainer.seed, **more}


def _unlabelled(inputs: Inputs) -> dict[str, str]:
    return {"unlabelled": inputs.digests["unlabelled"]} if "unlabelled" in inputs.digests else {}


def augment(config: Config, inputs: Inputs) -> dict[str, Any]:
    held_out = {"held_out": config.search.rows} if config.search.runs else {}
    test = {"test": inputs.digests["test"]} if "test" in inputs.digests else {}  # whose rows are left out
    return {"augment": key_of(config.ofa.augment), "seed": config.trainer.seed, **held_out, **test}


def vocabulary(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {**_unlabelled(inputs), "vocabulary": config.ofa.vocabulary}


def distill(config: Config, inputs: Inputs) -> dict[str, Any]:
    ofa = {
        key: value
        for key, value in key_of(config.ofa).items()
        if key not in ("importance", "augment", "vocabulary", "vocabulary_files", *DEPTH)
    }
    return {
        **_unlabelled(inputs),
        "ofa": ofa,
        "dropout": config.model.dropout,
        "seed": config.trainer.seed,
        "devices": config.hardware.devices,
        "precision": config.trainer.precision,
        "loop": key_of(config.trainer.distill),
        **({"held_out": config.search.rows} if config.search.runs else {}),
    }


def distill_depth(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {**{key: getattr(config.ofa, key) for key in DEPTH}, "loop": key_of(config.trainer.depth)}


def search(config: Config, inputs: Inputs) -> dict[str, Any]:
    own = {name: value for name, value in key_of(config.search).items() if name != "specialise_epochs"}
    key = {"search": own, "seed": config.trainer.seed}
    if config.search.max_latency_ms is None or times_layers(config):
        return key  # what was timed is known by its own stage
    return {**key, "figure": _way(config), "target": target(config)}


def _way(config: Config) -> list[Any]:
    """Engine, precision, batch and length of the latency that is limited: its name leaves the first engine out."""
    one = figures(config)[str(figure(config))]
    return [one.engine, one.precision, one.batch_size, one.seq_length]


def specialise(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"epochs": config.search.specialise_epochs}


def final(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"loop": key_of(config.trainer.final), "held_out": config.trainer.final_held_out}


def evaluate(config: Config, inputs: Inputs) -> dict[str, Any]:
    found = {name: inputs.digests[name] for name in ("test", "vocabulary_files") if name in inputs.digests}
    return found | _splits(config)


def _splits(config: Config) -> dict[str, Any]:
    """The names of dev splits, which the digest of their rows does not have; of one alone, nothing is named."""
    named = len(config.task.dev) > 1 or config.ofa.vocabulary == "seen"
    return {"splits": list(config.task.dev)} if named else {}


def export(config: Config, inputs: Inputs) -> dict[str, Any]:
    further = [engine for engine in config.latency.engines if engine in EXTRAS]  # proven only if they are asked for
    task = config.task
    separated = task.multi_label and task.label_separator != ","  # written beside the networks, whose answers have it
    return {
        "widths": config.ofa.widths,
        **({"engines": sorted(further)} if further else {}),
        **({"label_separator": task.label_separator} if separated else {}),
    }


def quantize(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"int8": key_of(config.int8), **_splits(config)}


def _where(config: Config) -> dict[str, Any]:
    found = machine()
    if config.hardware.device == "cpu":
        found.pop("gpu", None)  # not timed, although it is there
    return {"threads": config.hardware.threads, "machine": found}


def layer_times(config: Config, inputs: Inputs) -> dict[str, Any]:
    """Neither rows nor weights nor any limit: other jobs on this machine have the same table."""
    if not times_layers(config):
        return {}
    way, space = _way(config), inputs.space
    method = reduced(config).get((way[0], way[1]))
    architecture, extra = inputs.kind(config.model)
    return {
        **_where(config),
        "figure": way,
        "timed": [config.latency.warmup, config.latency.repeats],
        "architecture": [architecture.name, extra],
        "shape": as_timed(inputs.shape).to_dict(),
        "sizes": [space.heads, space.neurons],
        **({"int8": [method, config.int8.reduce_range]} if method else {}),
    }


def latency(config: Config, inputs: Inputs) -> dict[str, Any]:
    return {"latency": key_of(config.latency), **_where(config)}

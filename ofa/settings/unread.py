"""Settings that a job was given and does not read: said before it starts, as their value would change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ofa.settings.schema import Config, ModelConfig

DEPTH = "trainer.depth"


def unread(config: Config) -> Iterator[str]:
    """A line for each setting that is not at its default and that no stage would read, with what asks for it.

    Whichever ``stages`` the job runs: a run that stops early goes on under the same settings.
    """
    default = Config()
    for keys, asks in _unread_sections(config):
        for key in keys:
            for name, value in _changed(key, _at(config, key), _at(default, key)):
                if key == DEPTH and value == _at(config, name.replace(DEPTH, "trainer.distill")):
                    continue  # as the trainer's file has it
                yield f"{name}: {value} changes nothing in this job; only {asks} reads it"


def sizes_unread(model: ModelConfig, sizes: Mapping[str, int], folder: object) -> Iterator[str]:
    """At most one line: the sizes that ``model`` was given and that its ``folder``, which has others, does not have.

    Args:
        sizes: of the model in that folder, and its architecture, by their names in :class:`ModelConfig`.
    """
    given = (
        (key, value, sizes.get(key.removeprefix("model."))) for key, value in _changed("model", model, ModelConfig())
    )
    if other := [(key, value, own) for key, value, own in given if own not in (None, value)]:
        asked = ", ".join(f"{key}={value}" for key, value, _ in other)
        has = ", ".join(f"{key.removeprefix('model.')}={own}" for key, _, own in other)
        yield f"{asked}: changes nothing in this job; the model in {folder} has {has}"


def _unread_sections(config: Config) -> Iterator[tuple[Iterable[str], str]]:
    """Settings or whole sections that nothing reads in this job, and the setting that would have them read."""
    ofa, final = config.ofa, config.trainer.final
    if ofa.sampling == "all":
        yield ("ofa.sandwich_random",), "ofa.sampling=sandwich or layers"
    if not ofa.has_depths:
        own = ("ofa.depth_teacher", "ofa.depth_hidden_weight", "ofa.depth_logit_weight", DEPTH)
        yield own, "a depth below 1 in ofa.depths"
    if ofa.importance.method == "random":
        yield (f"ofa.importance.{name}" for name in ("split", "rows", "batch_size")), "ofa.importance.method=gradient"
    if not ofa.augment.copies:
        yield ("ofa.augment",), "ofa.augment.copies above 0"
    if not final.runs:
        yield ("trainer.final", "trainer.final_held_out"), "trainer.final.epochs above 0"
    if not config.search.runs:
        yield ("search",), "a limit such as search.max_macs"
    if not config.int8.enabled:
        yield (f"int8.{entry.name}" for entry in fields(config.int8) if entry.name != "enabled"), "int8.enabled=true"
    if not config.tracking.register_models:
        yield ("tracking.register_precision",), "tracking.register_models=true"


def _changed(key: str, value: Any, default: Any) -> Iterator[tuple[str, Any]]:
    """The settings at or below ``key`` whose value is not the default."""
    if is_dataclass(value):
        for entry in fields(value):
            yield from _changed(f"{key}.{entry.name}", getattr(value, entry.name), getattr(default, entry.name))
    elif value != default:
        yield key, value


def _at(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config

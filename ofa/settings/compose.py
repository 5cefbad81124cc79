"""Composed settings to dataclasses and back: the schema's registration with Hydra, and a run's config.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from ofa.errors import UserError
from ofa.settings.explain import explain, unknown
from ofa.settings.groups import CONF
from ofa.settings.schema import Config
from ofa.settings.types import hints, inside, mismatches
from ofa.settings.words import as_typed, changed_by_yaml
from ofa.system.files import expanded, require_regular
from ofa.system.redact import without_secrets

MOST = 8  # values of a wrong type that are named at once


def load(path: Path) -> Config:
    """The settings a run left in its ``config.yaml``.

    Raises:
        UserError: if the file is missing or no such settings.
    """
    require_regular(path)
    try:
        saved = OmegaConf.load(path)
        if OmegaConf.select(saved, "latency.estimate_engine"):  # runs of earlier versions have one engine
            saved.latency.estimate_engines = [saved.latency.pop("estimate_engine")]
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), saved))
    except RecursionError:
        raise UserError(f"{path}: not the settings of a run (nested too deeply)") from None
    except (OSError, ValueError, AttributeError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: not the settings of a run ({str(error).splitlines()[0]})") from None
    return _checked(config)


@cache  # of a thousand compositions in one process, as of tests, each need not do it
def register() -> None:
    """Put the schema where conf/config.yaml finds it, under the name ``schema``, and what ``${...}`` may call.

    ``${home:~/x}`` expands the tilde; ``${folder_name:/models/my bert}`` is ``my-bert``; ``${lines:~/label.txt}`` are
    the lines of a file, as a list.
    """
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("home", lambda path: str(expanded(path)), replace=True)
    OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
    OmegaConf.register_new_resolver("lines", _lines, replace=True)


def _folder_name(path: str | None) -> str:
    """The last part of ``path``, fit to name a run's folder and a registered model."""
    return re.sub(r"[^\w.+-]+", "-", expanded(path or "folder").absolute().name).lstrip(".+-") or "folder"


def _lines(path: str) -> list[str]:
    """The lines of a file, as of names of classes; blank ones are none.

    Raises:
        UserError: if it cannot be read, or is no text in UTF-8.
    """
    place = expanded(path)
    require_regular(place)
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"${{lines:{path}}}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"${{lines:{path}}}: byte {error.start + 1} is not UTF-8; allowed: text in UTF-8") from None
    return [line.strip() for line in text.split("\n") if line.strip()]


def compose(overrides: Sequence[str]) -> DictConfig:
    """The settings that a command with these ``overrides`` has, without running one.

    Raises:
        UserError: if they cannot be composed, as the command would say it.
    """
    from hydra import compose as composed_by_hydra
    from hydra.errors import HydraException

    register()
    try:
        with _own_hydra():
            typed_in = [as_typed(text) for text in overrides]
            check_words("config", typed_in)
            return composed_by_hydra("config", typed_in)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from None


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Hydra with the files of :data:`CONF`; what a notebook has initialised it with comes back afterwards."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    theirs = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        if theirs:
            GlobalHydra.instance().initialize(theirs)


def typed(composed: DictConfig) -> Config:
    """The settings as dataclasses.

    Raises:
        UserError: with a line for every setting without a value, for every one added with ``+`` that no dataclass
            has, which would be ignored in silence, and for values that are not of their setting's type.
    """
    found = [f"{key}: has no value; set it with {key}=..." for key in sorted(OmegaConf.missing_keys(composed))]
    found += unknown_keys(OmegaConf.to_container(composed))
    if found:
        raise UserError("\n".join(found))
    return _checked(OmegaConf.to_object(composed))


def _checked(config: Any) -> Config:
    found = list(mismatches(config))
    if found:
        raise UserError("\n".join(found[:MOST]))
    return config


def check_words(name: str, overrides: list[str]) -> None:
    """Refuse text in the composed files, under ``conf/`` or ``--config-dir``, that YAML makes something else of.

    Args:
        name: of the configuration that is composed, and with which ``overrides``.

    Raises:
        UserError: with file and line, what was written, and how to write it.
    """
    found = list(_changed_words(name, overrides))
    if found:
        raise UserError("\n".join(found[:MOST]))


def _changed_words(name: str, overrides: list[str]) -> Iterator[str]:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    loader = GlobalHydra.instance().config_loader()
    for chosen in loader.compute_defaults_list(name, overrides, RunMode.RUN).defaults:
        if chosen.config_path and not chosen.config_path.startswith("hydra/"):
            files = (Path(source.path) / f"{chosen.config_path}.yaml" for source in loader.get_sources())
            path = next((file for file in files if file.is_file()), None)
            if path is not None:
                package = chosen.package or ""
                yield from changed_by_yaml(path, "" if package == "_global_" else package)


def without_secrets_in(yaml: str) -> str:
    """The resolved settings as text, fit to be kept and shown: the addresses in them without secrets."""

    def public(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: public(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [public(inner) for inner in value]
        return without_secrets(value) if isinstance(value, str) else value

    return OmegaConf.to_yaml(public(OmegaConf.to_container(OmegaConf.create(yaml))))


def unknown_keys(values: Any, kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """In words, every key of the composed ``values`` that its dataclass does not have."""
    if not isinstance(values, dict):
        return
    found = hints(kind) if is_dataclass(kind) else {}
    for key, value in values.items():
        if is_dataclass(kind) and key not in found:
            yield unknown(f"{prefix}{key}")
        else:
            yield from unknown_keys(value, found.get(key) or inside(kind), f"{prefix}{key}.")

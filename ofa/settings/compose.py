"""Composed settings to dataclasses and back: the schema's registration with Hydra, and a run's config.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf

from ofa.errors import UserError
from ofa.settings import schema
from ofa.settings.explain import _inside, _unknown
from ofa.settings.schema import Config
from ofa.system.redact import without_secrets


def load(path: Path) -> Config:
    """The settings a run left in its ``config.yaml``.

    Raises:
        UserError: if the file is missing or no such settings.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        saved = OmegaConf.load(path)
        if OmegaConf.select(saved, "latency.estimate_engine"):  # runs of earlier versions have one engine
            saved.latency.estimate_engines = [saved.latency.pop("estimate_engine")]
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), saved))
    except (OSError, ValueError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: not the settings of a run ({str(error).splitlines()[0]})") from None
    assert isinstance(config, Config)
    return config


def register() -> None:
    """Put the schema where conf/config.yaml finds it, under the name ``schema``; ``${home:~/x}`` expands the tilde."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("home", lambda path: str(Path(path).expanduser()), replace=True)


def typed(composed: DictConfig) -> schema.Config:
    """The settings as dataclasses.

    Raises:
        UserError: with a line for every setting without a value, and for every one added with ``+``
            that no dataclass has, which would be ignored in silence.
    """
    found = [f"{key}: has no value; set it with {key}=..." for key in sorted(OmegaConf.missing_keys(composed))]
    found += unknown_keys(OmegaConf.to_container(composed))
    if found:
        raise UserError("\n".join(found))
    return OmegaConf.to_object(composed)  # type: ignore[return-value]


def without_secrets_in(yaml: str) -> str:
    """The resolved settings as text, fit to be kept and shown: the one address in them without secrets."""
    return re.sub(r"(?m)^(\s+uri: )(.+)$", lambda found: found[1] + without_secrets(found[2].strip("'\"")), yaml)


def unknown_keys(values: Any, kind: Any = Config, prefix: str = "") -> Iterator[str]:
    """In words, every key of the composed ``values`` that its dataclass does not have."""
    if not isinstance(values, dict):
        return
    hints = get_type_hints(kind) if is_dataclass(kind) else {}
    for key, value in values.items():
        if is_dataclass(kind) and key not in hints:
            yield _unknown(f"{prefix}{key}")
        else:
            yield from unknown_keys(value, hints.get(key) or _inside(kind), f"{prefix}{key}.")

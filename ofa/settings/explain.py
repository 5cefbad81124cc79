"""Exceptions in one or two lines: the key, the value, what is allowed.

Hydra's and OmegaConf's exceptions are known by their names and attributes alone; neither is imported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_origin

from ofa.errors import UserError
from ofa.settings.schema import Config
from ofa.settings.types import allowed, hints, keys, kind_of, plain, refused, short
from ofa.system.files import expanded, refusal
from ofa.system.redact import without_secrets

_LOOPS = ("trainer.finetune", "trainer.distill")
# What other tools call a setting, or a name that several sections have -> the keys that are meant.
USUAL = {
    "seed": ("trainer.seed",),
    "lr": tuple(f"{loop}.learning_rate" for loop in _LOOPS),
    **{name: tuple(f"{loop}.{name}" for loop in _LOOPS) for name in ("learning_rate", "epochs", "batch_size")},
    **dict.fromkeys(("max_length", "max_len"), ("trainer.max_seq_length",)),
}


def explain(error: BaseException) -> str:
    """What ``error`` means to the user."""
    causes = list(_causes(error))
    if isinstance(error, UserError):
        return str(error)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno:  # Hydra's for an unknown file has no number
            return refusal(cause, goes_on=True)
        if getattr(cause, "full_key", None):
            return _setting(cause)
        key, _, value = str(getattr(cause, "override", "")).partition("=")
        if "://" in value:  # Hydra shows pieces of what it cannot read, and they may be of a password
            return (
                f"{key}: this address cannot be read (not shown, as it may hold a password)\n"
                f"allowed: an address in quotes, as in '{key}=\"http://...\"'"
            )
    text = without_secrets(str(error))
    several = re.match(r"(?:Ambiguous value for argument|Sweep parameters) '([^']+)'", text)
    if several:
        return (
            f"{several[1]!r} is several values; each takes a job of its own: add -m\n"
            "or write one value: a list in brackets, key=[1,2], or text in quotes, \"key='a,b'\""
        )
    choice = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if choice:
        return _unknown_choice(choice[1], text)
    written = re.search(r"(?:parsing override|at input|mismatched input|extraneous input) '([^']*)'", text)
    written = written or re.match(r"LexerNoViableAltException: (.*)", text)
    if written:
        return f"cannot parse {written[1]!r}; expected key=value or key=[1,2]; quote special characters"
    if text.startswith("Config group override must be"):
        return "A group takes the name of one of its files, e.g. task=sst2; --help lists the groups and their files"
    # Hydra's advice to add the key with + would only make the mistake silent.
    lines = [line for line in text.splitlines() if line and not line.startswith(("To append", "See http"))]
    return "\n".join(lines[:2]) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _setting(error: BaseException) -> str:
    """An OmegaConf exception that names its key."""
    key = str(error.full_key)  # type: ignore[attr-defined]
    kind = kind_of(key)
    name = type(error).__name__
    if name in ("ConfigAttributeError", "ConfigKeyError"):
        return unknown(key)
    if (key, getattr(error, "value", None)) == ("search", "optuna"):
        return "search=optuna: this group is sweeper now; type sweeper=optuna (search.* finds the network for a limit)"
    if name == "ValidationError" and kind is not None:
        return refused(key, error.value, kind)  # type: ignore[attr-defined]
    reason = str(error).splitlines()[0].removeprefix("UserError raised while resolving interpolation: ")
    return f"{key}: {short(without_secrets(reason))}" + (f"; allowed: {allowed(kind)}" if kind else "")


@contextmanager
def naming_setting(config: Config) -> Iterator[None]:
    """Note on an OSError which setting its path is that of, if it is one's: only that one can be to blame."""
    try:
        yield
    except OSError as error:
        for key, value in _paths(config).items():
            path = expanded(value).absolute()
            if isinstance(error.filename, str) and Path(error.filename).absolute().is_relative_to(path):
                error.add_note(f"see {key}={value}: it takes a file or a folder that can be used as such")
        raise


def _paths(config: Config) -> dict[str, str]:
    """The settings that are paths, those that lie deepest first."""
    task, model = config.task, config.model
    paths = {
        "output_dir": config.output_dir,
        "cache_dir": config.cache_dir,
        "task.data_dir": task.data_dir,
        "model.path": model.path,
        "model.vocab": model.vocab,
    }
    given = {key: str(value) for key, value in paths.items() if value}
    return dict(sorted(given.items(), key=lambda item: len(expanded(item[1]).absolute().parts), reverse=True))


def unknown(key: str) -> str:
    """That there is no such setting, and which there are."""
    section, _, name = key.rpartition(".")
    if key.startswith("hydra"):
        return f"{key}: no such setting; see --hydra-help"
    kind = plain(kind_of(section))
    if get_origin(kind) is dict:
        there = "; another file for the one there is: task.dev.dev=..." if section == "task.dev" else ""
        return f"{key}: no such entry; add it with +{key}=...{there}"
    here = [f"{section}.{entry}".lstrip(".") for entry in hints(kind if is_dataclass(kind) else Config)]
    everywhere = [*keys(), *hints(Config), "experiment"]
    below = [known for known in everywhere if section and known.startswith(f"{section}.")]
    # A slip in the last part, then a part left out, then a slip in the section, then a key typed without its section.
    near = list(USUAL.get(key, ())) or [known for known in everywhere if _bare(known) == _bare(key)]
    near = near or _near(name, here) or _near(name, below)
    near = near or difflib.get_close_matches(key, everywhere, 1, 0.8) or _near(name, everywhere)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"{key}: no such setting{hint}\nallowed here: {', '.join(here)}"


def _bare(key: str) -> str:
    """``key`` without what people leave out of it, or write for one another."""
    return re.sub("[._-]", "", key)


def _near(name: str, known: list[str]) -> list[str]:
    """The keys of ``known`` with the last part that is most like ``name``, if one is so by 7 letters of 10; up to 3."""
    leaves: dict[str, list[str]] = {}
    for key in known:
        leaves.setdefault(_bare(key.rpartition(".")[2]), []).append(key)
    best = difflib.get_close_matches(_bare(name), leaves, 1, 0.7)
    return leaves[best[0]][:3] if best else []


def _unknown_choice(choice: str, text: str) -> str:
    group, _, name = choice.rpartition("/")
    if group.startswith("hydra/"):
        return f"{group}: {name!r} is not installed; get it with pip install -e '.[sweep]'"
    options = re.search(r"Available options in '[^']+':\n((?:\t\S+\n?)+)", text)
    names = ", ".join(options[1].split()) if options else "see --help"
    return f"{group}: {name!r} is unknown; allowed: {names}"

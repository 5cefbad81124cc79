"""The network that a user named, by a run or by a folder, and how it answers: its precision, length, pairs and kind."""

from __future__ import annotations

import os
import reprlib
from pathlib import Path
from typing import Any

from ofa.data.kinds import KINDS
from ofa.deploy.serving import DESCRIBED, SETTINGS, settings_of
from ofa.errors import UserError
from ofa.model.folder import read_folder
from ofa.results import collect
from ofa.results.links import RECOMMENDED
from ofa.results.record import NetworkResult, Results
from ofa.settings.compose import load
from ofa.settings.rules import FEWEST_TOKENS
from ofa.system.files import expanded, read_json
from ofa.system.output import run_folder

PRECISIONS = ("fp32", "int8")


def chosen(
    given: Path, network: str | None = None, precision: str | None = None, engine: str = "onnxruntime"
) -> tuple[Path, dict[str, Any]]:
    """A network's folder and what :class:`ofa.deploy.serving.TextClassifier` needs beside it.

    Args:
        given: a run's folder, its name in the output folder, or the folder of one exported network.
        network: of a run, e.g. ``w0.5``; None: the recommended one.
        precision: ``fp32`` or ``int8``; None: of the network that a run recommends, given by the run or by its folder
            in the run's, int8 where it is recommended and ``engine`` has it; else fp32.

    Raises:
        UserError: if the folder is neither, or the run did not export the network.
    """
    given = run_folder(expanded(given))
    _require_folder(given)
    if (given / DESCRIBED).is_file() and not (given / "results.json").is_file():
        if network:
            raise UserError(f"--network: {given} is one network; leave it out, or give the folder of its run")
        return given, _settings(given, given.absolute().parent, precision or _advised_of_folder(given, engine))
    results = collect.read_given(given)
    found = _network(results, network)
    folder = given / found.name
    if not folder.is_dir():
        raise UserError(f"{folder}: {_why_not_here(folder, results)}")
    return folder, _settings(folder, given, precision or _advised(results, found, engine))


def _require_folder(given: Path) -> None:
    if given.is_symlink() and not given.exists():
        raise UserError(f"{given}: a link to {os.readlink(given)}, which is not here; copy what it leads to: cp -rL")
    if given.is_file():
        raise UserError(f"{given}: a file; give its folder, {given.parent}")


def _why_not_here(folder: Path, results: Results) -> str:
    """Why a run lacks the folder of a network of its, and what brings it here."""
    if not results.export:
        return "that run has exported nothing; run it again with stages=[evaluate,export]"
    copied = "a link to what is not here; copy runs with cp -rL, or:" if folder.is_symlink() else "not here;"
    return f"{copied} the command of the run, given again, makes it anew"


def _network(results: Results, name: str | None) -> NetworkResult:
    """The network of a run by its name, or the recommended one."""
    recommended = results.recommended
    name = name or (recommended.name if recommended else None)
    found = results.network(name)
    if found is None:
        known = ", ".join(one.name for one in results.exported) or "none"
        said = f"{name} is unknown" if name else "this run recommends no network"
        raise UserError(f"--network: {said}; it has: {known}")
    return found


def _advised(results: Results, network: NetworkResult, engine: str) -> str:
    """The precision that a run recommends ``network`` in, of those it has for ``engine``."""
    advice = results.recommended
    int8 = advice is not None and (advice.name, advice.precision) == (network.name, "int8")
    return "int8" if int8 and network.in_precision(engine, "int8") else "fp32"


def _advised_of_folder(folder: Path, engine: str) -> str | None:
    """The same of a network given by its folder in a run's; None where no run is around it, or recommends another."""
    run = folder.absolute().parent  # of the link: what it leads to lies in the store
    if not ((run / "results.json").is_file() and (run / "config.yaml").is_file()):
        return None
    results = collect.read_given(run)
    name = results.recommended.name if results.recommended else None
    network = results.network(name) if folder.name in (RECOMMENDED, name) else None
    return _advised(results, network, engine) if network else None


def _settings(folder: Path, run: Path, precision: str | None) -> dict[str, Any]:
    """Length, pairs and kind of answer: from the folder's ``serving.json``, else from the run's ``config.yaml``."""
    source = folder / SETTINGS
    if source.is_file():
        settings = read_json(source)
        lacking = [key for key in ("max_seq_length", "pair", "kind") if key not in settings]
        if lacking:
            raise UserError(f"{source}: no {', '.join(lacking)}")
    else:
        source = run / "config.yaml"
        if not source.is_file():
            raise UserError(f"{folder}: neither {SETTINGS} in it nor config.yaml above it; give the folder of its run")
        settings = settings_of(load(source))
    _check(settings, source, read_folder(folder).shape.max_tokens)
    return {**settings, "precision": precision or settings.get("precision", "fp32")}


def _check(settings: dict[str, Any], source: Path, most: int) -> None:
    """Refuse what no network answers by.

    Args:
        most: tokens that the network has positions for.
    """
    length, separator = settings["max_seq_length"], settings.get("label_separator", ",")
    fewest = min(FEWEST_TOKENS, most)
    rules = (
        ("max_seq_length", type(length) is int and fewest <= length <= most, f"a whole number, {fewest} to {most}"),
        ("pair", isinstance(settings["pair"], bool), "true or false"),
        ("kind", settings["kind"] in tuple(KINDS), ", ".join(KINDS)),
        ("label_separator", isinstance(separator, str), "a text"),
        ("precision", settings.get("precision", "fp32") in PRECISIONS, ", ".join(PRECISIONS)),
    )
    for key, fits, allowed in rules:
        if not fits:
            raise UserError(f"{source}: {key} is {reprlib.repr(settings.get(key))}; allowed: {allowed}")

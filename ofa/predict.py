"""Ask a network of a finished run: ``python -m ofa.predict RUN_FOLDER "a text" [...]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ofa.deploy.serving import SETTINGS, TextClassifier, settings_of
from ofa.errors import UserError
from ofa.results import collect
from ofa.results.reduced import MAIN
from ofa.settings.compose import load
from ofa.system import files


def chosen(path: Path, network: str | None, precision: str | None) -> tuple[Path, dict[str, Any]]:
    """A network's folder and what :class:`TextClassifier` needs beside it.

    Args:
        path: the folder of a finished run, or of one exported network, which holds ``serving.json``.
        network: of a run, its name, e.g. ``w0.5``; None: the recommended one.
        precision: ``fp32`` or ``int8``; None: of a run, int8 where it is recommended, too; else fp32.

    Raises:
        UserError: if the folder is neither, or the run did not export the network.
    """
    if (path / SETTINGS).is_file():
        if network:
            raise UserError(f"--network: {path} is one network; leave it out, or give the folder of its run")
        return path, {**files.read_json(path / SETTINGS), "precision": precision or "fp32"}
    results = collect.read_given(path)
    name = network or (results.recommended.name if results.recommended else None)
    found = results.network(name)
    known = ", ".join(one.name for one in results.networks) or "none"
    if found is None:
        said = f"{name} is unknown" if name else "this run recommends no network"
        raise UserError(f"--network: {said}; it has: {known}")
    if precision is None:
        advised = results.recommended.precision if results.recommended and not network else None
        precision = "int8" if advised == "int8" and found.in_precision(*MAIN) else "fp32"
    folder = path / found.name
    if not folder.is_dir():
        raise UserError(f"{folder}: not here; run it again with stages=[evaluate,export], which exports its networks")
    return folder, settings_of(load(path / "config.yaml"), precision)


def predict(
    path: Path, texts: list[str], pairs: list[str] | None, network: str | None, precision: str | None = None
) -> list[dict]:
    """The answers to ``texts``: ``label`` and ``probability`` of each, or ``score``.

    Args:
        pairs: the second text of each row, for a task of pairs.
        path, network, precision: see :func:`chosen`.

    Raises:
        UserError: as there, or if texts and task do not fit.
    """
    folder, settings = chosen(path, network, precision)
    if settings["pair"] != (pairs is not None):
        raise UserError(
            f"--pair: {'missing: this task has' if settings['pair'] else 'this task has no'} pairs of texts"
        )
    table = {"text": texts, **({"text_pair": pairs} if pairs is not None else {})}
    return TextClassifier(folder, settings).predict(table).to_dict("records")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ofa.predict", description=__doc__.splitlines()[0])
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("text", nargs="+", help="one or more texts, each in quotes")
    parser.add_argument("--pair", action="append", help="the second text; once for each text")
    parser.add_argument("--network", help="e.g. w0.5; the recommended one if left out")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="int8 where it is recommended, else fp32")
    options = parser.parse_args(arguments)
    try:
        answers = predict(options.run_folder, options.text, options.pair, options.network, options.precision)
        for answer in answers:
            print("\t".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in answer.values()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

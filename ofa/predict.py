"""Ask a network of a finished run: ``python -m ofa.predict RUN_FOLDER "a text" [...]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ofa.deploy.serving import TextClassifier, settings_of
from ofa.errors import UserError
from ofa.results import collect
from ofa.results.reduced import MAIN
from ofa.settings.compose import load


def predict(
    run_folder: Path, texts: list[str], pairs: list[str] | None, network: str | None, precision: str | None = None
) -> list[dict]:
    """The answers to ``texts``: ``label`` and ``probability`` of each, or ``score``.

    Args:
        pairs: the second text of each row, for a task of pairs.
        network: its name, e.g. ``w0.5``; None: the recommended one.
        precision: ``fp32`` or ``int8``; None: int8 where it is recommended, too.

    Raises:
        UserError: if the folder is no run that exported the network, or texts and task do not fit.
    """
    results = collect.read_given(run_folder)
    name = network or (results.recommended.name if results.recommended else None)
    chosen = results.network(name)
    known = ", ".join(one.name for one in results.networks) or "none"
    if chosen is None:
        said = f"{name} is unknown" if name else "this run recommends no network"
        raise UserError(f"--network: {said}; it has: {known}")
    if precision is None:
        advised = results.recommended.precision if results.recommended and not network else None
        precision = "int8" if advised == "int8" and chosen.in_precision(*MAIN) else "fp32"
    folder = run_folder / chosen.name
    if not folder.is_dir():
        raise UserError(f"{folder}: not here; run it again with stages=[evaluate,export], which exports its networks")
    settings = settings_of(load(run_folder / "config.yaml"), precision)
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

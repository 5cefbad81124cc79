"""The claims a study's results.json begins with: what was aimed at, what was got, and whether that meets it.

A study's ``claims.py`` makes them from its kept figures alone. A script that measures writes with :func:`write`;
this makes the claims anew of figures that are there, without measuring:

    python experiments/claiming.py experiments/latency_cpu [FOLDER ...]
"""

from __future__ import annotations

import json
import operator
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SIGNS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt, "=": operator.eq}
DIGITS = 4


def claim(name: str, sign: str, aim: float, got: float | None, complete: bool = True) -> dict[str, Any]:
    """One claim; ``got`` None, of what was not measured, meets no aim. Figures are compared as they are, then rounded.

    Args:
        sign: one of SIGNS, e.g. ``<=`` where ``got`` is to be at most ``aim``.
        complete: whether all jobs were run that ``got`` is to be the figure of; no aim is met before.
    """
    met = complete and got is not None and bool(SIGNS[sign](got, aim))
    shown = "not measured" if got is None else round(got, DIGITS)
    return {"name": name, "aim": f"{sign} {aim:g}", "got": shown, "met": met}


def write(folder: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Write ``folder/results.json``: the claims that ``folder/claims.py`` makes of ``record``, and this after them.

    Returns:
        the claims.
    """
    figures = {key: value for key, value in record.items() if key != "claims"}
    found = runpy.run_path(str(folder / "claims.py"))["claims"](figures)
    whole = {"claims": found, **figures}
    (folder / "results.json").write_text(json.dumps(whole, indent=1) + "\n")
    return found


def show(claims: Iterable[dict[str, Any]]) -> None:
    """Print a line for each claim."""
    for one in claims:
        print(f"{'met' if one['met'] else 'NOT met'}: {one['name']}: {one['got']} (aim {one['aim']})")


def main(folders: list[str]) -> None:
    if not folders:
        raise SystemExit("usage: python experiments/claiming.py FOLDER ...")
    for folder in map(Path, folders):
        print(f"{folder.name}:")
        show(write(folder, json.loads((folder / "results.json").read_text())))


if __name__ == "__main__":
    main(sys.argv[1:])

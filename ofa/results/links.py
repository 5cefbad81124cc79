"""The deployable folders of a run under the run's own folder, by name and as ``recommended``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ofa.results.record import Results

RECOMMENDED = "recommended"


def link_networks(run_folder: Path, export: Path, results: Results) -> None:
    """Let ``run_folder/<network>`` and ``run_folder/recommended`` lead to the exported folders.

    Relative links, so that ``output_dir`` can be moved; copies where the file system has no links.
    """
    chosen = results.recommended.name if results.recommended else None
    targets = {network.name: export / network.name for network in results.exported}
    if chosen:
        targets[RECOMMENDED] = export / chosen
    for name in {RECOMMENDED, *targets}:
        _remove(run_folder / name)
    for name, target in targets.items():
        _link(run_folder / name, target)


def link_recommended(run_folder: Path, results: Results) -> None:
    """Let ``recommended`` follow new ``results`` of a run whose networks are linked already, if they are."""
    path, chosen = run_folder / RECOMMENDED, results.recommended.name if results.recommended else None
    if not path.is_dir():
        return
    _remove(path)
    if chosen and (run_folder / chosen).is_dir():
        _link(path, (run_folder / chosen).resolve())


def _link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(os.path.relpath(target, path.parent), target_is_directory=True)
    except OSError:
        shutil.copytree(target, path)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)

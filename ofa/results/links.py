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
        try:
            (run_folder / name).symlink_to(os.path.relpath(target, run_folder), target_is_directory=True)
        except OSError:
            shutil.copytree(target, run_folder / name)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)

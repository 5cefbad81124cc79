"""Where runs are: the output folder of the environment, and a run in it by its name."""

from __future__ import annotations

import os
from pathlib import Path

from ofa.system.files import expanded


def output_dir() -> Path:
    """``OFA_OUTPUT`` of the environment, or ``outputs``: what ``output_dir`` is unless a command sets it."""
    return expanded(os.environ.get("OFA_OUTPUT") or "outputs")


def run_folder(given: Path) -> Path:
    """The folder that a user named: as it stands, or by the name of a run in the output folder."""
    named = output_dir() / "runs" / given
    return named if not given.exists() and len(given.parts) == 1 and named.is_dir() else given

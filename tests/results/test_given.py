"""A run's folder as a user may hand it over: damaged, or with a pipe or a device among its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ofa.errors import UserError
from ofa.results.collect import read_given
from ofa.settings.compose import load

DAMAGES: dict[str, Callable[[Path], object]] = {
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "deep": lambda path: path.write_text("[\n" * 5_000),
    "list": lambda path: path.write_text("[1]"),
    "bytes": lambda path: path.write_bytes(b"\xff\x00"),
    "zeros": lambda path: path.write_bytes(bytes(9)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_refused_in_a_line(tmp_path: Path, damage: str) -> None:
    for name in ("results.json", "config.yaml"):
        DAMAGES[damage](tmp_path / name)
    with pytest.raises(UserError, match="no results.json; give the folder of a finished run"):
        read_given(tmp_path)
    with pytest.raises(UserError, match=f"^{tmp_path}/config.yaml: not "):
        load(tmp_path / "config.yaml")

"""The folder that the tests of tokenizers read."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.wordpieces import WORDS

from ofa.data.vocab import SPECIAL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a vocabulary alone."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    return tmp_path / "model"

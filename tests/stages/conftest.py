"""The job that the tests of stages run."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.jobs import tiny

from ofa.settings.schema import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return tiny(tmp_path)

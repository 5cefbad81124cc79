"""The notebook's cells, run in order in one process, with fewer steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.toys import REPO

pytestmark = pytest.mark.job
FEWER = ["trainer.finetune.max_steps=2", "trainer.distill.max_steps=2", "ofa.importance.rows=16", "latency.repeats=2"]
FEWER += ["tracking=none", "hardware.threads=1", "task.max_train_rows=200", "task.max_dev_rows=50"]


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFA_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("OFA_CACHE", str(tmp_path / "cache"))
    notebook = json.loads((REPO / "experiments" / "first_steps.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    space: dict = {}
    for cell in cells:
        exec(cell.replace("MORE = []", f"MORE = {FEWER}"), space)
    assert list(space["frame"].index) == ["w1", "w0.5"]
    assert {answer["label"] for answer in space["answers"]} <= {"negative", "positive"} and len(space["answers"]) == 2
    assert space["mistake"].startswith("task: 'sst3' is unknown; allowed: ")

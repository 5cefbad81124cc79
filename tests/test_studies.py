"""Every script of a study can still be loaded: the names it takes from the product and from other studies are there."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO
from omegaconf import OmegaConf

# One process for all of them, as each alone would pay for importing Paddle. A script finds its neighbours as modules
# of its folder, so what one loaded is forgotten before the next: folders have files of the same name.
LOAD_ALL = """
import runpy, sys
from pathlib import Path
root, failed = Path(sys.argv[1]), []
for script in sorted(root.glob("*/*.py")):
    known, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(script.parent))
    if script.name == "claims.py":
        sys.path.insert(1, str(root))
    try:
        runpy.run_path(str(script), run_name="loaded")
    except SystemExit:
        pass  # reads its command line before it imports Paddle
    except Exception as error:
        if getattr(error, "name", None) not in ("torch", "transformers"):  # for an interpreter of the reader's own
            failed.append(f"{script.relative_to(root)}: {type(error).__name__}: {error}")
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if str(root) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
print("\\n".join(failed) or "all loaded")
"""


@pytest.mark.process
def test_scripts_of_studies_load() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, str(REPO / "experiments")], cwd=REPO, capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "all loaded", loaded.stdout + loaded.stderr


def test_a_study_takes_only_the_jobs_that_have_its_settings(tmp_path: Path) -> None:
    """Two studies share a folder, one with 30,000 rows of SST-2 and one with fewer: each finds its own."""
    jobs = runpy.run_path(str(REPO / "experiments" / "glue_minilm" / "jobs.py"))
    results = {"model": jobs["MODEL"], "task": "sst2", "widths": [{"name": "w1"}]}
    for name in ("TASKS", "COMPARED"):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "results.json").write_text(json.dumps({**results, "run": name}))
        OmegaConf.save(OmegaConf.from_dotlist([*jobs[name]["sst2"], "trainer.seed=42"]), run / "config.yaml")
    for name in ("TASKS", "COMPARED"):
        assert [found["run"] for found in jobs["finished"](tmp_path, ["w1"], jobs[name])] == [name]
    assert not list(jobs["finished"](tmp_path, ["w0.5"], jobs["TASKS"]))

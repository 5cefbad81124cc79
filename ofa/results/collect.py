"""From the folders of a run's stages to its results, and these to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ofa.results import advice, published, record
from ofa.results.figures import draw
from ofa.results.report import text
from ofa.settings.schema import Config
from ofa.supernet.subnet import BertShape


def collect(config: Config, folders: dict[str, Path], shape: BertShape) -> dict[str, Any]:
    """The content of results.json from the folders of the stages that ran; scores from 0 to 1."""
    results: dict[str, Any] = {"task": config.task.name, "model": config.model.name, "seed": config.trainer.seed}
    if "evaluate" not in folders:
        return results
    results |= json.loads((folders["evaluate"] / "scores.json").read_text())
    if "latency" in folders:
        record.add_measured(results, json.loads((folders["latency"] / "latency.json").read_text()))
    if "export" in folders:
        record.add_export(results, folders["export"])
        results["export"] = folders["export"].name
    record.add_estimates(results, config, shape)
    record.add_speedups(results)
    results["recommended"] = advice.recommend(results, config.ofa.tolerance)
    results["warnings"] = results["alarms"] + advice.warnings(results, config, shape)
    if figures := published.expected(config):
        results["published"] = figures
    return results


def write(folder: Path, results: dict[str, Any]) -> list[Path]:
    """Write results.json and, once widths are scored, report.md and figure.png; returns their paths.

    What an earlier start with the same settings has scored stays, if this one stopped at an earlier stage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scored = "teacher" in results
    files = {"results.json": json.dumps(results, indent=1) + "\n"}
    if not scored and (folder / "report.md").exists():
        files = {}
    if scored:
        draw(results, folder / "figure.png")
        files["report.md"] = text(results)
    for name, content in files.items():
        part = folder / f"{name}.part"
        part.write_text(content)
        part.replace(folder / name)
    return [path for name in ("results.json", "report.md", "figure.png") if (path := folder / name).exists()]

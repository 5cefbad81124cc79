"""From the stages' folders to what a user reads: results.json, report.md, the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ofa.config import Config


def collect(config: Config, folders: dict[str, Path]) -> dict[str, Any]:
    """The content of results.json from the folders of the stages that ran; scores from 0 to 1."""
    results: dict[str, Any] = {"task": config.task.name, "model": config.model.name, "seed": config.trainer.seed}
    if "evaluate" in folders:
        results |= json.loads((folders["evaluate"] / "scores.json").read_text())
    return results


def table(results: dict[str, Any]) -> list[list[str]]:
    """Header and rows: the teacher, then every width."""
    metrics = list(results["teacher"]["metrics"])
    header = ["network", "heads", "neurons", "params", "MACs", *metrics, "vs teacher"]
    rows = [header]
    for entry in [results["teacher"], *results["widths"]]:
        teacher = "width" not in entry
        rows.append(
            [
                "teacher" if teacher else f"width {entry['width']:.4g}",
                "" if teacher else str(entry["heads"]),
                "" if teacher else str(entry["neurons"]),
                human(entry["params"]),
                human(entry["macs"]),
                *(f"{entry['metrics'][metric]:.4f}" for metric in metrics),
                "" if teacher else f"{100 * (entry['score'] - results['teacher']['score']):+.2f}",
            ]
        )
    return rows


def human(count: float) -> str:
    """A count with three digits and its unit: 4.73M, 11.2G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def markdown(rows: list[list[str]]) -> str:
    """An aligned Markdown table: first column to the left, the rest to the right."""
    sizes = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(size) if i == 0 else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(cells, sizes, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (size - 1) if i == 0 else "-" * (size - 1) + ":" for i, size in enumerate(sizes)]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def write(folder: Path, results: dict[str, Any], notes: list[str]) -> list[Path]:
    """Write results.json and report.md into the run's folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"results.json": json.dumps(results, indent=1) + "\n"}
    if "teacher" in results:
        title = f"# {results['task']}, {results['model']}, seed {results['seed']}"
        legend = 'Scores are on the dev split; "vs teacher" is the task\'s score in points (1 point = 0.01).'
        files["report.md"] = "\n\n".join([title, markdown(table(results)), legend, *notes]) + "\n"
    for name, text in files.items():
        part = folder / f"{name}.part"
        part.write_text(text)
        part.replace(folder / name)
    return [folder / name for name in files]

"""From the stages' folders to what a user reads: results.json, report.md, the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ofa import costs, published
from ofa.config import Config
from ofa.figures import draw
from ofa.subnet import BertShape


def collect(config: Config, folders: dict[str, Path], shape: BertShape) -> dict[str, Any]:
    """The content of results.json from the folders of the stages that ran; scores from 0 to 1."""
    results: dict[str, Any] = {"task": config.task.name, "model": config.model.name, "seed": config.trainer.seed}
    if "evaluate" not in folders:
        return results
    results |= json.loads((folders["evaluate"] / "scores.json").read_text())
    if "latency" in folders:
        costs.add_measured(results, json.loads((folders["latency"] / "latency.json").read_text()))
    if "export" in folders:
        costs.add_export(results, folders["export"])
        results["export"] = folders["export"].name
    costs.add_estimates(results, config, shape)
    costs.add_speedups(results)
    results["recommended"] = costs.recommend(results, config.ofa.tolerance)
    results["warnings"] = results["alarms"] + costs.warnings(results, config, shape)
    if figures := published.expected(config):
        results["published"] = figures
    return results


def table(results: dict[str, Any]) -> list[list[str]]:
    """Header and rows: the teacher, then every width."""
    metrics = list(results["teacher"]["metrics"])
    figures = [name for name in (costs.headline(results, kind) for kind in ("measured", "estimated")) if name]
    columns = [column for name in figures for column in (f"{name.rpartition('_')[2]} ms", "speed-up")]
    sized = "bytes" in results["widths"][0]
    header = ["network", "heads", "neurons", "params", "MACs", *(["size"] if sized else []), *metrics, "vs teacher"]
    rows = [header + columns]
    for entry in [results["teacher"], *results["widths"]]:
        of_width = "width" in entry
        row = [f"width {entry['width']:.4g}" if of_width else "teacher"]
        row += [str(entry["heads"]), str(entry["neurons"])] if of_width else ["", ""]
        row += [human(entry["params"]), human(entry["macs"])]
        row += [human(entry["bytes"]) + "B" if of_width else ""] if sized else []
        row += [f"{entry['metrics'][metric]:.4f}" for metric in metrics]
        row += [f"{100 * (entry['score'] - results['teacher']['score']):+.2f}" if of_width else ""]
        for name in figures:
            row += [f"{entry['latency_ms'][name]:.2f}", f"{entry['speedup'][name]:.2f}x"] if of_width else ["", ""]
        rows.append(row)
    return rows


def legend(results: dict[str, Any]) -> list[str]:
    """What the columns mean, and on what machine a figure was measured."""
    lines = ['Scores are on the dev split; "vs teacher" is the task\'s score in points (1 point = 0.01).']
    for kind in ("measured", "estimated"):
        name = costs.headline(results, kind)
        if name:
            lines.append(f"{kind} ms: {name}, milliseconds per batch (b: batch size, s: tokens per row).")
    for where, about in results.get("measured_on", {}).items():
        machine = about["machine"]
        on = machine["gpu"] if about["device"] != "cpu" else f"{machine['cpu']}, {about['threads']} threads"
        lines.append(f"{where}: measured on {on}, median; all figures in results.json.")
    for metric, (bert, narrow) in results.get("published", {}).items():
        lines.append(f"Published for this recipe, {metric}: BERT {bert:.5f}, width 2/3 {narrow:.5f}.")
    return lines


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


def text(results: dict[str, Any]) -> str:
    """The report as Markdown."""
    parts = [f"# {results['task']}, {results['model']}, seed {results['seed']}"]
    parts += [markdown(table(results)), " ".join(legend(results)), f"**{results['recommended']['words']}**"]
    parts += ["![score against cost](figure.png)"]
    if results["warnings"]:
        parts.append("Worth knowing:\n\n" + "\n".join(f"- {line}" for line in results["warnings"]))
    parities = [(entry["width"], parity) for entry in results["widths"] for parity in entry.get("parity", [])]
    if parities:
        rows = [["exported file", "precision", "rows", "largest logit difference", "score drift (points)"]]
        for width, p in parities:
            drift = f"{p['score_drift']:.3g}"
            name = f"width {width:.4g}, {p['engine']}"
            rows.append([name, p["precision"], str(p["rows"]), f"{p['logit_difference']:.2g}", drift])
        parts += ["Exported files, re-scored against the network they came from:", markdown(rows)]
    return "\n\n".join(parts) + "\n"

"""From the stages' folders to what a user reads: results.json, report.md, the table."""

from __future__ import annotations

from typing import Any

from ofa.results import record


def table(results: dict[str, Any]) -> list[list[str]]:
    """Header and rows: the teacher, then every width."""
    metrics = list(results["teacher"]["metrics"])
    figures = [name for name in (record.headline(results, kind) for kind in ("measured", "estimated")) if name]
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
        name = record.headline(results, kind)
        if name:
            rests = results.get("estimated_for", {}).get(name)
            on = f" for {rests['engine']}, {rests['evidence']}" if rests else ""
            lines.append(f"{kind} ms: {name}{on}; milliseconds per batch (b: batch size, s: tokens per row).")
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

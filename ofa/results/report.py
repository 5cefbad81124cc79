"""What a user reads of a run: the table, what its columns mean, and the report."""

from __future__ import annotations

from ofa.results.published import DIFFERENCES
from ofa.results.record import KINDS, Results


def table(results: Results) -> list[list[str]]:
    """Header and rows: the teacher, then every network."""
    teacher = results.teacher
    assert teacher is not None
    metrics = list(teacher.metrics)
    figures = [name for name in map(results.headline, KINDS) if name]
    columns = [column for name in figures for column in (f"{name.rpartition('_')[2]} ms", "speed-up")]
    sized = results.networks[0].bytes is not None
    header = ["network", "heads", "neurons", "params", "MACs", *(["size"] if sized else []), *metrics, "vs teacher"]
    of_teacher = ["teacher", "", "", human(teacher.params), human(teacher.macs), *([""] if sized else [])]
    of_teacher += [f"{teacher.metrics[metric]:.4f}" for metric in metrics]
    rows = [header + columns, of_teacher + [""] * (1 + len(columns))]
    for network in results.networks:
        row = [network.label, str(network.heads), str(network.neurons), human(network.params), human(network.macs)]
        row += [human(network.bytes) + "B"] if network.bytes is not None else []
        row += [f"{network.metrics[metric]:.4f}" for metric in metrics]
        row += [f"{100 * (network.score - teacher.score):+.2f}"]
        for name in figures:
            row += [f"{results.ms(network, name):.2f}", f"{results.speedups(network)[name]:.2f}x"]
        rows.append(row)
    return rows


def legend(results: Results) -> list[str]:
    """What the columns mean, and on what machine a figure was measured."""
    lines = ['Scores are on the dev split; "vs teacher" is the task\'s score in points (1 point = 0.01).']
    for kind in KINDS:
        name = results.headline(kind)
        if name:
            rests = results.estimated_for.get(name)
            on = f" for {rests['engine']}, {rests['evidence']}" if rests else ""
            lines.append(f"{kind} ms: {name}{on}; milliseconds per batch (b: batch size, s: tokens per row).")
    for where, about in results.measured_on.items():
        machine = about["machine"]
        on = machine["gpu"] if about["device"] != "cpu" else f"{machine['cpu']}, {about['threads']} threads"
        lines.append(f"{where}: measured on {on}, median; all figures in results.json.")
    for metric, (bert, narrow) in results.published.items():
        lines.append(f"Published for this recipe, {metric}: BERT {bert:.5f}, width 2/3 {narrow:.5f}.")
    return lines + [DIFFERENCES] * bool(results.published)


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


def text(results: Results) -> str:
    """The report as Markdown."""
    assert results.recommended is not None
    parts = [f"# {results.task}, {results.model}, seed {results.seed}"]
    parts += [markdown(table(results)), " ".join(legend(results)), f"**{results.recommended.words}**"]
    parts += ["![score against cost](figure.png)"]
    if results.warnings:
        parts.append("Worth knowing:\n\n" + "\n".join(f"- {line}" for line in results.warnings))
    parities = [(network.label, parity) for network in results.networks for parity in network.parity]
    if parities:
        rows = [["exported file", "precision", "rows", "largest logit difference", "score drift (points)"]]
        for label, p in parities:
            drift = f"{p['score_drift']:.3g}"
            name = f"{label}, {p['engine']}"
            rows.append([name, p["precision"], str(p["rows"]), f"{p['logit_difference']:.2g}", drift])
        parts += ["Exported files, re-scored against the network they came from:", markdown(rows)]
    return "\n\n".join(parts) + "\n"

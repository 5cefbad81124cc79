"""What a user reads of a run: the table, what its columns mean, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ofa.results import front
from ofa.results.advice import not_a_headline
from ofa.results.columns import padded, places
from ofa.results.figure import Latency
from ofa.results.published import DIFFERENCES
from ofa.results.record import NetworkResult, Results, Scored
from ofa.results.reduced import MAIN


def table(results: Results) -> list[list[str]]:
    """Header and rows: the teacher, then every network; the recommended one has a star."""
    teacher, headlines = results.teacher, results.headlines
    assert teacher is not None
    metrics = list(teacher.metrics)
    sized = results.networks[0].bytes is not None
    sure = results.networks[0].lost is not None
    tested = list(teacher.test or ())[:1]
    header = ["network", "heads", "neurons", "params", "MACs", *(["size"] if sized else []), *metrics]
    header += [*(f"test {metric}" for metric in tested), "vs teacher"]
    int8 = [network.in_precision(*MAIN) for network in results.networks]
    header += ["INT8 size", f"INT8 {metrics[0]}"] if any(int8) else []
    header += ["90% interval", "last step", "undistilled"] if sure else []
    header += [column for latency in headlines for column in (f"ms {_at(latency)}", "speed-up")]
    header += [f"★ ms {_at(further)}"] if (further := not_a_headline(results)) else []
    full = results.reference  # the teacher as a network, exported and timed where none of the job's is the full one
    whole = full and full.params == teacher.params  # else it is exported with the smaller vocabulary of the networks
    size = human(full.bytes) + "B" if full and whole and full.bytes is not None else ""
    first = ["teacher", "", "", human(teacher.params), human(teacher.macs), *([size] if sized else [])]
    first += [f"{teacher.metrics[metric]:.4f}" for metric in metrics]
    first += [_score(score_on_test_rows(teacher))] * len(tested)
    times = _times(results, full)
    rows = [header, first + [""] * (len(header) - len(first) - len(times)) + times]
    for network, small in zip(results.networks, int8, strict=True):
        star = "★ " if results.recommended and network.name == results.recommended.name else ""
        row = [star + network.label, str(network.heads), str(network.neurons)]
        row += [human(network.params), human(network.macs)]
        row += [human(network.bytes) + "B"] if network.bytes is not None else []
        row += [f"{network.metrics[metric]:.4f}" for metric in metrics]
        row += [_score(score_on_test_rows(network))] * len(tested)
        row += [f"{100 * (network.score - teacher.score):+.2f}"]
        if any(int8):
            row += [human(small.bytes) + "B", f"{small.score:.4f}"] if small else ["", ""]
        if network.lost is not None:
            low, high = network.lost
            row += [f"{0.0 - high:+.1f} to {0.0 - low:+.1f}", *map(_score, (network.last, network.undistilled))]
        rows.append(row + _times(results, network))
    return rows


def _times(results: Results, network: NetworkResult | None) -> list[str]:
    """Milliseconds and speed-up of each headline, and as is advised; empty cells for what was not timed."""
    cells = []
    for latency in results.headlines:
        name = latency.name(results.unnamed_engine)
        ms = results.ms(network, name) if network else None
        cells += ["", ""] if network is None or ms is None else [f"{ms:.2f}", f"{results.speedups(network)[name]:.2f}x"]
    if further := not_a_headline(results):
        ms = results.ms(network, further.name(results.unnamed_engine)) if network else None
        cells.append("" if ms is None else f"{ms:.2f}")
    return cells


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"


def score_on_test_rows(scored: Scored) -> float | None:
    """The task's metric, the first, on the test rows, whose one split has no name before it; None without such rows."""
    return next(iter(scored.test.values())) if scored.test else None


def _at(latency: Latency) -> str:
    return f"{latency.where} est." if latency.kind == "estimated" else latency.where


def _how(latency: Latency) -> str:
    return f"milliseconds per batch, {latency.setting}, {latency.seq_length} tokens per row, {latency.basis}."


def latencies(results: Results) -> list[list[str]]:
    """Header and rows: every latency figure, the milliseconds per batch of every network, and what it rests on."""
    full = results.reference
    networks = (*([full] if full else []), *results.networks)
    labels = ("teacher" if network is full else network.label for network in networks)
    rows = [["figure", "engine", *labels, "rests on"]]
    for name, latency in results.figures.items():
        found = [results.ms(network, name) for network in networks]
        rows.append([name, latency.engine, *("" if ms is None else f"{ms:.2f}" for ms in found), latency.basis])
    return rows


def legend(results: Results) -> list[str]:
    """What the columns mean, and on what machine a figure was measured."""
    lines = [f'Scores are of {results.dev_rows:,} dev rows; "vs teacher" is in points (1 point = 0.01).']
    if any(counts["left_out"] for counts in results.rows.values()):
        of_splits = (f"{split} {c['used']:,} ({c['left_out']:,})" for split, c in results.rows.items())
        lines.append(f"Rows used, and malformed ones left out: {', '.join(of_splits)}.")
    if "test" in results.rows:
        lines.append(f"Test: the score on {results.rows['test']['used']:,} rows that decide nothing.")
    for split, what in (("unlabelled", "rows without labels"), ("augmented", "copies with words replaced")):
        if more := results.rows.get(split):
            lines.append(
                f"Distilled from {more['used']:,} {what}, too; left out: {more['repeated']:,} repeated or training "
                f"rows, {more['in_dev']:,} of dev or test."
            )
    if known := results.vocabulary:
        shares = ", ".join(f"{share:.2%} of the rows of {name}" for name, share in known["changed"].items())
        lines.append(
            f"The networks know {known['tokens']:,} of the teacher's {known['of']:,} tokens; "
            f"they read {shares} in other tokens than it."
        )
    if results.networks[0].lost is not None:
        lines.append(
            "90% interval: of that difference, by a paired bootstrap over the dev rows. Last step: the score at the "
            "end of distillation. Undistilled: cut from the reordered teacher, before distillation."
        )
    lines += [f"ms {_at(latency)}: {_how(latency)}" for latency in results.headlines]
    if further := not_a_headline(results):
        lines.append(f"★ ms {_at(further)}, as the recommended network is to run: {_how(further)}")
    for where, about in results.measured_on.items():
        lines.append(f"{where}: {machine_of(about)}; medians.")
        lines += _tokenizing(results, where, about.get("tokenizer_ms", {}))
    for metric, (bert, narrow) in results.published.items():
        lines.append(f"Published for this recipe, {metric}: BERT {bert:.5f}, width 2/3 {narrow:.5f}.")
    return lines + [DIFFERENCES] * bool(results.published)


def machine_of(about: Mapping[str, Any]) -> str:
    """In words, what figures were measured on, by an entry of ``Results.measured_on``."""
    if about["device"] != "cpu":
        return about["machine"]["gpu"]
    return f"{about['machine']['cpu']}, {about['threads']} thread{'s' * (about['threads'] != 1)}"


def _tokenizing(results: Results, where: str, found: Mapping[str, float]) -> list[str]:
    """What the tokenizer takes on a device, and its share in the time of the largest and of the fastest network."""
    if not found:
        return []
    sizes = (f"{name.replace('_s', ' x ').removeprefix('b')} {ms:.2f} ms" for name, ms in found.items())
    said = f"From texts, the tokenizer comes on top of each figure of {where}: batches of {', '.join(sizes)}"
    for latency in results.headlines:
        own = found.get(f"b{latency.batch_size}_s{latency.seq_length}")
        if own is None or (latency.where, latency.kind) != (where, "measured"):
            continue
        figure = latency.name(results.unnamed_engine)
        timed = {network.label: ms for network in results.exported if (ms := results.ms(network, figure))}
        ends = dict.fromkeys((max(timed, key=timed.__getitem__), min(timed, key=timed.__getitem__)))
        shares = " and ".join(f"{own / timed[label]:.0%} of {label}'s" for label in ends)
        said += f"; at {latency.batch_size} x {latency.seq_length} that is {shares} time"
    return [f"{said}."]


def human(count: float) -> str:
    """A count with three digits and its unit: 4.73M, 11.2G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:  # what three digits round up to it, too
            return f"{count / size:.3g}{unit}"
    return str(count)


def markdown(rows: list[list[str]]) -> str:
    """An aligned Markdown table: first column to the left, the rest to the right."""
    sizes, (header, *others) = places(rows), padded(rows)
    rule = [":" + "-" * (size - 1) if i == 0 else "-" * (size - 1) + ":" for i, size in enumerate(sizes)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *others))


def listed(heading: str, lines: Sequence[str]) -> list[str]:
    """One paragraph: ``heading`` and a line each below it; none if there are no lines."""
    return [f"{heading}:\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []


def text(results: Results) -> str:
    """The report as Markdown."""
    assert results.recommended is not None
    parts = [f"# {results.task}, {results.model}, seed {results.seed}"]
    parts += [markdown(table(results)), " ".join(legend(results)), f"**{results.recommended.words}**"]
    parts += ["![score against cost](figure.png)"]
    parts += listed("Worth knowing", results.warnings)
    if results.search:
        parts += [front.words(results.search), markdown(front.table(results.search)), f"![the front]({front.FRONT})"]
    if results.headlines:
        parts += ["Every latency, in milliseconds per batch (b: batch size, s: tokens per row):"]
        parts += [markdown(latencies(results))]
    parities = [(network.label, parity) for network in results.networks for parity in network.parity]
    if parities:
        rows = [["exported file", "precision", "rows", "largest logit difference", "score drift (points)"]]
        for label, p in parities:
            drift = f"{p['score_drift']:.3g}"
            name = f"{label}, {p['engine']}"
            rows.append([name, p["precision"], str(p["rows"]), f"{p['logit_difference']:.2g}", drift])
        parts += ["Exported files, re-scored against the network they came from:", markdown(rows)]
    return "\n\n".join(parts) + "\n"

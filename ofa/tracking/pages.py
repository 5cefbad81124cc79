"""What pages in MLflow say: notes, the introduction of an experiment, saved views."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any

from ofa.results import aggregate, columns, report
from ofa.results.record import NetworkResult, Results
from ofa.results.terminal import fitting
from ofa.settings.schema import Config
from ofa.tracking.registry import RECOMMENDED, model_name
from ofa.tracking.sender import EXPERIMENT_ID
from ofa.tracking.server import MODE
from ofa.tracking.tracker import NOTE_CHARS

BLOCK_CHARS = 90  # of a line on the page of a run, before it scrolls
MORE = "(more in report.html)\n\n"
INTRODUCTION = (
    "Jobs that compress a finetuned BERT into narrower networks: see Training runs on the left, or Runs where "
    "*Model training* is chosen at the top. Open a job with the `+` beside its name: its **children** are the "
    "widths, and `w0.75 ...` keeps three quarters of the heads and neurons. **Views** has all widths ready, as a "
    "table and as charts of score against cost.\n\n"
)  # MLflow's pages keep line breaks within a paragraph
ABOUT = f"""\
{INTRODUCTION}| column | of | says |
| :-- | :-- | :-- |
| `eval/score` | both | the task's own metric on the dev split, 0 to 1: a width's; on the job's run, the teacher's |
| `width`, `depth`, `heads`, `neurons`, `params`, `macs` | widths | what is left of the network |
| `latency_ms/...measured` | widths | milliseconds per batch, timed on what the job's tags `measured_on...` name |
| `latency_ms/...estimated` | widths | milliseconds per batch, estimated for a device that was not timed |
| `speedup/...` | widths | full width's milliseconds over this width's |
| `recommended/width` | job | the width to take; why is said on the job's page |
| `dev/...`, `finetune/...`, `distill/...`, `depth/...` | both | curves while training; `best/score`: their best |

A job's page has its report; its artifacts are `report.html` (with the figure), `results.json` and `config.yaml`.
"""


def note(results: Results, config: Config, view: str, address: str) -> str:
    """The advice first, since a page shows the beginning of a note; then where to look, and the report."""
    assert results.recommended is not None
    advice = f"**{results.recommended.words}**"
    look = (
        f"All widths of this experiment: {link('as a table', view, False)}, {link('as charts', view, True)}. "
        "The figure and the settings are under Artifacts.\n\n"
        f"{serve_command(config, results, address)}"
    )
    parts = [_block(report.table(results)), " ".join(report.legend(results))]
    parts += report.listed("Worth knowing", results.warnings)
    parts += [_block(report.latencies(results))] if results.headlines else []
    return f"{advice}\n\n{_fitted(parts, NOTE_CHARS - len(advice) - len(look))}{look}"


def _fitted(parts: list[str], room: int) -> str:
    """The first ``parts`` that fit into so many characters."""
    body = ""
    for part in parts:
        if len(body) + len(part) > room - len(MORE):
            return body + MORE
        body += f"{part}\n\n"
    return body


def sweep_note(
    numbers: dict[str, Any], jobs: dict[str, tuple[str, str]], problems: list[str], remarks: list[str]
) -> str:
    """What to take of each task first, since a page shows the beginning of a note; then the table and the jobs.

    Args:
        numbers: see :func:`ofa.results.aggregate.summarise`.
        jobs: run folder -> name and id of the jobs' runs in MLflow.
        problems, remarks: in lines.
    """
    takes = []
    for what, take in aggregate.takes(numbers):
        best = f" Best seed: {_run_link(*jobs[take['run']])}." if take["run"] in jobs else ""
        takes.append(f"**{what}**: {take['words']}{best}")
    parts = [*takes, *([_block(aggregate.table(numbers))] if numbers["rows"] else [])]
    parts += report.listed("Jobs", [_run_link(*job) for job in jobs.values()])
    parts += [*report.listed("Jobs without a result", problems), *report.listed("Worth knowing", remarks)]
    return _fitted(parts, NOTE_CHARS)


def _run_link(name: str, run_id: str) -> str:
    return f"[{name}](#/experiments/{EXPERIMENT_ID}/runs/{run_id}?{MODE})"


def _block(rows: list[list[str]]) -> str:
    """A table as preformatted text: MLflow's page runs the columns of a Markdown table together."""
    kept = fitting(rows, BLOCK_CHARS)
    return "\n".join(["```", *columns.lines([[row[i] for i in kept] for row in rows]), "```"])


def serve_command(config: Config, results: Results, address: str) -> str:
    """A sentence with the command that serves the recommended network; empty if there is none that is registered.

    In a sweep the alias is of the network that this says to take, which may be another job's.
    """
    registered = config.tracking.register_models and results.export and not config.sweep.name
    if not (address and registered and results.recommended and results.recommended.name):
        return ""
    model = shlex.quote(f"models:/{model_name(config)}@{RECOMMENDED}")
    serve = f"mlflow models serve -m {model} --env-manager local --host 127.0.0.1 --port 5001"
    return f"Serve the recommended network: `MLFLOW_TRACKING_URI={shlex.quote(address)} {serve}`"


def network_note(network: NetworkResult, title: str, results: Results) -> str:
    """One sub-network of the job ``title`` in a sentence or two."""
    teacher, recommended = results.teacher, results.recommended
    assert teacher is not None and recommended is not None
    drop = 100 * (network.score - teacher.score)
    words = (
        f"{network.label.capitalize()} of **{title}**: {network.heads} heads and {network.neurons} neurons per layer, "
        f"{report.human(network.params)} parameters against the teacher's {report.human(teacher.params)}.\n\n"
        f"Score {network.score:.4f}, {drop:+.2f} points from the teacher's {teacher.score:.4f}."
    )
    if network.name == recommended.name:
        words += f"\n\n**Recommended**: {recommended.words}"
    return words


KEY = "mlflow.sharedViewState."
JOBS = ["params.`task.name`", "params.`model.name`", "params.`trainer.seed`", "eval/score"]
JOBS += ["recommended/width", "recommended/score", "recommended/points", "recommended/speedup", "params"]
CREATED_MS = 1_767_225_600_000  # the same for all, so that two jobs write the same view


def views(results: Results) -> tuple[str, dict[str, str]]:
    """Two views as tags of the experiment, and the id of the first.

    The first has a row per width and charts of score against size and latency, the second a row per job.
    """
    assert results.teacher is not None
    latencies = [(f"ms per batch, {one.basis}", one.name(results.unnamed_engine)) for one in results.headlines]
    columns = ["eval/score", "score/points", "cost/speedup", "width", "depth", "heads", "neurons", "params", "macs"]
    columns += [f"{what}/{name}" for _, name in latencies for what in ("latency_ms", "speedup")]
    costs = [("parameters", "params"), *((words, f"latency_ms/{name}") for words, name in latencies)]
    widths = {
        **_rows("width", columns),
        "hideEmptyCharts": True,
        "isAccordionReordered": True,  # these sections first, not by the alphabet
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": [_section("score-cost", "Score against cost"), _section("curves", "While distilling")],
        "compareRunCharts": [
            *(_scatter(f"score against {words}", metric) for words, metric in costs),
            _line(f"dev/{next(iter(results.teacher.metrics))}"),
        ],
    }
    suffix = f" ({latencies[0][1]})" if latencies else ""
    first = _tag(f"Widths: score against cost{suffix}", widths)
    second = _tag("Jobs: teacher and recommended width", _rows("job", JOBS))
    return first[0].removeprefix(KEY), dict([first, second])


def _rows(kind: str, columns: list[str]) -> dict[str, Any]:
    """A table of the runs of one kind, best score first."""
    names = [name if name.startswith("params.") else f"metrics.`{name}`" for name in columns]
    return {
        "searchFilter": f"tags.kind = '{kind}' AND attributes.status != 'FAILED'",
        "orderByKey": "metrics.`eval/score`",  # any order but by date, which would show jobs, folded
        "orderByAsc": False,
        "selectedColumns": names,
        "columnOrder": names,
        "runsHiddenMode": "SHOW_ALL",
    }


def _tag(name: str, state: dict[str, Any]) -> tuple[str, str]:
    text = json.dumps(state)
    content = {"name": name, "createdAt": CREATED_MS, "updatedAt": CREATED_MS, "state": text}
    return KEY + hashlib.sha256(text.encode()).hexdigest()[:16], json.dumps(content)


def link(words: str, key: str, charts: bool) -> str:
    """Markdown that leads to a view of this experiment, as a table or as charts."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"[{words}](#/experiments/{EXPERIMENT_ID}/runs?{MODE}{mode}&viewStateShareKey={key})"


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {"uuid": uuid, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}


def _card(uuid: str, section: str, name: str) -> dict[str, Any]:
    return {"uuid": uuid, "metricSectionId": section, "displayName": name, "deleted": False, "isGenerated": False}


def _scatter(name: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": metric, "type": "METRIC"}, "yaxis": {"key": "eval/score", "type": "METRIC"}}
    return {**_card(metric, "score-cost", name), "type": "SCATTER", "runsCountToCompare": 100, **axes}


def _line(metric: str) -> dict[str, Any]:
    keys: dict[str, Any] = {"metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step"}
    keys |= {"lineSmoothness": 0, "useGlobalLineSmoothing": False}
    return {**_card(metric, "curves", metric), "type": "LINE", "runsCountToCompare": 100, **keys}

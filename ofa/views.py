"""Saved views of an experiment's page in MLflow (its Views button): the columns and charts that matter.

MLflow keeps a view as a tag of the experiment. A version that knows no views shows none, and loses
nothing else.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ofa.costs import headline
from ofa.sender import HERE

KEY = "mlflow.sharedViewState."
JOBS = ["params.`task.name`", "params.`model.name`", "params.`trainer.seed`", "eval/score"]
JOBS += ["recommended/width", "recommended/score", "params"]
CREATED_MS = 1_767_225_600_000  # the same for all, so that two jobs write the same view


def views(results: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Two views as tags of the experiment, and the id of the first.

    The first has a row per width and charts of score against size and latency, the second a row per job.
    """
    kinds = [(kind, headline(results, kind)) for kind in ("measured", "estimated")]
    latencies = [(f"ms per batch, {kind}", name) for kind, name in kinds if name]
    columns = ["eval/score", "width", "heads", "neurons", "params", "macs"]
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
            _line(f"dev/{next(iter(results['teacher']['metrics']))}"),
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
        "searchFilter": f"tags.kind = '{kind}'",
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
    return f"[{words}](#/experiments/{HERE}/runs?workflowType=machine_learning{mode}&viewStateShareKey={key})"


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

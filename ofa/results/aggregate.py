"""The numbers of a sweep: results of many jobs -> mean and standard deviation per task and width.

Jobs that differ only in ``trainer.seed`` are repeats of one row. What else differs, besides the task, is
a row's *variant* (``trainer.finetune.learning_rate=5e-5``), so that nothing is averaged over different settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from ofa.results.means import to_take
from ofa.results.published import WIDTH
from ofa.results.record import Results, Scored
from ofa.results.report import listed, markdown, score_on_test_rows
from ofa.supernet.space import name_of

AVERAGE = (
    "A score is the metric of the task, the first of task.metrics, on its first dev split (of MNLI the matched one). "
    "± is the standard deviation over seeds (n - 1). "
    "The average is the mean of the tasks' means, its ± that of the seeds' own averages over all tasks."
)
REPEATS = ("task", "trainer.seed")  # differ between jobs without making another variant


def variants(jobs: Sequence[tuple[Sequence[str], str]], shared: Collection[str]) -> list[str]:
    """For every job's overrides, those that set it apart from the others, besides task and seed.

    Args:
        jobs: overrides, and the name of the job's task. Two files of ``conf/task/`` may give theirs the same name;
            their jobs are no repeats, and keep ``task=...`` in what sets them apart.
        shared: the overrides that all jobs of the sweep have, those without a result included.
    """
    chosen: dict[str, set[str]] = {}
    for overrides, task in jobs:
        chosen.setdefault(task, set()).add(_chosen_task(overrides))
    own = [_chosen_task(overrides) if len(chosen[task]) > 1 else "" for overrides, task in jobs]
    return [f"{choice} {variant(job, shared)}".strip() for choice, (job, _) in zip(own, jobs, strict=True)]


def _chosen_task(overrides: Sequence[str]) -> str:
    return next((text for text in overrides if text.startswith("task=")), "")


def variant(overrides: Sequence[str], shared: Collection[str]) -> str:
    """Those of a job's ``overrides`` that the others do not share, besides task and seed."""
    own = (text for text in overrides if text not in shared)
    return " ".join(text for text in own if text.partition("=")[0].lstrip("+~") not in REPEATS)


def title(task: str, variant: str) -> str:
    """What a row is called."""
    return f"{task} {_label(variant)}".strip()


def _label(variant: str) -> str:
    """``variant`` as tables show it: long numbers, as searches try them, with four digits."""
    return re.sub(r"\d+\.\d{4,}(?:e[-+]?\d+)?", lambda found: f"{float(found[0]):.4g}", variant)


def summarise(jobs: Sequence[tuple[str, Results]]) -> dict[str, Any]:
    """Rows and averages of ``(variant, results)`` pairs, of jobs that scored networks.

    Returns:
        ``rows``: ``task``, ``variant``, ``label``, ``seeds``, ``metric``, ``scores``, ``points``, ``test``,
        ``metrics``, ``published``, ``take`` (see :func:`ofa.results.means.to_take`);
        ``averages``: ``variant``, ``label``, ``tasks``, ``scores`` and ``points``; ``networks``: name -> ``width``,
        ``depth`` and ``label``. ``scores`` maps ``teacher`` and the name of every network to ``{"mean", "std"}``;
        ``points`` the name of every network to the same of its distance from its own seed's teacher, 1 point = 0.01.
        ``test`` has the scores on test rows, if there are any. ``std`` is None where there is one seed.
    """
    groups: dict[tuple[str, str], list[Results]] = {}
    for variant, results in jobs:
        group = groups.setdefault((variant, results.task), [])
        if not results.run or results.run not in [job.run for job in group]:  # a job given twice is no second seed
            group.append(results)
    rows = [_row(task, variant, found) for (variant, task), found in groups.items()]
    averages = []
    for variant in dict.fromkeys(variant for variant, _ in groups):
        tasks = {task: found for (of, task), found in groups.items() if of == variant}
        if len(tasks) > 1:
            of_tasks = {"scores": _average(tasks, _scores), "points": _average(tasks, _points)}
            averages.append({"variant": variant, "label": _label(variant), "tasks": list(tasks), **of_tasks})
    known = {network.name: network for _, results in jobs for network in results.networks}
    shares = {name: {"width": n.width, "depth": n.depth, "label": n.label} for name, n in known.items()}
    return {"rows": rows, "averages": averages, "networks": shares}


def scored(results: Results) -> dict[str, Scored]:
    """The teacher and the networks of one job, by name."""
    assert results.teacher is not None
    return {"teacher": results.teacher} | {network.name: network for network in results.networks}


def _scores(results: Results) -> dict[str, float]:
    return {name: found.score for name, found in scored(results).items()}


def _points(results: Results) -> dict[str, float]:
    """What each network of one job is from the teacher of that job: of seeds, their differences are paired."""
    assert results.teacher is not None
    return {network.name: 100 * (network.score - results.teacher.score) for network in results.networks}


def spread(values: Iterable[float]) -> dict[str, float | None]:
    found = list(values)
    return {"mean": mean(found), "std": stdev(found) if len(found) > 1 else None}


def _row(task: str, variant: str, jobs: list[Results]) -> dict[str, Any]:
    found = [scored(results) for results in jobs]
    names = list(dict.fromkeys(name for job in found for name in job))
    metrics = list(found[0]["teacher"].metrics)
    points = [_points(results) for results in jobs]
    by_metric = {
        metric: {name: spread(job[name].metrics[metric] for job in found if name in job) for name in names}
        for metric in metrics
    }
    return {
        "task": task,
        "variant": variant,
        "label": _label(variant),
        "seeds": [results.seed for results in jobs],
        "metric": metrics[0],
        "scores": by_metric[metrics[0]],
        "points": {name: spread(job[name] for job in points if name in job) for name in names if name != "teacher"},
        "test": _on_test_rows(found),
        "metrics": by_metric,
        "published": jobs[0].published,
        "take": to_take(jobs),
    }


def _on_test_rows(jobs: Sequence[dict[str, Scored]]) -> dict[str, dict[str, float | None]]:
    tested: dict[str, list[float]] = {}
    for job in jobs:
        for name, found in job.items():
            if (score := score_on_test_rows(found)) is not None:
                tested.setdefault(name, []).append(score)
    return {name: spread(scores) for name, scores in tested.items()}


def _average(
    tasks: dict[str, list[Results]], of_job: Callable[[Results], dict[str, float]]
) -> dict[str, dict[str, float | None]]:
    """The mean over tasks of what ``of_job`` says of a network; its deviation over the seeds that every task has."""
    seeds = set.intersection(*({results.seed for results in jobs} for jobs in tasks.values()))
    by_task = [[(results.seed, of_job(results)) for results in jobs] for jobs in tasks.values()]
    shared = [name for name in by_task[0][0][1] if all(name in found for jobs in by_task for _, found in jobs)]
    averages = {}
    for name in shared:
        means = [mean(found[name] for _, found in jobs) for jobs in by_task]
        of_seeds = [
            mean(mean(found[name] for seed, found in jobs if seed == wanted) for jobs in by_task)
            for wanted in sorted(seeds)
        ]
        averages[name] = {"mean": mean(means), "std": stdev(of_seeds) if len(of_seeds) > 1 else None}
    return averages


def cell(score: dict[str, float | None] | None, spread: bool = True) -> str:
    if score is None:
        return ""
    return f"{score['mean']:.4f}" + (f" ± {score['std']:.4f}" if spread and score["std"] is not None else "")


def table(summary: dict[str, Any], spread: bool = True) -> list[list[str]]:
    """Header and rows: a task (and variant) per row, a network per column; the one to take has a star."""
    rows, averages = summary["rows"], summary["averages"]
    shares = summary["networks"]
    names = sorted(shares, key=lambda name: (shares[name]["depth"], shares[name]["width"]), reverse=True)
    varied = any(row["variant"] for row in rows)
    header = [
        "task",
        *(["variant"] if varied else []),
        "metric",
        "seeds",
        "teacher",
        *(shares[name]["label"] for name in names),
    ]
    found = [header]
    for row in rows:
        about = [row["metric"], str(len(row["seeds"]))]
        cells = [
            "★ " * (name == row["take"]["name"]) + cell(row["scores"].get(name), spread) for name in ("teacher", *names)
        ]
        found.append([row["task"], *([row["label"]] if varied else []), *about, *cells])
    for average in averages:
        about = [f"{len(average['tasks'])} tasks", ""]
        cells = [cell(average["scores"].get(name), spread) for name in ("teacher", *names)]
        found.append(["average", *([average["label"]] if varied else []), *about, *cells])
    return found


def tested_table(summary: dict[str, Any]) -> list[list[str]]:
    """:func:`table` of the scores on test rows, of the tasks that have some; only the header if none has."""
    rows = [{**row, "scores": row["test"]} for row in summary["rows"] if row["test"]]
    return table({**summary, "rows": rows, "averages": []})


def published_table(summary: dict[str, Any]) -> list[list[str]]:
    """Header and rows of the published recipe's figures beside this sweep's; only the header if none apply."""
    width = name_of(WIDTH)
    found = [["task", "metric", "BERT, published", "BERT, here", "width 2/3, published", "width 2/3, here"]]
    for row in summary["rows"]:
        for metric, (bert, narrow) in row["published"].items():
            here = row["metrics"].get(metric, {})
            cells = [f"{bert:.5f}", cell(here.get("teacher")), f"{narrow:.5f}", cell(here.get(width))]
            found.append([row["task"], metric, *cells])
    return found


def takes(summary: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What to take for each task (and variant): what it is called, and its ``take``."""
    return [(title(row["task"], row["variant"]), row["take"]) for row in summary["rows"]]


def merged(jobs: Iterable[tuple[str, Results]]) -> list[str]:
    """The alarms of ``(variant, results)`` pairs: those that are equal in one line, with the jobs that they are of."""
    jobs_of: dict[str, dict[str, dict[int, None]]] = {}  # seeds once, in their order
    for variant, results in jobs:
        for words in results.alarms:
            jobs_of.setdefault(words, {}).setdefault(title(results.task, variant), {})[results.seed] = None
    return [
        "; ".join(f"{row}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}" for row, seeds in of.items())
        + f": {words}"
        for words, of in jobs_of.items()
    ]


def text(name: str, summary: dict[str, Any], problems: list[str], remarks: list[str]) -> str:
    """The sweep's report as Markdown."""
    parts = [f"# Sweep {name}"]
    if summary["rows"]:
        lines = [f"**{what}**: {take['words']}{_place(take)}" for what, take in takes(summary)]
        parts += listed("What to take, by the means over seeds", lines)
        parts += [markdown(table(summary)), AVERAGE, "![scores by width](figure.png)"]
    if any(row["test"] for row in summary["rows"]):
        parts += ["The same on the test rows, which decide nothing:", markdown(tested_table(summary))]
    if any(row["published"] for row in summary["rows"]):
        parts += ["The published figures of the same recipe:", markdown(published_table(summary))]
    parts += [*listed("Jobs without a result", problems), *listed("Worth knowing", remarks)]
    return "\n\n".join(parts) + "\n"


def _place(take: dict[str, Any]) -> str:
    """Where the best seed's network is, from the sweep's folder."""
    return f" The best seed's: `../../runs/{take['folder']}`." if take["folder"] else ""

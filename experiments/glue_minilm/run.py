"""Eight GLUE tasks on a pretrained BERT of 6 layers x 384: what each width loses against its teacher.

    python experiments/glue_minilm/run.py run --data-dir GLUE --model FOLDER [--tasks cola] [--set key=value]
    python experiments/glue_minilm/run.py collect --output-dir DIR

``run`` starts the product once for every task and seed (a job that was stopped goes on, a finished one takes a second)
and then collects. Of each finished job one small file stays in ``runs/``, so that the study can be made in several
sittings and on several machines; ``results.json``, its claims and the figure are made anew of all of them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from glue_minilm.claims import TWO_THIRDS
from glue_minilm.jobs import SEEDS, TASKS, finished, job, keep, kept

from ofa.system import machine

RUNS = HERE / "runs"
NETWORKS = ["w1", "w0.8333", "w0.6667", "w0.5"]
KEPT = ("score", "last", "undistilled", "lost", "params", "macs")


def run(options: argparse.Namespace) -> None:
    """Run the jobs one after the other; one that fails stops the study with its own message."""
    for seed in options.seeds:
        for task in options.tasks:
            settings = job(task, seed, options.data_dir, options.model, options.output_dir, TASKS)
            subprocess.run([sys.executable, "main.py", *settings, *options.set], cwd=REPO, check=True)
            collect(options)


def collect(options: argparse.Namespace) -> None:
    """Keep a small file of every finished job under ``--output-dir``, and make results and figure of all kept ones."""
    for found in finished(options.output_dir, NETWORKS, TASKS):
        keep(RUNS, _record(found))
    records = kept(RUNS)
    table = {task: of for task in TASKS if (of := _mean_of([one for one in records if one["task"] == task]))}
    show(write(HERE, {"tasks": table, "settings": TASKS}))
    print("\n".join(rows(table)))
    draw(table, HERE / "figure.png")


def _record(found: dict[str, Any]) -> dict[str, Any]:
    """What of a job's results.json the study needs."""
    about = {key: found[key] for key in ("task", "model", "seed", "dev_rows", "learned")}
    networks = {one["name"]: {key: one[key] for key in KEPT if key in one} for one in found["widths"]}
    teacher = {key: found["teacher"][key] for key in ("score", "metrics", "params", "macs")}
    return {**about, "teacher": teacher, "networks": networks, "machine": machine.machine()}


def _mean_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of a task: the teacher's score, and of each network the points it lost."""
    if not records:
        return {}

    def lost(name: str, key: str) -> float:
        return statistics.mean(100 * (one["teacher"]["score"] - one["networks"][name][key]) for one in records)

    return {
        "seeds": [one["seed"] for one in records],
        "dev_rows": records[0]["dev_rows"],
        "teacher": statistics.mean(one["teacher"]["score"] for one in records),
        "teachers": [one["teacher"]["score"] for one in records],
        "lost": {
            name: {key: lost(name, key) for key in ("score", "last", "undistilled")} for name in records[0]["networks"]
        },
    }


def rows(table: dict[str, Any]) -> list[str]:
    """The table of the README: score of the teacher, and points lost by each width at the last step."""
    names = list(next(iter(table.values()))["lost"]) if table else []
    lines = [f"| task | seeds | teacher | {' | '.join(names)} | {TWO_THIRDS} undistilled |"]
    lines.append(f"| :--- | ---: | ---: |{' ---: |' * (len(names) + 1)}")
    for task, of in table.items():
        cells = [f"{of['lost'][name]['last']:+.2f}" for name in names]
        cells.append(f"{of['lost'][TWO_THIRDS]['undistilled']:+.2f}")
        lines.append(f"| {task} | {len(of['seeds'])} | {of['teacher']:.4f} | {' | '.join(cells)} |")
    return lines


def draw(table: dict[str, Any], path: Path) -> None:
    """Write a PNG: a row per task, a mark per width at the points it is from its teacher, at the last step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.2 + 0.45 * len(table)), layout="constrained")
    panel = figure.subplots()
    tasks = list(reversed(table))
    for name in next(iter(table.values()))["lost"] if table else ():
        points = [-table[task]["lost"][name]["last"] for task in tasks]
        panel.plot(points, range(len(tasks)), "o", label=f"width {float(name[1:]):.3g}")
    panel.axvline(0, color="0.4", linestyle="--", linewidth=1)
    panel.axvspan(-0.3, 0.3, color="tab:green", alpha=0.08)
    panel.set_yticks(range(len(tasks)), [f"{task} ({len(table[task]['seeds'])})" for task in tasks])
    panel.set_xlabel("points from the teacher, last step, mean of seeds (their number in brackets)")
    panel.margins(x=0.1, y=0.2)
    panel.grid(alpha=0.25)
    panel.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "collect"))
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="further settings of every job")
    options = parser.parse_args()
    if options.part == "run" and not (options.data_dir and options.model):
        parser.error("run needs --data-dir and --model")
    {"run": run, "collect": collect}[options.part](options)


if __name__ == "__main__":
    main()

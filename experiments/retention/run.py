"""What each ingredient of the method is worth: the same teacher, steps and rows, without one of them.

    python experiments/retention/run.py run --data-dir GLUE --model FOLDER [--tasks cola] [--seeds 42] [--arms alone]
    python experiments/retention/run.py paddleslim --data-dir GLUE --vocab FILE --teacher cola-42=FOLDER ...
    python experiments/retention/run.py collect --output-dir DIR

    ours     the jobs of ``experiments/glue_minilm/jobs.py``: ordered by importance, distilled, shared by four widths
    cut      the same before any distillation
    random   heads and neurons in random order, else as ours
    alone    one width distilled by itself: the ceiling for sharing
    labels   one width by itself, finetuned on the true labels without a teacher
    paddleslim   PaddleSlim 2.6.0's own loop, from the same teacher, as ``experiments/benchmark_distill`` drives it

``run`` starts the product once for every arm, task and seed, in the store of ``experiments/glue_minilm`` if
``--output-dir`` is its: teacher and order are then made once. Scores are those of the last step, by which nothing was
chosen. Of each finished job a small file stays in ``runs/``; ``results.json`` and the figure are made anew of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent), str(HERE.parent / "benchmark_distill")]

from claiming import write
from glue_minilm.jobs import SEEDS, job, kept
from retention.claims import TASKS

RUNS = HERE / "runs"
WIDTHS = {"w0.6667": 2 / 3, "w0.5": 0.5}
PREFIX = "retention-"  # of the names of this study's jobs, beside others in the same folder
LABELS_ALONE = ["ofa.hidden_weight=0", "ofa.logit_weight=0", "ofa.hard_weight=1"]
SINGLE = {name: [f"ofa.widths=[{width:.6g}]"] for name, width in WIDTHS.items()}
# Arm -> the jobs it takes: what each sets besides the study's own settings.
ARMS: dict[str, dict[str, list[str]]] = {
    "ours": {"all": []},
    "random": {"all": ["ofa.importance.method=random"]},
    "alone": SINGLE,
    "labels": {name: [*single, *LABELS_ALONE] for name, single in SINGLE.items()},
}
SHOWN = ("cut", "random", "labels", "paddleslim", "ours", "alone")
# What an ingredient is worth: points that the second arm keeps and the first loses.
WORTH = {
    "distillation, against the cut alone": ("cut", "ours"),
    "the order by importance, against a random one": ("random", "ours"),
    "the teacher, against labels alone": ("labels", "alone"),
    "one width by itself, against shared weights": ("ours", "alone"),
    "this product, against PaddleSlim's loop": ("paddleslim", "ours"),
}


def run(options: argparse.Namespace) -> None:
    """Run the jobs one after the other; a finished one takes a second."""
    for seed in options.seeds:
        for task in options.tasks:
            for arm in options.arms:
                for network, more in ARMS[arm].items():
                    settings = job(task, seed, options.data_dir, options.model, options.output_dir)
                    settings += [*more, f"model.name={PREFIX}{arm}-{network}", "tracking=none", "stages=[evaluate]"]
                    settings += options.set
                    subprocess.run([sys.executable, "main.py", *settings], cwd=REPO, check=True)
                    collect(options)


def collect(options: argparse.Namespace) -> None:
    """Keep the scores of every finished job under ``--output-dir``, and make results and figure of all kept ones."""
    for path in sorted(Path(options.output_dir).glob("runs/*/results.json")):
        found = json.loads(path.read_text())
        if "widths" in found and found["model"].startswith(PREFIX):
            arm, _, _ = found["model"].removeprefix(PREFIX).rpartition("-")
            scores = {one["name"]: one["last"] for one in found["widths"] if one["name"] in WIDTHS}
            keep(found["task"], found["seed"], found["teacher"]["score"], {arm: scores})
            if arm == "ours":
                cut = {one["name"]: one["undistilled"] for one in found["widths"] if one["name"] in WIDTHS}
                keep(found["task"], found["seed"], found["teacher"]["score"], {"cut": cut})
    summarise()


def keep(task: str, seed: int, teacher: float, arms: dict[str, dict[str, float]]) -> None:
    """Add scores by arm and network to the file of one task and seed."""
    RUNS.mkdir(exist_ok=True)
    path = RUNS / f"{task}-s{seed}.json"
    record = json.loads(path.read_text()) if path.exists() else {"task": task, "seed": seed, "arms": {}}
    record["teacher"] = teacher
    for arm, scores in arms.items():
        record["arms"].setdefault(arm, {}).update(scores)
    path.write_text(json.dumps(record, indent=1) + "\n")


def paddleslim(options: argparse.Namespace) -> None:
    """PaddleSlim's loop from each ``TASK-SEED=FOLDER``, for as many steps as ours made, at the same rate."""
    from harness import PADDLESLIM_TUNED, prepare, task_of
    from harness import run as run_loop

    for pair in options.teacher:
        name, folder = pair.split("=", 1)
        task, seed = name.rsplit("-", 1)
        with tempfile.TemporaryDirectory() as place:
            prepare(task, options.data_dir, options.vocab, 128, Path(place))
            rates = ("--learning-rate", 1e-4, "--metric", task_of(task).metrics[0], "--threads", options.threads)
            steps = ("--steps", options.steps, "--seed", seed, "--widths", "1", *map(str, WIDTHS.values()))
            scores = run_loop(PADDLESLIM_TUNED, folder, Path(place), *rates, *steps)["score"]
        by_name = {name: scores[str(width)] for name, width in WIDTHS.items()}
        record = json.loads((RUNS / f"{task}-s{seed}.json").read_text())
        keep(task, int(seed), record["teacher"], {"paddleslim": by_name})
        summarise()


def lost(records: list[dict[str, Any]], arm: str, network: str) -> float | None:
    """Points lost against the teacher by ``network`` in ``arm``, mean over seeds; None if it was not run."""
    points = [
        100 * (one["teacher"] - one["arms"][arm][network]) for one in records if network in one["arms"].get(arm, {})
    ]
    return round(statistics.mean(points), 3) if points else None


def worth(records: list[dict[str, Any]], without: str, having: str, network: str) -> tuple[float, int] | None:
    """Points that ``having`` keeps and ``without`` loses, and of how many jobs: those that ran both."""
    both = [one["arms"] for one in records if all(network in one["arms"].get(arm, {}) for arm in (without, having))]
    gained = [100 * (arms[having][network] - arms[without][network]) for arms in both]
    return (round(statistics.mean(gained), 3), len(gained)) if gained else None


def summarise() -> None:
    """Write results.json and the figure, and print the tables of the README."""
    records = kept(RUNS)
    tasks = [task for task in TASKS if any(one["task"] == task for one in records)]
    table = {
        task: {
            arm: {network: lost([one for one in records if one["task"] == task], arm, network) for network in WIDTHS}
            for arm in SHOWN
        }
        for task in tasks
    }
    found = {name: {network: worth(records, *arms, network) for network in WIDTHS} for name, arms in WORTH.items()}
    ran = {arm: sum(set(WIDTHS) <= set(one["arms"].get(arm, {})) for one in records) for arm in SHOWN}
    write(HERE, {"jobs": ran, "lost": table, "worth": found})
    lines = ["| task | width | " + " | ".join(SHOWN) + " |", "| :--- | :--- |" + " ---: |" * len(SHOWN)]
    for task, network in ((task, network) for task in tasks for network in WIDTHS):
        cells = [table[task][arm][network] for arm in SHOWN]
        shown = ["" if cell is None else f"{cell:+.2f}" for cell in cells]
        lines.append(f"| {task} | {network[1:]} | {' | '.join(shown)} |")
    print("\n".join(lines))
    for name, of in found.items():
        print(
            f"{name}: " + ", ".join(f"{network} {got[0]:+.2f} (of {got[1]} jobs)" for network, got in of.items() if got)
        )
    draw(table)


def draw(table: dict[str, Any]) -> None:
    """Write a PNG: a panel per task, a row per arm, a mark per width at the points it is from its teacher."""
    from matplotlib.figure import Figure

    if not table:
        return
    figure = Figure(figsize=(2 + 2.6 * len(table), 3), layout="constrained")
    panels = figure.subplots(1, len(table), sharey=True, squeeze=False)[0]
    arms = [
        arm for arm in reversed(SHOWN) if any(of[arm][name] is not None for of in table.values() for name in WIDTHS)
    ]
    for panel, (task, of) in zip(panels, table.items(), strict=True):
        for network in WIDTHS:
            ran = [(-of[arm][network], row) for row, arm in enumerate(arms) if of[arm][network] is not None]
            panel.plot(*zip(*ran, strict=True), "o", label=f"width {float(network[1:]):.3g}")
        panel.axvline(0, color="0.4", linestyle="--", linewidth=1)
        panel.set_yticks(range(len(arms)), arms)
        panel.set(title=task, xlabel="points from the teacher")
        panel.margins(x=0.15, y=0.15)
        panel.grid(alpha=0.25)
    panels[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(HERE / "figure.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "paddleslim", "collect"))
    parser.add_argument("--data-dir")
    parser.add_argument("--model", help="run: the pretrained BERT's folder")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=tuple(ARMS))
    parser.add_argument("--vocab", help="paddleslim: the vocab.txt of the teachers")
    parser.add_argument("--teacher", nargs="+", metavar="TASK-SEED=FOLDER", help="paddleslim: finetuned teachers")
    parser.add_argument("--steps", type=int, default=804, help="paddleslim: as many as ours made; 804 is CoLA's")
    parser.add_argument("--threads", type=int, default=1, help="paddleslim: of its process")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="run: further settings of every job")
    options = parser.parse_args()
    {"run": run, "paddleslim": paddleslim, "collect": collect}[options.part](options)


if __name__ == "__main__":
    main()

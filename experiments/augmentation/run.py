"""What copies with words replaced are worth to distillation, on three small tasks: the same rows with and without them.

    python experiments/augmentation/run.py run --data-dir GLUE --model FOLDER [--tasks cola] [--seeds 42]
    python experiments/augmentation/run.py collect --output-dir DIR

The arms learn from the same finetuned teacher:

    plain       the study of ``experiments/glue_minilm``: three epochs of the rows
    longer      the rows alone, for as many steps as the next arm
    augmented   the rows and four copies of each, for three epochs' steps of all of them

``augmented`` against ``longer`` is at equal steps and says what the copies are worth; against ``plain``, what they
and five times the steps are worth together, which is how TinyBERT and DynaBERT report it. Scores are those of the last
step, by which nothing was chosen. With the ``--output-dir`` of ``experiments/glue_minilm`` teachers come from its
store. Of each finished job a small file stays in ``runs/``; ``results.json`` is made anew of all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from augmentation.claims import EQUAL_STEPS
from claiming import show, write
from glue_minilm.jobs import SEEDS, job, kept

RUNS = HERE / "runs"
ROWS = {"cola": 8551, "mrpc": 3668, "rte": 2490}
COPIES, EPOCHS, BATCH = 4, 3, 32
WIDTHS = ("w0.6667", "w0.5")
PREFIX = "augmentation-"  # of the names of this study's jobs, beside others in the same folder
ARMS = ("plain", "longer", "augmented")
# What is compared: points that the second arm scores above the first.
WORTH = {EQUAL_STEPS: ("longer", "augmented"), "copies and their steps": ("plain", "augmented")}


def settings_of(arm: str, task: str) -> list[str]:
    """What an arm sets besides the study's own settings."""
    if arm == "plain":
        return []
    steps = (1 + COPIES) * EPOCHS * -(-ROWS[task] // BATCH)
    # Dev rows choose nothing here, so they are scored three times, as in the plain arm.
    same = [f"trainer.distill.max_steps={steps}", f"trainer.distill.eval_steps={steps // EPOCHS}"]
    return same + [f"ofa.augment.copies={COPIES}"] * (arm == "augmented")


def run(options: argparse.Namespace) -> None:
    """Run the jobs one after the other; a finished one takes a second."""
    for seed in options.seeds:
        for task in options.tasks:
            for arm in options.arms:
                settings = job(task, seed, options.data_dir, options.model, options.output_dir)
                settings += [f"model.name={PREFIX}{arm}", "tracking=none", "stages=[evaluate]"]
                settings += [*settings_of(arm, task), *options.set]
                subprocess.run([sys.executable, "main.py", *settings], cwd=REPO, check=True)
                collect(options)


def collect(options: argparse.Namespace) -> None:
    """Keep a small file of every finished job under ``--output-dir``, and make the results of all kept ones."""
    RUNS.mkdir(exist_ok=True)
    for path in sorted(Path(options.output_dir).glob("runs/*/results.json")):
        found = json.loads(path.read_text())
        if "widths" in found and found["model"].startswith(PREFIX):
            record = {"task": found["task"], "seed": found["seed"], "arm": found["model"].removeprefix(PREFIX)}
            record |= {"rows": {split: counts["used"] for split, counts in found["rows"].items()}}
            record |= {"teacher": found["teacher"]["score"]}
            record |= {"scores": {one["name"]: one["last"] for one in found["widths"] if one["name"] in WIDTHS}}
            name = f"{record['task']}-s{record['seed']}-{record['arm']}.json"
            (RUNS / name).write_text(json.dumps(record, indent=1) + "\n")
    summarise()


def gained(records: list[dict[str, Any]], task: str, without: str, having: str, width: str) -> list[float]:
    """Points that ``having`` scores above ``without``, of each seed that has both."""
    by_arm = {(one["arm"], one["seed"]): one["scores"][width] for one in records if one["task"] == task}
    seeds = sorted({seed for _, seed in by_arm})
    both = [seed for seed in seeds if all((arm, seed) in by_arm for arm in (without, having))]
    return [round(100 * (by_arm[having, seed] - by_arm[without, seed]), 3) for seed in both]


def summarise() -> None:
    """Write ``results.json``, and print its claims."""
    records = kept(RUNS)
    worth: dict[str, Any] = {}
    for name, (without, having) in WORTH.items():
        for task in ROWS:
            for width in WIDTHS:
                points = gained(records, task, without, having, width)
                worth.setdefault(name, {}).setdefault(task, {})[width] = {
                    "points": points,
                    "mean": statistics.mean(points) if points else None,
                    "deviation": statistics.stdev(points) if len(points) > 1 else None,
                }
    show(write(HERE, {"worth": worth, "copies": COPIES, "jobs": records}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "collect"):
        command = commands.add_parser(name)
        command.add_argument("--output-dir", default=str(REPO / "outputs" / "glue_minilm"))
    one = commands.choices["run"]
    one.add_argument("--data-dir", required=True, help="the folder with GLUE's tasks")
    one.add_argument("--model", required=True, help="the folder of a pretrained BERT of 6 layers x 384")
    one.add_argument("--tasks", nargs="+", default=list(ROWS), choices=list(ROWS))
    one.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    one.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    one.add_argument("--set", nargs="*", default=[], help="more settings of every job, for a trial")
    options = parser.parse_args()
    {"run": run, "collect": collect}[options.command](options)


if __name__ == "__main__":
    main()

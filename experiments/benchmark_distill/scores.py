"""Dev score of every width after equal steps: this project's loop against PaddleSlim's, over tasks and seeds.

    python experiments/benchmark_distill/scores.py --data-dir /data/glue --vocab /data/vocab.txt \
        --teachers sst2=/data/hf-bert-4x128-sst2 qqp=... qnli=... [--ablation buckets]

Same rows (importance reads the first training rows), teacher, steps, batch size, learning rate and decay.
``--ablation`` scores the loop without some
of its measures instead. Writes the sections ``scores`` (loop, task, width: one score per seed), ``score``
(loop, width: mean over tasks and seeds) and ``ablation_scores`` of results.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from harness import HERE, OFA, PADDLESLIM_TUNED, prepare, record, recorded, run
from ofa_loop import MEASURES

LEARNING_RATE = 2e-4  # of the preset for small models, for all loops
LOOPS = {
    "ofa": OFA,
    "ofa_and_no_dropout": [*OFA, "--dropout", "0"],
    "paddleslim_tuned": PADDLESLIM_TUNED,
    # The demo's choice, with which it learns from the dev labels: see paddleslim_loop.py
    "paddleslim_importance_on_dev": [*PADDLESLIM_TUNED, "--importance", "dev"],
}


def scored(command: list[str], teacher: str, folder: Path, args: argparse.Namespace) -> dict[str, list[float]]:
    """Width -> its dev score with each seed."""
    options = ("--steps", args.steps, "--learning-rate", LEARNING_RATE, "--threads", args.threads)
    found = [run(command, teacher, folder, *options, "--seed", seed)["score"] for seed in args.seeds]
    return {width: [scores[width] for scores in found] for width in found[0]}


def show(name: str, scores: dict[str, list[float]]) -> None:
    words = (f"{width}: {statistics.mean(s):.4f} ± {statistics.pstdev(s):.4f}" for width, s in scores.items())
    print(f"{name:34} {'   '.join(words)}", flush=True)


def keep(section: str, loop: str, task: str, found: dict[str, list[float]]) -> None:
    """Put ``found`` into results.json, beside what other calls found."""
    loops = recorded().get(section, {})
    loops.setdefault(loop, {})[task] = found
    record(**{section: loops})
    if section == "scores":
        means = {
            name: {
                width: statistics.mean(score for of_task in tasks.values() for score in of_task[width])
                for width in found
            }
            for name, tasks in loops.items()
        }
        record(score=means)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--teachers", required=True, nargs="+", metavar="TASK=FOLDER")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS))
    parser.add_argument("--torch-python", help="an interpreter with torch, to score the PyTorch loop too")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--max-seq-length", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2, help="of each process; speed does not matter here")
    parser.add_argument("--ablation", nargs="+", choices=MEASURES, help="score our loop without each of these instead")
    args = parser.parse_args()
    loops = {name: LOOPS[name] for name in args.loops}
    if args.torch_python:
        loops["pytorch"] = [args.torch_python, str(HERE / "pytorch_loop.py")]
    if args.ablation:
        loops = {f"ofa_without_{measure}": [*OFA, "--without", measure] for measure in args.ablation}
    section = "ablation_scores" if args.ablation else "scores"
    for pair in args.teachers:
        task, teacher = pair.split("=", 1)
        with tempfile.TemporaryDirectory() as name:
            prepare(task, args.data_dir, args.vocab, args.max_seq_length, Path(name))
            for loop, command in loops.items():
                found = scored(command, teacher, Path(name), args)
                show(f"{task} {loop}", found)
                keep(section, loop, task, found)


if __name__ == "__main__":
    main()

"""Compare distillation loops on this machine, in turns in one sitting.

    python experiments/benchmark_distill/run.py --data-dir /data/glue --vocab /data/vocab.txt \
        --teacher /data/hf-bert-4x128-sst2 [--torch-python /other/venv/bin/python]

Prepares the rows once, then starts every loop in a process of its own, round after round, and writes
the medians to ``results.json`` beside this file. Rounds in which another program took the cores are
kept, and flagged by ``cores_used``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from common import Rows, write_rows

from ofa import runtime
from ofa.config import TaskConfig
from ofa.data import load_splits
from ofa.encode import encode

SST2 = TaskConfig(
    "sst2",
    folder="SST-2",
    dev={"dev": "dev.tsv"},
    text=["sentence"],
    labels=["negative", "positive"],
    label_values=["0", "1"],
)


def prepare(args: argparse.Namespace, folder: Path) -> None:
    """Write ``train.npz`` and ``dev.npz``, the rows that every loop reads."""
    SST2.data_dir = args.data_dir
    for split, rows in load_splits(SST2, folder).items():
        found = encode(rows, Path(args.vocab), 128, True, folder)
        position = np.arange(len(found.input_ids)) - np.repeat(found.offsets[:-1], found.lengths)
        types = (position >= np.repeat(found.first_lengths, found.lengths)).astype(np.int32)
        write_rows(folder / f"{split}.npz", Rows(found.input_ids, types, found.offsets, found.labels))


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """Loop name -> how it is started."""
    python = sys.executable
    loops = {
        "paddleslim_as_shipped": [python, str(HERE / "paddleslim_loop.py")],
        "paddleslim_tuned": [python, str(HERE / "paddleslim_loop.py"), "--tuned"],
        "ofa": [python, str(HERE / "ofa_loop.py")],
    }
    if args.torch_python:
        loops["pytorch"] = [args.torch_python, str(HERE / "pytorch_loop.py")]
    if args.ablation:
        for measure in ("process", "strides", "buckets", "sharing", "bias"):
            loops[f"ofa_without_{measure}"] = [*loops["ofa"], f"--without={measure}"]
        loops["ofa_and_no_dropout"] = [*loops["ofa"], "--no-dropout"]
    return loops


def run(command: list[str], args: argparse.Namespace, folder: Path, steps: int, seed: int, scored: bool) -> dict:
    """One process of one loop; its result file."""
    out = folder / "out.json"
    rows = ["--train", str(folder / "train.npz"), "--dev", str(folder / "dev.npz")]
    plan = ["--steps", str(steps), "--seed", str(seed), "--out", str(out), "--warmup-steps", "5"]
    # A launcher's thread settings must not reach the loop that is measured as shipped.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "FLAGS_", "OFA_"))}
    env["PYTHONPATH"] = str(HERE.parent.parent)
    call = [*command, "--teacher", args.teacher, *rows, *plan, *([] if scored else ["--no-eval"])]
    subprocess.run(call, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return json.loads(out.read_text())


def summary(rounds: list[dict]) -> dict:
    """Median, spread and memory of one loop's rounds."""
    speeds = [found["examples_per_second"] for found in rounds]
    return {
        "examples_per_second": statistics.median(speeds),
        "lowest": min(speeds),
        "highest": max(speeds),
        "rounds": len(speeds),
        "cores_used": statistics.median(found["cores_used"] for found in rounds),
        "peak_rss_mb": statistics.median(found["peak_rss_mb"] for found in rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with SST-2")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--teacher", required=True, help="finetuned BERT, Hugging Face layout")
    parser.add_argument("--torch-python", help="an interpreter with torch; without it PyTorch is left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ablation", action="store_true", help="our loop without each of its measures, too")
    parser.add_argument("--score-steps", type=int, default=0, help="train so many steps and score; 0: speed only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the scored runs")
    args = parser.parse_args()
    loops = commands(args)
    results: dict = {"machine": runtime.machine(), "loops": {}, "score": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(args, folder)
        rounds: dict[str, list[dict]] = {loop: [] for loop in loops}
        for number in range(args.rounds):
            for loop, command in loops.items():
                steps = 30 if loop.startswith("paddleslim") else 105
                rounds[loop].append(run(command, args, folder, steps, number, scored=False))
                print(f"round {number} {loop}: {rounds[loop][-1]['examples_per_second']:.1f} examples/s", flush=True)
        results["loops"] = {loop: summary(found) for loop, found in rounds.items()}
        for loop, command in loops.items():
            if args.score_steps and loop in ("ofa", "paddleslim_tuned"):
                scored = [run(command, args, folder, args.score_steps, seed, scored=True) for seed in args.seeds]
                results["score"][loop] = {w: [found["score"][w] for found in scored] for w in scored[0]["score"]}
                print(f"{loop}: {results['score'][loop]}", flush=True)
    results["examples_per_second"] = {loop: found["examples_per_second"] for loop, found in results["loops"].items()}
    base = results["examples_per_second"]["paddleslim_as_shipped"]
    results["ratio_to_as_shipped"] = {loop: speed / base for loop, speed in results["examples_per_second"].items()}
    results["score_steps"] = args.score_steps
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    for loop, ratio in results["ratio_to_as_shipped"].items():
        print(f"{loop:28} {results['examples_per_second'][loop]:8.1f} examples/s   {ratio:5.2f} x as shipped")


if __name__ == "__main__":
    main()

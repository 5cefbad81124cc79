"""Compare distillation loops on this machine, in turns in one sitting.

    python experiments/benchmark_distill/run.py --data-dir /data/glue --vocab /data/vocab.txt \
        --teacher /data/hf-bert-4x128-sst2 [--ablation 2] [--torch-python /other/venv/bin/python]

Prepares the rows of SST-2 once, then starts every loop in a process of its own, round after round, and writes
the medians to ``results.json`` beside this file. Rounds in which another program took the cores are
kept, and flagged by ``cores_used``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import HERE, OFA, PADDLESLIM, PADDLESLIM_TUNED, prepare, record, run, summary
from ofa_loop import MEASURES, TRIALS

from ofa.system import machine

PADDLESLIM_STEPS, STEPS = 30, 105  # enough for a median; the slow loops make fewer


def loops_of(torch_python: str | None) -> dict[str, list[str]]:
    """Loop name -> how it is started; PyTorch's where there is an interpreter that has it."""
    loops = {"paddleslim_as_shipped": PADDLESLIM, "paddleslim_tuned": PADDLESLIM_TUNED, "ofa": OFA}
    if torch_python:
        loops["pytorch"] = [torch_python, str(HERE / "pytorch_loop.py")]
    loops["ofa_and_no_dropout"] = [*OFA, "--dropout", "0"]
    return loops


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """The loops, and where asked for ours without, or with, each measure."""
    loops = loops_of(args.torch_python)
    if args.ablation:
        loops |= {f"ofa_without_{measure}": [*OFA, "--without", measure] for measure in MEASURES}
        loops |= {f"ofa_with_{trial}": [*OFA, "--trial", trial] for trial in TRIALS}
    return loops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with SST-2")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--teacher", required=True, help="finetuned BERT folder in the Hugging Face layout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python", help="an interpreter with torch, for the PyTorch loop")
    parser.add_argument(
        "--ablation", type=int, default=0, metavar="ROUNDS", help="of our loop without, or with, each measure"
    )
    args = parser.parse_args()
    loops = commands(args)
    rounds: dict[str, list[dict]] = {loop: [] for loop in loops}
    with tempfile.TemporaryDirectory() as name:
        prepare("sst2", args.data_dir, args.vocab, 128, Path(name))
        for number in range(args.rounds):
            for loop, command in loops.items():
                if loop.startswith("ofa_with") and number >= args.ablation:
                    continue
                steps = PADDLESLIM_STEPS if loop.startswith("paddleslim") else STEPS
                options = ("--steps", steps, "--seed", number, "--no-eval")
                rounds[loop].append(run(command, args.teacher, Path(name), *options))
                print(f"round {number} {loop}: {rounds[loop][-1]['examples_per_second']:.1f} examples/s", flush=True)
    found = {loop: summary(of_loop) for loop, of_loop in rounds.items()}
    speeds = {loop: of_loop["examples_per_second"] for loop, of_loop in found.items()}
    ratios = {loop: speed / speeds["paddleslim_as_shipped"] for loop, speed in speeds.items()}
    record(machine=machine.machine(), loops=found, examples_per_second=speeds, ratio_to_as_shipped=ratios)
    for loop, ratio in ratios.items():
        print(f"{loop:28} {speeds[loop]:8.1f} examples/s   {ratio:5.2f} x as shipped")


if __name__ == "__main__":
    main()

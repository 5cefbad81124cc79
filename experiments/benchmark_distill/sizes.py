"""The loops against each other at the sizes of real models, on the same rows, widths and random weights, in turns.

    python experiments/benchmark_distill/sizes.py --data-dir /data/glue --vocab /data/vocab.txt \
        [--sizes 6x384 12x768] [--rounds 1] [--torch-python /other/venv/bin/python]

What a step costs does not depend on the weights. Four widths, as the published recipe has them. Writes the section
``sizes`` of results.json; a size that is not asked for keeps what it has there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import prepare, record, recorded, run, summary
from run import loops_of
from scaling import SIZES, teacher

from ofa.system import process

WIDTHS = (1.0, 5 / 6, 2 / 3, 0.5)
# Size -> steps of PaddleSlim's loop and of the others, the untimed ones included. PaddleSlim's loop is left
# out at 12x768: by what a step takes at 6x384, one would take more than a minute.
STEPS = {"6x384": (14, 43), "12x768": (0, 23)}
UNTIMED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with SST-2")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--sizes", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--torch-python", help="an interpreter with torch, for the PyTorch loop")
    args = parser.parse_args()
    process.prepare()
    process.set_device("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare("sst2", args.data_dir, args.vocab, 128, folder)
        for size in args.sizes:
            model = teacher(folder / size, SIZES[size], Path(args.vocab))
            rounds: dict[str, list[dict]] = {}
            for number in range(args.rounds):
                for loop, command in loops_of(args.torch_python).items():
                    steps = STEPS[size][0 if loop.startswith("paddleslim") else 1]
                    if not steps:
                        continue
                    plan = ("--steps", steps, "--warmup-steps", UNTIMED, "--seed", number, "--no-eval")
                    found = run(command, model, folder, "--widths", *WIDTHS, *plan)
                    rounds.setdefault(loop, []).append({**found, "timed_steps": steps - UNTIMED})
                    print(f"{size} round {number} {loop}: {found['examples_per_second']:.2f} examples/s", flush=True)
            of_size = {loop: {**summary(of), "timed_steps": of[0]["timed_steps"]} for loop, of in rounds.items()}
            record(sizes={**recorded().get("sizes", {}), size: of_size})


if __name__ == "__main__":
    main()

"""Seconds from the command to the first training step, and to a wrong setting's message.

    python experiments/benchmark_distill/startup.py

Runs the quickstart for one step, its data generated and encoded before, and notes when its log lines appear.
Importing all of PaddlePaddle and PaddleNLP is the yardstick. Medians; section ``startup_s`` of results.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from harness import REPO, record

MARKS = {  # what appears in the output -> what has happened by then
    "Process:": "settings composed and checked",
    "Run folder:": "rows read and encoded (from the cache)",
    "finetune: Finetune": "MLflow asked, Paddle imported",
    "1/1": "first training step",
}
RUN = ("experiment=quickstart", "stages=[finetune]", "force=[finetune]", "trainer.finetune.max_steps=1")


def marked(command: list[str]) -> dict[str, float]:
    """Seconds from the start of ``command`` to each of its marks."""
    started, seen, found = time.perf_counter(), "", {}
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    while chunk := process.stdout.read1():  # type: ignore[attr-defined]
        seen += chunk.decode(errors="replace")
        for mark, what in MARKS.items():
            if mark in seen:
                found.setdefault(what, time.perf_counter() - started)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} failed:\n{seen[-2000:]}")
    return found


def seconds(command: list[str]) -> float:
    """Seconds that ``command`` takes, whatever its exit status."""
    started = time.perf_counter()
    subprocess.run(command, cwd=REPO, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        python = sys.executable
        places = (f"output_dir={folder}/out", f"cache_dir={folder}/cache")
        subprocess.run([python, "main.py", *RUN, *places], cwd=REPO, check=True, capture_output=True)
        for _ in range(args.rounds):
            rounds.append(
                {
                    "a wrong setting's message": seconds([python, "main.py", "ofa.widths=[2]"]),
                    **marked([python, "main.py", *RUN, *places]),
                    "(import paddle, paddlenlp: the yardstick)": seconds([python, "-c", "import paddle, paddlenlp"]),
                }
            )
    found = {what: statistics.median(of_round[what] for of_round in rounds) for what in rounds[0]}
    record(startup_s=found)
    for what, value in found.items():
        print(f"{value:6.1f} s  {what}")


if __name__ == "__main__":
    main()

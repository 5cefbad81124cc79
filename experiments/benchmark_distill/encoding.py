"""Encode as many rows as QQP's training split has: rows per second and peak memory.

    python experiments/benchmark_distill/encoding.py --data-dir /data/glue --vocab /data/vocab.txt

The rows of the given QQP are repeated, each copy told apart by a number, up to 363,846. PaddleNLP's own tokenizer
on the first of them is the yardstick. Writes the section ``encoding`` of results.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from common import peak_rss_mb
from harness import record, task_of

ROWS, YARDSTICK_ROWS = 363_846, 3_000


def rows_of(args: argparse.Namespace, folder: Path, count: int):
    """``count`` rows of QQP, all different."""
    import numpy as np

    from ofa.data.sources import load_splits

    task = task_of("qqp")
    task.data_dir = args.data_dir
    rows = load_splits(task, folder)["train"]
    first = [f"{rows.text_a[index % len(rows)]} {index // len(rows)}" for index in range(count)]
    second = [rows.text_b[index % len(rows)] for index in range(count)]
    return replace(rows, text_a=first, text_b=second, labels=np.resize(rows.labels, count))


def worker(args: argparse.Namespace) -> dict[str, float]:
    """Encode in this process, which has imported nothing of Paddle, or tokenise with PaddleNLP."""
    with tempfile.TemporaryDirectory() as name:
        if args.worker == "ofa":
            from ofa.data.tokenizer import plain
            from ofa.data.tokens import tokenize as encode

            rows = rows_of(args, Path(name), ROWS)
            before, started = peak_rss_mb(), time.perf_counter()
            encode(rows, plain(Path(args.vocab)), 128, Path(name))
            found = {"rows": ROWS, "memory_of_the_rows_mb": before}
        else:
            from paddlenlp.transformers import BertTokenizer

            rows = rows_of(args, Path(name), YARDSTICK_ROWS)
            tokenizer, started = BertTokenizer(args.vocab), time.perf_counter()
            for first, second in zip(rows.text_a, rows.text_b, strict=True):
                tokenizer(first, second, max_length=128, truncation=True)
            found = {"rows": YARDSTICK_ROWS}
        seconds = time.perf_counter() - started
    return {**found, "seconds": seconds, "rows_per_second": found["rows"] / seconds, "peak_rss_mb": peak_rss_mb()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with QQP")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--worker", choices=("ofa", "paddlenlp"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(worker(args)))
        return
    found = {}
    for name in ("ofa", "paddlenlp"):
        call = [sys.executable, __file__, "--data-dir", args.data_dir, "--vocab", args.vocab, "--worker", name]
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {found[name]['rows_per_second']:.0f} rows/s, peak {found[name]['peak_rss_mb']:.0f} MB")
    record(encoding=found)


if __name__ == "__main__":
    main()

"""How fast networks are scored: the threads of a CPU share the rows of a batch, or matrix products alone run on them.

    python experiments/benchmark_distill/scoring.py --data-dir /data/glue --vocab /data/vocab.txt

A search scores hundreds of networks on the same rows: here the first rows of MRPC's training split, as long as they
are, in batches of 128; BERT 6 layers x 384 of random weights at three widths. Both ways in turns, in one process.
Writes the section ``scoring`` of results.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import record, task_of
from scaling import SIZES, shape_of

from ofa.data.sources import load_splits
from ofa.data.tokenizer import plain
from ofa.data.tokens import tokenize
from ofa.supernet.subnet import SubNet
from ofa.system import process

ROWS, BATCH = 256, 128
WIDTHS = (1.0, 0.5, 0.25)
ALONE = 10**9  # rows that a thread takes at least: no batch has as many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with MRPC")
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    process.prepare()
    process.set_device("cpu")
    from ofa.evaluation.scores import predict
    from ofa.model import network as models
    from ofa.supernet import elastic

    task, shape = task_of("mrpc"), shape_of(SIZES["6x384"])
    task.data_dir, task.max_train_rows = args.data_dir, ROWS
    with tempfile.TemporaryDirectory() as name:
        rows = tokenize(load_splits(task, Path(name))["train"], plain(Path(args.vocab)), 128, Path(name))
    supernet = elastic.make_elastic(models.build(shape))
    least, found = models.LEAST_ROWS, {}
    for width in WIDTHS:
        seconds: dict[int, list[float]] = {ALONE: [], least: []}
        elastic.select(supernet, SubNet.at(width, 1.0, shape))
        logits = {}
        for number in range(1 + args.rounds):  # the first of them is not counted
            for models.LEAST_ROWS in seconds:
                started = time.perf_counter()
                logits[models.LEAST_ROWS] = predict(models.forward_of(supernet), rows, BATCH)
                seconds[models.LEAST_ROWS] += [time.perf_counter() - started] * (number > 0)
        alone, shared = (statistics.median(seconds[way]) for way in (ALONE, least))
        difference = float(np.abs(logits[ALONE] - logits[least]).max())
        found[f"width {width:g}"] = {
            "rows_per_second": ROWS / shared,
            "products_alone": ROWS / alone,
            "times": alone / shared,
            "logit_difference": difference,
        }
        print(f"width {width:g}: {found[f'width {width:g}']}", flush=True)
    record(scoring={"threads": process.threads(), **found})


if __name__ == "__main__":
    main()

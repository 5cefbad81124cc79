"""What share of the machine's matrix-product rate a distillation step reaches, and where its time goes.

    python experiments/benchmark_distill/rate.py [--size 6x384] [--tokens 14 128] [--threads 1 2] [--profile]

Batches of fixed shape, half of their rows padded by a token; random weights, widths 1/.75/.5. A backward pass
counts as two forward passes. Between two steps the machine's own rate is taken: one product of two matrices of
1024 x 1024 per thread. ``--profile`` lists the operations of a step by their time, over all threads. Writes the
section ``rate`` of results.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
from harness import REPO, record, recorded
from scaling import SIZES, shape_of

from ofa.supernet.subnet import EncoderShape, SubNet, count_macs
from ofa.system import process

WIDTHS = (1.0, 0.75, 0.5)
SQUARE = 1024


def flops(shape: EncoderShape, rows: int, tokens: int) -> float:
    """Floating point operations of a step in its matrix products: the teacher forward, each width both ways."""
    of_width = [count_macs(shape, SubNet.at(width, 1.0, shape), tokens) for width in WIDTHS]
    return 2 * rows * (of_width[0] + 3 * sum(of_width))


def machine_rate(threads: int) -> float:
    """GFLOP/s of a large matrix product."""
    import paddle

    left, right = paddle.rand([SQUARE * threads, SQUARE]), paddle.rand([SQUARE, SQUARE])
    started = time.perf_counter()
    paddle.matmul(left, right)
    return 2 * SQUARE**3 * threads / (time.perf_counter() - started) / 1e9


def measure(args: argparse.Namespace, threads: int, tokens: int) -> dict[str, float]:
    """Medians over steps of one shape in this process, which has ``threads``."""
    import paddle

    from ofa.model import network as models
    from ofa.settings.schema import LoopConfig
    from ofa.supernet import elastic
    from ofa.training.distillation import Distillation
    from ofa.training.loop import make_optimizer

    shape = shape_of(SIZES[args.size])
    supernet, teacher = elastic.make_elastic(models.build(shape)), models.build(shape)
    supernet.train()
    teacher.eval()
    work = Distillation(supernet, teacher, 0.1, 1.0, threads=threads)
    optimizer = make_optimizer(supernet, LoopConfig())
    ids = np.random.default_rng(0).integers(1, shape.vocab_size, [args.rows, tokens])
    ids[::2, -1] = 0
    batch = paddle.to_tensor(ids), paddle.zeros([args.rows, tokens], "int64")
    subnets = [SubNet.at(width, 1.0, shape) for width in WIDTHS]

    def step() -> None:
        work.step(*batch, subnets)
        work.precision.clip(optimizer, supernet, 1.0)
        work.precision.update(optimizer)
        optimizer.clear_grad(set_to_zero=False)

    step()
    seconds, rates = [], []
    for _ in range(args.steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
        rates.append(machine_rate(threads))
    if args.profile:
        profiled(step)
    rate, machine = flops(shape, args.rows, tokens) / statistics.median(seconds) / 1e9, statistics.median(rates)
    speed = args.rows / statistics.median(seconds)
    return {"examples_per_second": speed, "gflops": rate, "machine_gflops": machine, "share": rate / machine}


def profiled(step) -> None:
    """Print what one step's operations take, the dearest first."""
    from paddle import profiler

    with profiler.Profiler(targets=[profiler.ProfilerTarget.CPU], on_trace_ready=lambda _: None) as found:
        step()
    found.summary(op_detail=False, time_unit="ms", views=profiler.SummaryView.OperatorView)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="6x384")
    parser.add_argument("--tokens", type=int, nargs="+", default=[14, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    if len(args.threads) > 1:  # the math libraries take their threads once, as they load
        for threads in args.threads:
            options = ["--size", args.size, "--rows", args.rows, "--steps", args.steps, "--tokens", *args.tokens]
            options += ["--threads", threads, *(["--profile"] if args.profile else [])]
            subprocess.run([sys.executable, __file__, *map(str, options)], cwd=REPO, check=True)
        return
    (threads,) = args.threads
    process.prepare(threads)
    process.set_device("cpu")
    process.seed_everything(0)
    for tokens in args.tokens:
        name, found = f"{args.size}/{args.rows}x{tokens}/{threads} threads", measure(args, threads, tokens)
        record(rate={**recorded().get("rate", {}), name: found})
        print(f"{name}: {json.dumps({key: round(value, 2) for key, value in found.items()})}", flush=True)


if __name__ == "__main__":
    main()

"""How far is a sum over layers from the latency of the whole network? The tables that a search's limit rests on.

    python experiments/latency_cpu/layer_sums.py [--rounds 30]

Fits the product's own table (``ofa.supernet.layer_times``) on networks of 6 x 384 of a few layers, timed in turns, and
compares what it says of uniform networks and of networks drawn layer by layer with what these take whole, in turns as
well. Weights are random: times do not depend on them. Adds a section to ``results.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

import claiming
import numpy as np

from ofa.deploy.engines import load_engine
from ofa.deploy.export import export
from ofa.deploy.latency import measure
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.layer_times import LayerTimes, as_timed, to_time
from ofa.supernet.layerwise import Space, random_subnet
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import machine, process

SHAPE = EncoderShape(6, 384, 12, 1536)
UNIFORM = [(1.0, 1.0), (0.5, 1.0), (0.25, 0.5)]  # width and depth
DRAWN, LENGTH, THREADS = 9, 128, 1
WAYS = (("onnxruntime", 1), ("onnxruntime", 16), ("paddle", 1))  # engine and batch size, FP32


def timed(shape: EncoderShape, subnets: list[SubNet], way: tuple[str, int], rounds: int) -> dict[SubNet, float]:
    """Median milliseconds of each sub-network of a supernet of ``shape`` with random weights."""
    supernet = elastic.make_elastic(models.build(shape))
    with tempfile.TemporaryDirectory() as name:
        networks = {}
        for number, subnet in enumerate(subnets):
            folder = Path(name) / str(number)
            export(elastic.extract(supernet, subnet), folder)
            networks[subnet] = load_engine(folder, way[0], "fp32", "cpu", THREADS)
        times = measure(networks, way[1], LENGTH, shape.vocab_size, 3, rounds)
    return {subnet: timing.median_ms for subnet, timing in times.items()}


def compare(way: tuple[str, int], rounds: int) -> dict[str, Any]:
    """Predicted and measured milliseconds, and errors relative to the measured ones."""
    space = Space.between([SubNet.at(w, d, SHAPE) for w in (1.0, 0.75, 0.5, 0.25) for d in (1.0, 0.5)], SHAPE)
    small, rng = as_timed(SHAPE), np.random.default_rng(1)
    table = LayerTimes.fit(timed(small, to_time(space, small.num_hidden_layers), way, rounds))
    whole = [SubNet.at(*shares, SHAPE) for shares in UNIFORM] + [random_subnet(space, rng) for _ in range(DRAWN)]
    found = timed(SHAPE, whole, way, rounds)
    rows = [
        {"heads": s.heads, "neurons": s.neurons, "predicted": table.ms(s), "measured": ms} for s, ms in found.items()
    ]
    errors = [row["predicted"] / row["measured"] - 1 for row in rows]
    spread = {"median": statistics.median(map(abs, errors)), "worst": max(map(abs, errors))}
    return {**spread, "errors": [round(error, 4) for error in errors], "networks": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    process.prepare(THREADS)
    process.set_device("cpu")
    found = {}
    for way in WAYS:
        name = f"{way[0]}_fp32_b{way[1]}_s{LENGTH}"
        found[name] = compare(way, options.rounds if way[1] == 1 else max(options.rounds // 4, 3))
        print(f"{name}: median error {found[name]['median']:.1%}, worst {found[name]['worst']:.1%}", flush=True)
    section = {"machine": machine.machine(), "threads": THREADS, "rounds": options.rounds}
    section |= {"load": round(os.getloadavg()[1], 2), "figures": found}
    claiming.write(HERE, {**json.loads((HERE / "results.json").read_text()), "layer_sums": section})


if __name__ == "__main__":
    main()

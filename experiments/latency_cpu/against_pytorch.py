"""The engines of this project against PyTorch on one thread: a BERT of 6 layers x 384, at widths 1, 2/3 and 1/2.

    python experiments/latency_cpu/against_pytorch.py --torch-python /other/venv/bin/python [--rounds 20]

The same exported folders run in ONNX Runtime, OpenVINO (where it is installed) and Paddle Inference here, and in a
process of another interpreter, which has torch and transformers, as Transformers loads them: eager FP32, and
PyTorch's own dynamic INT8. All run in turns; a turn of the other process takes a line each way besides, some 0.1 ms.
Weights are random: latency does not depend on them. Writes the section ``against_pytorch`` of ``results.json``.
About five minutes on a quiet core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

import claiming
import numpy as np

from ofa.data.batches import Batch
from ofa.data.tokenizer import plain
from ofa.data.vocab import SPECIAL
from ofa.deploy.engines import load_engine, runnable
from ofa.deploy.export import export
from ofa.deploy.graphs import ONNX_GRAPH, graph
from ofa.deploy.latency import measure, random_batch
from ofa.deploy.quantize import Source, write
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import machine, process

process.prepare(1)

SHAPE = EncoderShape(6, 384, 12, 1536, max_position_embeddings=128)
WIDTHS = {"w1": 1.0, "w0.6667": 2 / 3, "w0.5": 0.5}
BATCHES, LENGTH = (16, 1), 128
MORE = {16: 1, 1: 3}  # rounds of a small batch, which takes less time, for one of a large one
SAME = 1e-4  # largest difference between logits of the same network
INT8 = {"onnxruntime": "dynamic", "openvino": "openvino_int8"}  # engine -> how its graph is made


class Worker:
    """PyTorch in a process of another interpreter, which runs one network whenever it is asked."""

    def __init__(self, python: str, folder: Path) -> None:
        command = [python, str(HERE / "pytorch_worker.py"), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self._read()["versions"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"PyTorch's process ended with status {self.process.wait()}; what it said stands above")
        return json.loads(line)

    def ask(self, **what: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._read()

    def network(self, name: str, precision: str):
        """A function of arrays as the engines' are; what it runs on is its own copy of the same batch."""
        return lambda ids, types: self.ask(network=name, precision=precision, batch=f"b{len(ids)}")


def prepare(folder: Path) -> None:
    """Every network as the product exports it, with its INT8 graphs, and the batches, under ``folder``."""
    process.set_device("cpu")
    vocab = folder / "vocab.txt"
    vocab.write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), SHAPE.vocab_size))]) + "\n")
    full = models.build(SHAPE)
    ids, types = random_batch(16, LENGTH, SHAPE.vocab_size)
    rows = [Batch(ids, types, np.zeros(16, np.int64), np.arange(16))]  # ranges decide no time
    for name, width in WIDTHS.items():
        target = folder / name
        cut = elastic.cut(full, SubNet.at(width, 1.0, SHAPE))
        models.save(cut, target, ("no", "yes"), plain(vocab))
        export(cut, target)
        with tempfile.TemporaryDirectory() as work:
            source = Source.prepare(target / ONNX_GRAPH, SHAPE.num_hidden_layers, rows, False, Path(work), 1)
            for engine, method in INT8.items():
                write(source, graph(target, engine, "int8"), method)
    np.savez(folder / "batches.npz", **{f"b{n}": random_batch(n, LENGTH, SHAPE.vocab_size)[0] for n in BATCHES})


def require_same(worker: Worker, folder: Path) -> None:
    """Refuse to compare networks that are not the same."""
    batch = random_batch(1, LENGTH, SHAPE.vocab_size)
    for name in WIDTHS:
        here = load_engine(folder / name, "onnxruntime")(*batch)
        there = np.array(worker.ask(network=name, precision="fp32", batch="b1", logits=True)["logits"])
        if not np.abs(here - there).max() <= SAME:
            raise SystemExit(f"{name}: logits in PyTorch differ by {np.abs(here - there).max():.3g}; allowed {SAME}")


def compare(worker: Worker, folder: Path, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Network -> batch -> engine and precision -> the median of its milliseconds."""
    networks = {(name, f"pytorch_{one}"): worker.network(name, one) for name in WIDTHS for one in ("fp32", "int8")}
    for engine, precision in runnable(folder / "w1", "cpu"):
        for name in WIDTHS:
            networks[name, f"{engine}_{precision}"] = load_engine(folder / name, engine, precision)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in WIDTHS}
    for batch in BATCHES:
        times = measure(networks, batch, LENGTH, SHAPE.vocab_size, 2, rounds * MORE[batch])
        for (name, way), timing in times.items():
            found[name].setdefault(f"b{batch}", {})[way] = round(timing.median_ms, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", required=True, help="an interpreter with torch and transformers")
    parser.add_argument("--rounds", type=int, default=20, help="of batch 16; three times as many of batch 1")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        worker = Worker(args.torch_python, Path(name))
        require_same(worker, Path(name))
        found = compare(worker, Path(name), args.rounds)
    for network, batches in found.items():
        for batch, ways in batches.items():
            for way, ms in sorted(ways.items(), key=lambda pair: pair[1]):
                over = found["w1"][batch]["pytorch_fp32"] / ms
                print(f"{network:8} {batch:4} {way:18} {ms:8.1f} ms   {over:5.2f} x the full network in eager PyTorch")
    section = {"machine": machine.machine(), "versions": {**machine.versions(), **worker.versions}, "threads": 1}
    section |= {"rounds": args.rounds, "load": round(os.getloadavg()[1], 2), "ms": found}
    kept = json.loads((HERE / "results.json").read_text())
    claiming.write(HERE, {**kept, "against_pytorch": section})


if __name__ == "__main__":
    main()

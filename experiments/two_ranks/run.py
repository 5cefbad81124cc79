"""Two CPU ranks against one process at the same global batch: dev scores, and examples per second.

    python experiments/two_ranks/run.py scores [--seeds 1 2 3]
    python experiments/two_ranks/run.py throughput [--rounds 3]

Each writes its part of ``results.json``, which begins with the claims. Run the second on a machine that does nothing
else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

import claiming

from ofa.jobs import spawn
from ofa.system import machine, process, ranks

RESULTS = HERE / "results.json"
WARMUP, STEPS = 10, 60
BATCH_SIZES = (32, 128)
OTHER_KERNEL = "5"  # MKL_DEBUG_CPU_TYPE: AVX2, where the default is AVX-512
SETUPS = {"one process, 2 threads": (1, 2), "two ranks, 1 thread each": (2, 1)}  # processes, threads of each


def scores(seeds: list[int]) -> dict:
    """Dev accuracy of the quickstart's teacher and widths, without dropout, which ranks draw differently.

    ``from_scratch`` trains everything. ``same_teacher`` distils from the teacher of one process. ``other kernel``
    is one process again with another code path of the matrix library: what rounding alone does to a score.
    """
    found: dict = {"from_scratch": {}, "same_teacher": {}, "loss": {}}
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            folder = Path(name) / str(seed)
            whole = {
                "one process": _job(folder / "one", seed, 1),
                "two ranks": _job(folder / "two", seed, 2),
                "one process, other kernel": _job(folder / "other", seed, 1, kernel=OTHER_KERNEL),
            }
            found["from_scratch"][str(seed)] = whole
            found["loss"][str(seed)] = {key: _losses(folder / key) for key in ("one", "two", "other")}
            (teacher,) = (folder / "one" / "store").glob("finetune-*/model")
            found["same_teacher"][str(seed)] = {
                "one process": whole["one process"],
                "two ranks": _job(folder / "two-same", seed, 2, teacher),
                "one process, other kernel": _job(folder / "other-same", seed, 1, teacher, OTHER_KERNEL),
            }
            print(json.dumps({part: of_part[str(seed)] for part, of_part in found.items()}, indent=1), flush=True)
    for part in ("from_scratch", "same_teacher"):
        found[f"{part}_largest_difference_points"] = {
            other: round(
                max(
                    100 * abs(of_seed[other][network] - score)
                    for of_seed in found[part].values()
                    for network, score in of_seed["one process"].items()
                ),
                2,
            )
            for other in ("two ranks", "one process, other kernel")
        }
    return found


def _job(folder: Path, seed: int, devices: int, teacher: Path | None = None, kernel: str = "") -> dict[str, float]:
    settings = ["experiment=quickstart", "tracking=none", "stages=[evaluate]", "model.dropout=0"]
    settings += [f"trainer.seed={seed}", f"hardware.devices={devices}", f"output_dir={folder}"]
    settings += [f"model.path={teacher}"] if teacher else []
    environment = {**os.environ, **({"MKL_DEBUG_CPU_TYPE": kernel} if kernel else {})}
    command = [sys.executable, "main.py", *settings]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    results = json.loads(next((folder / "runs").glob("*/results.json")).read_text())
    widths = {f"width {entry['width']:.4g}": entry["score"] for entry in results["widths"]}
    return {"teacher": results["teacher"]["score"], **widths}


def _losses(folder: Path) -> dict[str, float]:
    """Finetuning's loss by step, each a mean since the one before."""
    (path,) = (folder / "store").glob("finetune-*/finetune.json")
    return {str(point["step"]): point["finetune/loss"] for point in json.loads(path.read_text())["history"]}


def throughput(rounds: int) -> dict:
    """Examples per second of the distillation loop, every setup once per round."""
    times: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for batch_size in BATCH_SIZES:
                for name, (processes, threads) in SETUPS.items():
                    rate = _timed(Path(folder), processes, threads, batch_size)
                    times.setdefault(str(batch_size), {}).setdefault(name, []).append(rate)
                    print(f"round {number}, batch {batch_size}, {name}: {rate:.0f} examples/s", flush=True)
    one, two = SETUPS
    return {
        size: {
            "examples_per_second": {name: statistics.median(rates) for name, rates in of_size.items()},
            "ratio": statistics.median(b / a for a, b in zip(of_size[one], of_size[two], strict=True)),
            "rounds": of_size,
        }
        for size, of_size in times.items()
    }


def _timed(folder: Path, processes: int, threads: int, batch_size: int) -> float:
    addresses = spawn.free_addresses(processes)
    command = [sys.executable, __file__, "worker", str(folder), str(threads), str(batch_size)]
    running = []
    for number in range(processes):
        of_rank = spawn.environment(number, addresses) if processes > 1 else {}
        running.append(subprocess.Popen(command, cwd=REPO, env={**os.environ, **of_rank}, stderr=subprocess.DEVNULL))
    if any([process.wait() for process in running]):
        raise SystemExit("a worker failed")
    return json.loads((folder / "rate.json").read_text())


def worker(folder: Path, threads: int, batch_size: int) -> None:
    """Distil a BERT of 4 layers x 128 from random weights on the quickstart's rows for WARMUP + STEPS steps."""
    process.prepare(threads)
    process.set_device("cpu")
    ranks.init("cpu")
    import numpy as np

    from ofa.data.batches import TrainBatches
    from ofa.data.tokens import Encoded
    from ofa.model import network as models
    from ofa.settings.schema import LoopConfig
    from ofa.supernet import elastic
    from ofa.supernet.subnet import EncoderShape, SubNet
    from ofa.training.checkpoint import BestNetworks
    from ofa.training.distillation import Distillation
    from ofa.training.loop import Loop, tensors

    shape = EncoderShape(4, 128, 4, 512, vocab_size=2000, max_position_embeddings=128, num_labels=2)
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, 32, 12_000)  # as the quickstart's sentences
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = rng.integers(5, shape.vocab_size, offsets[-1]).astype("int32")
    rows = Encoded(tokens, offsets, lengths.astype("int32"), np.zeros(len(lengths), int), np.zeros(len(lengths), bool))
    process.seed_everything(0)
    supernet, teacher = elastic.make_elastic(models.build(shape)), models.build(shape)
    teacher.eval()
    subnets = [SubNet.at(width, 1.0, shape) for width in (1.0, 0.75, 0.5)]
    work = Distillation(supernet, teacher, 0.1, 1.0)
    batches = TrainBatches(rows, batch_size, 0)
    started: list[float] = []

    def step(batch, number: int):
        started.append(time.perf_counter())
        return work.step(*tensors(batch)[:2], subnets, batch.row_share, batch.token_share)

    with tempfile.TemporaryDirectory() as own:
        loop = Loop(
            name="distill",
            model=supernet,
            step=step,
            batches=batches,
            settings=LoopConfig(
                max_steps=WARMUP + STEPS + 1, batch_size=batch_size, eval_steps=10**9, save_steps=10**9
            ),
            seed=0,
            evaluate=lambda number: {},
            best=BestNetworks(Path(own)),
        )
        loop.run()
    seconds = started[WARMUP + STEPS] - started[WARMUP]
    sizes = [len(picked) for picked in batches.epoch(0)[WARMUP : WARMUP + STEPS]]
    if ranks.is_main():
        (folder / "rate.json").write_text(json.dumps(sum(sizes) / seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("scores").add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    commands.add_parser("throughput").add_argument("--rounds", type=int, default=3)
    of_worker = commands.add_parser("worker")
    of_worker.add_argument("folder", type=Path)
    of_worker.add_argument("threads", type=int)
    of_worker.add_argument("batch_size", type=int)
    args = vars(parser.parse_args())
    command = args.pop("command")
    if command == "worker":
        return worker(**args)
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    record[command] = scores(**args) if command == "scores" else throughput(**args)
    record |= {"machine": machine.machine(), "versions": machine.versions()}
    claiming.write(HERE, record)


if __name__ == "__main__":
    main()

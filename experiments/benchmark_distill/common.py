"""The contract between the compared distillation loops: rows, batches, clock, metrics, result file.

Imports neither Paddle nor PyTorch, so each loop runs it in its own process and its own interpreter.

Rows file (``.npz``): ``input_ids`` int32 [T] and ``token_type_ids`` int32 [T], all rows one after
another; ``offsets`` int64 [N + 1], row i is ``offsets[i]:offsets[i + 1]``; ``labels`` [N], int64
classes or float32 scores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np

PAD_ID = 0  # [PAD] of BERT's vocabularies
HIDDEN_WEIGHT, LOGIT_WEIGHT = 0.1, 1.0  # of the hidden states' MSE and of the soft cross-entropy
WINDOWS = 5  # the timed steps are cut into so many; the median over them shrugs off a busy neighbour
EVAL_BATCH_SIZE = 32  # also the batches of the importance pass, as in the published recipe
IMPORTANCE_ROWS = 2048  # of the training split, where it gives the importance rows: ``conf/ofa``'s number
METRICS = ("accuracy", "f1", "matthews", "pearson")


@dataclass(frozen=True)
class Rows:
    """Encoded rows of one split; shapes as in the rows file."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Batch:
    """``input_ids`` and ``token_type_ids`` int64 [B, S], padded to the longest row; ``labels`` [B]."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def write_rows(path: str | Path, rows: Rows) -> None:
    """Write a rows file."""
    np.savez(
        path,
        input_ids=rows.input_ids.astype(np.int32),
        token_type_ids=rows.token_type_ids.astype(np.int32),
        offsets=rows.offsets.astype(np.int64),
        labels=rows.labels,
    )


def read_rows(path: str | Path) -> Rows:
    """Read a rows file.

    Raises:
        SystemExit: one line, if the file is missing or its arrays do not fit together.
    """
    try:
        with np.load(path) as arrays:
            rows = Rows(**{key: arrays[key] for key in Rows.__dataclass_fields__})
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{path}: not a rows file: {error}") from None
    tokens, count = len(rows.input_ids), len(rows.labels)
    if len(rows.token_type_ids) != tokens or len(rows.offsets) != count + 1 or rows.offsets[-1] != tokens:
        raise SystemExit(f"{path}: {tokens} tokens, {len(rows.offsets)} offsets and {count} labels do not fit")
    return rows


def pad_batch(rows: Rows, index: np.ndarray) -> Batch:
    """The rows ``index`` [B] as one batch, padded to its longest row."""
    starts, ends = rows.offsets[index], rows.offsets[index + 1]
    width = int((ends - starts).max())
    input_ids = np.full((len(index), width), PAD_ID, np.int64)
    token_type_ids = np.zeros((len(index), width), np.int64)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        input_ids[row, : end - start] = rows.input_ids[start:end]
        token_type_ids[row, : end - start] = rows.token_type_ids[start:end]
    return Batch(input_ids, token_type_ids, rows.labels[index])


def importance_rows(train: Rows, dev: Rows, split: str) -> Rows:
    """What heads and neurons are scored on: the first training rows, or the dev split as in the published recipe."""
    if split == "dev":
        return dev
    offsets = train.offsets[: IMPORTANCE_ROWS + 1]
    tokens = offsets[-1]
    return Rows(train.input_ids[:tokens], train.token_type_ids[:tokens], offsets, train.labels[:IMPORTANCE_ROWS])


def random_batches(rows: Rows, batch_size: int, steps: int, seed: int) -> Iterator[Batch]:
    """``steps`` batches of shuffled rows, epoch after epoch; the last of an epoch may be smaller."""
    rng, done = np.random.default_rng(seed), 0
    while done < steps:
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), batch_size):
            if done == steps:
                return
            done += 1
            yield pad_batch(rows, order[start : start + batch_size])


def ordered_batches(rows: Rows) -> Iterator[Batch]:
    """All rows once, in file order."""
    for start in range(0, len(rows), EVAL_BATCH_SIZE):
        yield pad_batch(rows, np.arange(start, min(start + EVAL_BATCH_SIZE, len(rows))))


@dataclass
class StepClock:
    """Times of the steps after ``warmup_steps``; ``lap`` goes at the end of every step."""

    warmup_steps: int
    seconds: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    steps: int = 0
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = 0.0
    _cpu_start: float = field(default_factory=time.process_time)

    def lap(self, rows: int) -> None:
        now = time.perf_counter()
        self.steps += 1
        if self.steps > self.warmup_steps:
            self.seconds.append(now - self._wall)
            self.rows.append(rows)
            self._cpu = time.process_time() - self._cpu_start
        else:
            self._cpu_start = time.process_time()
        self._wall = now

    def summary(self) -> dict[str, object]:
        """Speed of the timed steps: the median over windows, and the mean over all of them."""
        seconds, rows = np.array(self.seconds), np.array(self.rows)
        windows = np.array_split(np.arange(len(seconds)), min(WINDOWS, len(seconds)))
        p10, median, p90 = np.percentile(seconds * 1000, [10, 50, 90])
        return {
            "examples_per_second": float(np.median([rows[w].sum() / seconds[w].sum() for w in windows])),
            "examples_per_second_mean": float(rows.sum() / seconds.sum()),
            "step_ms": {"median": float(median), "p10": float(p10), "p90": float(p90)},
            "cores_used": self._cpu / float(seconds.sum()),
        }


def peak_rss_mb() -> float:
    """Most memory this process has held so far, in MB.

    Linux hands ``ru_maxrss`` of a launcher down to the process it starts, so a launcher that holds
    more than the loop would be measured instead: ``VmHWM`` counts this program only.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def score(metric: str, outputs: np.ndarray, labels: np.ndarray) -> float:
    """Dev score of ``outputs`` [N, C] (C = 1: a score) against ``labels`` [N]; 0 where undefined."""
    if metric == "pearson":
        return _correlation(outputs[:, 0], labels)
    predicted = outputs.argmax(axis=1)
    if metric == "accuracy":
        return float((predicted == labels).mean())
    if metric == "matthews":  # of two classes it is the correlation of the two 0/1 columns
        return _correlation(predicted, labels)
    hits = float(((predicted == 1) & (labels == 1)).sum())
    return 2 * hits / max(1.0, float((predicted == 1).sum() + (labels == 1).sum()))  # f1


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def read_teacher(folder: str | Path) -> tuple[dict, dict[str, np.ndarray]]:
    """``config.json`` and the weights (Hugging Face names and layout, float32) of a BERT folder.

    Raises:
        SystemExit: one line, if a file is missing.
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise SystemExit(f"--teacher: no {name} in {folder}")
    return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")


def tune_process(threads: int) -> None:
    """What this project does to its own process, for a loop that does not; call before Paddle is imported."""
    from ofa.system import process

    os.environ["OMP_NUM_THREADS"] = str(threads)
    process.prepare(threads)


def parse_args(description: str, extend: Callable[[argparse.ArgumentParser], object] = id) -> argparse.Namespace:
    """The command line every loop understands, and what ``extend`` adds to it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--teacher", required=True, help="BERT folder in the Hugging Face layout")
    parser.add_argument("--train", required=True, help="rows file")
    parser.add_argument("--dev", required=True, help="rows file")
    parser.add_argument("--widths", type=float, nargs="+", default=[1.0, 0.75, 0.5])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup-steps", type=int, default=5, help="first steps, left out of the timing")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of a process that sets them")
    parser.add_argument("--importance", choices=("train", "dev"), default="train", help="split that importance reads")
    parser.add_argument("--metric", choices=METRICS, default="accuracy")
    parser.add_argument("--no-eval", action="store_true", help="no dev scores: throughput only")
    parser.add_argument("--out", required=True, help="result file, JSON")
    extend(parser)
    args = parser.parse_args()
    if not 0 <= args.warmup_steps < args.steps:
        parser.error(f"--warmup-steps: {args.warmup_steps} is not in 0..{args.steps - 1} (--steps - 1)")
    return args


def write_result(
    args: argparse.Namespace,
    loop: str,
    speed: dict[str, object],
    threads: int,
    packages: tuple[str, ...],
    scores: dict[str, float],
) -> None:
    """Write the result file and print its short form."""
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in packages}
    counts = {"steps": args.steps, "seed": args.seed, "threads": threads}
    result = {"loop": loop, **speed, **counts, "versions": versions, "score": scores}
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    print(f"{loop}: {speed['examples_per_second']:.1f} examples/s, {speed['peak_rss_mb']:.0f} MB, score {scores}")

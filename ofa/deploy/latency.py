"""Measure the latency of exported networks on this machine. Estimates live in hardware.py."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from ofa.data.batches import collate
from ofa.data.rows import Rows
from ofa.data.tokenizer import read_tokenizer
from ofa.data.tokens import tokenize
from ofa.model.folder import read_folder
from ofa.settings.schema import LatencyConfig
from ofa.system import machine

if TYPE_CHECKING:
    from ofa.model.network import Forward

Name = TypeVar("Name", bound=Hashable)
SHORTEST = 4  # tokens of a row with text in it: two of them between [CLS] and [SEP]


@dataclass(frozen=True)
class Timing:
    """Latency of one batch, measured.

    Attributes:
        median_ms, p90_ms, p99_ms: milliseconds per batch, host copies included.
        sequences_per_second: batch size over the median.
        repeats: timed runs.
    """

    median_ms: float
    p90_ms: float
    p99_ms: float
    sequences_per_second: float
    repeats: int


def random_batch(batch_size: int, seq_length: int, vocab_size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random token ids without padding, ``[B, S]`` int64, and token types of zeros."""
    rng = np.random.default_rng(seed)
    low = min(1000, vocab_size // 2)  # past padding and special tokens
    return rng.integers(low, vocab_size, (batch_size, seq_length)), np.zeros((batch_size, seq_length), dtype=np.int64)


def measure(
    networks: Mapping[Name, Forward],
    batch_size: int,
    seq_length: int,
    vocab_size: int,
    warmup: int = 5,
    repeats: int = 30,
    seed: int = 0,
) -> dict[Name, Timing]:
    """Time ``networks`` (by any name) in turns, so that a machine that drifts favours none.

    Every round runs each network once, in an order shuffled anew.
    """
    batch = random_batch(batch_size, seq_length, vocab_size, seed)
    times: dict[Name, list[float]] = {name: [] for name in networks}
    for forward in networks.values():
        for _ in range(warmup):
            forward(*batch)
    order, shuffled = list(networks), random.Random(seed)
    for _ in range(repeats):
        shuffled.shuffle(order)
        for name in order:
            started = time.perf_counter()
            networks[name](*batch)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: _summary(values, batch_size) for name, values in times.items()}


def time_tokenizer(folder: Path, settings: LatencyConfig) -> dict[str, float]:
    """Milliseconds from texts to the arrays that a network takes, of each batch size and length: ``{"b16_s128": 1.2}``.

    The texts are random tokens of the folder's vocabulary, joined: as many to a row as a network of that figure is
    timed on, with [CLS] and [SEP]. Tokenized as for serving. All networks of a run have the same tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    found = {}
    for batch_size, seq_length in product(settings.batch_sizes, settings.seq_lengths):
        if seq_length < SHORTEST:
            continue
        ids, _ = random_batch(batch_size, seq_length - 2, tokenizer.size)
        rows = Rows([tokenizer.text(row) for row in ids.tolist()], None, np.zeros(batch_size, np.int64))

        def work(*_: np.ndarray, rows: Rows = rows, length: int = seq_length) -> np.ndarray:
            return collate(tokenize(rows, tokenizer, length), np.arange(len(rows))).input_ids

        timing = measure({"": work}, batch_size, seq_length, tokenizer.size, settings.warmup, settings.repeats)[""]
        found[f"b{batch_size}_s{seq_length}"] = timing.median_ms
    return found


def time_folders(
    folders: Mapping[str, Path], settings: LatencyConfig, device: str, threads: int | None
) -> dict[str, Any]:
    """Time exported ``folders`` by name on ``device``, which Paddle has selected.

    Returns:
        ``{"where", "device", "threads", "machine", "versions", "time", "tokenizer_ms", "timings"}``; a timing is a row
        ``{"network", "engine", "precision", "batch_size", "seq_length", "median_ms", ...}``.
    """
    from ofa.deploy.engines import load_engine, runnable

    threads = threads or machine.cores()
    first = next(iter(folders.values()))
    vocab_size = read_folder(first).shape.vocab_size
    # What a machine lacks, or a folder has no file for, is left out, and so absent from the record.
    has = {name: runnable(folder, device) for name, folder in folders.items()}
    sizes = list(product(settings.batch_sizes, settings.seq_lengths))
    timings: list[dict[str, Any]] = []
    bar = tqdm(total=len(settings.engines) * len(sizes), desc="latency", leave=False, dynamic_ncols=True)
    for engine in settings.engines:
        networks = {
            (precision, name): load_engine(folder, engine, precision, device, threads, max(settings.batch_sizes))
            for precision in settings.precisions
            for name, folder in folders.items()
            if (engine, precision) in has[name]
        }
        for batch_size, seq_length in sizes:
            found = measure(networks, batch_size, seq_length, vocab_size, settings.warmup, settings.repeats)
            for (precision, name), timing in found.items():
                setting = {"engine": engine, "precision": precision, "batch_size": batch_size, "seq_length": seq_length}
                timings.append({"network": name, **setting, **asdict(timing)})
            bar.update()
    bar.close()
    return {
        "where": machine.device_name(device),
        "device": device,
        "threads": threads,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "time": time.time(),
        "tokenizer_ms": time_tokenizer(first, settings),
        "timings": timings,
    }


def _summary(milliseconds: list[float], batch_size: int) -> Timing:
    median, p90, p99 = (float(np.percentile(milliseconds, q)) for q in (50, 90, 99))
    return Timing(median, p90, p99, 1000 * batch_size / median, len(milliseconds))

"""Measure the latency of exported networks on this machine. Estimates live in hardware.py."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ofa.model.folder import read_folder
from ofa.settings.schema import LatencyConfig
from ofa.system import machine

if TYPE_CHECKING:
    from ofa.model.network import Forward


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
    networks: Mapping[str, Forward],
    batch_size: int,
    seq_length: int,
    vocab_size: int,
    warmup: int = 5,
    repeats: int = 30,
    seed: int = 0,
) -> dict[str, Timing]:
    """Time ``networks`` (by name) in turns, so that a machine that drifts favours none.

    Every round runs each network once, in an order shuffled anew.
    """
    batch = random_batch(batch_size, seq_length, vocab_size, seed)
    times: dict[str, list[float]] = {name: [] for name in networks}
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


def time_folders(
    folders: Mapping[str, Path], settings: LatencyConfig, device: str, threads: int | None
) -> dict[str, Any]:
    """Time exported ``folders`` by name on ``device``, which Paddle has selected.

    Returns:
        ``{"where", "device", "threads", "machine", "versions", "timings"}``; a timing is a row
        ``{"network", "engine", "precision", "batch_size", "seq_length", "median_ms", ...}``.
    """
    from ofa.deploy.engines import available, load_engine

    has, threads = available(device), threads or machine.cores()
    vocab_size = read_folder(next(iter(folders.values()))).shape.vocab_size
    pairs = [
        (engine, precision)
        for engine, precision in product(settings.engines, settings.precisions)
        if precision in has.get(engine, ())  # what a machine lacks is left out, and so absent from the record
    ]
    sizes = list(product(settings.batch_sizes, settings.seq_lengths))
    timings: list[dict[str, Any]] = []
    bar = tqdm(total=len(pairs) * len(sizes), desc="latency", unit="setting", leave=False, dynamic_ncols=True)
    for engine, precision in pairs:
        networks = {name: load_engine(folder, engine, precision, device, threads) for name, folder in folders.items()}
        for batch_size, seq_length in sizes:
            found = measure(networks, batch_size, seq_length, vocab_size, settings.warmup, settings.repeats)
            setting = {"engine": engine, "precision": precision, "batch_size": batch_size, "seq_length": seq_length}
            timings += [{"network": name, **setting, **asdict(timing)} for name, timing in found.items()]
            bar.update()
    bar.close()
    return {
        "where": machine.device_name(device),
        "device": device,
        "threads": threads,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "timings": timings,
    }


def _summary(milliseconds: list[float], batch_size: int) -> Timing:
    median, p90, p99 = (float(np.percentile(milliseconds, q)) for q in (50, 90, 99))
    return Timing(median, p90, p99, 1000 * batch_size / median, len(milliseconds))

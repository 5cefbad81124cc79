"""Measure the latency of exported networks on this machine. Estimates live in hardware.py."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ofa.model.folder import read_folder
from ofa.results.record import key
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


def inputs(batch_size: int, seq_length: int, vocab_size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random token ids without padding, ``[B, S]`` int64, and token types of zeros."""
    rng = np.random.default_rng(seed)
    low = min(1000, vocab_size // 2)  # past padding and special tokens
    return rng.integers(low, vocab_size, (batch_size, seq_length)), np.zeros((batch_size, seq_length), dtype=np.int64)


def measure(
    networks: Mapping[float, Forward],
    batch_size: int,
    seq_length: int,
    vocab_size: int,
    warmup: int = 5,
    repeats: int = 30,
    seed: int = 0,
) -> dict[float, Timing]:
    """Time ``networks`` (by width) in turns, so that a machine that drifts favours none.

    Every round runs each network once, in an order shuffled anew.
    """
    batch = inputs(batch_size, seq_length, vocab_size, seed)
    times: dict[float, list[float]] = {width: [] for width in networks}
    for forward in networks.values():
        for _ in range(warmup):
            forward(*batch)
    order, shuffled = list(networks), random.Random(seed)
    for _ in range(repeats):
        shuffled.shuffle(order)
        for width in order:
            started = time.perf_counter()
            networks[width](*batch)
            times[width].append(1000 * (time.perf_counter() - started))
    return {width: _summary(values, batch_size) for width, values in times.items()}


def time_folders(
    folders: dict[float, Path], settings: LatencyConfig, device: str, threads: int | None, plain: str = ""
) -> dict:
    """Time exported ``folders`` by width on ``device``, which Paddle has selected.

    Args:
        plain: the engine whose figures do not name it; by default the first of the settings.

    Returns:
        ``{"where", "device", "threads", "machine", "versions", "timings": {width: {name: timing}}}``.
    """
    from ofa.deploy.engines import available, load_engine

    where = machine.device_name(device)
    has, threads = available(device), threads or machine.cores()
    vocab_size = read_folder(next(iter(folders.values()))).shape.vocab_size
    timings: dict[str, dict[str, dict]] = {str(width): {} for width in folders}
    pairs = [
        (engine, precision)
        for engine, precision in product(settings.engines, settings.precisions)
        if precision in has.get(engine, ())  # what a machine lacks is left out, and so absent from the record
    ]
    sizes = list(product(settings.batch_sizes, settings.seq_lengths))
    bar = tqdm(total=len(pairs) * len(sizes), desc="latency", unit="setting", leave=False, dynamic_ncols=True)
    for engine, precision in pairs:
        networks = {width: load_engine(folder, engine, precision, device, threads) for width, folder in folders.items()}
        for batch_size, seq_length in sizes:
            found = measure(networks, batch_size, seq_length, vocab_size, settings.warmup, settings.repeats)
            shown = "" if engine == (plain or settings.engines[0]) else engine
            name = key(where, shown, precision, batch_size, seq_length, "measured")
            for width, timing in found.items():
                timings[str(width)][name] = asdict(timing)
            bar.update()
    bar.close()
    return {
        "where": where,
        "device": device,
        "threads": threads,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "timings": timings,
    }


def _summary(milliseconds: list[float], batch_size: int) -> Timing:
    median, p90, p99 = (float(np.percentile(milliseconds, q)) for q in (50, 90, 99))
    return Timing(median, p90, p99, 1000 * batch_size / median, len(milliseconds))

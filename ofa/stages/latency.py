"""Time the exported folders of every width on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import product
from pathlib import Path

import paddle
from tqdm import tqdm

from ofa import runtime
from ofa.config import LatencyConfig
from ofa.engines import available, load_engine
from ofa.folder import read_folder
from ofa.latency import key, measure
from ofa.pipeline import Job, width_name


def run(job: Job) -> None:
    """Writes ``latency.json``: every timing by width and name, and the machine it was measured on."""
    folders = {width: job.needs["export"] / width_name(width) for width in job.config.ofa.widths}
    record = time_folders(folders, job.config.latency, job.config.hardware.threads)
    (job.folder / "latency.json").write_text(json.dumps(record, indent=1) + "\n")


def time_folders(folders: dict[float, Path], settings: LatencyConfig, threads: int | None) -> dict:
    """Time exported ``folders`` by width on the device Paddle has selected.

    Returns:
        ``{"where", "device", "threads", "machine", "versions", "timings": {width: {name: timing}}}``.
    """
    device = str(paddle.get_device())
    where = runtime.device_name(device)
    has, threads = available(device), threads or runtime.cores()
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
            shown = "" if engine == settings.engines[0] else engine
            name = key(where, shown, precision, batch_size, seq_length, "measured")
            for width, timing in found.items():
                timings[str(width)][name] = asdict(timing)
            bar.update()
    bar.close()
    return {
        "where": where,
        "device": device,
        "threads": threads,
        "machine": runtime.machine(),
        "versions": runtime.versions(),
        "timings": timings,
    }

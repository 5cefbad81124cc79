"""Time the exported folders of an earlier run on this machine: ``ofa time RUN_FOLDER``.

Copy a run's folder and its exported networks (``outputs/runs/<name>``, and the folder in ``outputs/store/`` that its
``results.json`` names as ``export``) to the machine that will serve, and the measured figures join that run's results
and its MLflow runs.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from ofa.deploy.latency import time_folders
from ofa.errors import UserError
from ofa.model.folder import read_folder
from ofa.results import collect, terminal, timings
from ofa.results.card import CARD, write_cards
from ofa.results.links import link_networks
from ofa.results.record import Results
from ofa.settings.bounds import at_least, per_cpu
from ofa.settings.compose import load
from ofa.settings.rules import extras_missing, latency_problems, position_problems
from ofa.settings.schema import Config, LatencyConfig
from ofa.store import Store
from ofa.supernet.space import networks, networks_found
from ofa.system import machine, process
from ofa.system.command import as_command
from ofa.system.files import unusable
from ofa.system.output import run_folder
from ofa.tracking.logged import log_timings
from ofa.tracking.tracker import page


def time_run(
    folder: Path, device: str, threads: int | None, settings: LatencyConfig | None, uri: str | None
) -> Results:
    """Time every network of the run in ``folder`` and add the figures to its results.

    Args:
        device: auto, cpu or gpu.
        threads: None: as many as the job ran on, or all cores where it left that open or this machine has fewer.
        settings: what to time; None: what the run's own settings say.
        uri: the tracking URI, where it is another one on this machine.

    Returns:
        The new results.

    Raises:
        UserError: if the folder is no finished run, its exported networks are not beside it, or there is
            nothing here to time.
    """
    if problems := [*at_least("--threads", threads, 1), *per_cpu("--threads", threads)]:
        raise UserError("\n".join(problems))
    folder = folder.absolute()  # the store is beside its folder of runs
    config, results = _exported_run(folder)
    store = folder.parent.parent / "store" / str(results.export)
    folders = {network.name: store / network.name for network in results.exported}
    missing = [path for path in folders.values() if not path.is_dir()]
    if missing:
        raise UserError(f"{missing[0]}: not here; copy {store.name} into {store.parent} as well")
    if found := Store.damage(store, thorough=True) if Store.complete(store) else None:
        raise UserError(f"{store}: {found}; copy that folder again")
    if found := unusable(folder):
        raise UserError(f"{found}, where the figures go; copy the run's folder and the store to another place")
    asked = config.hardware.threads
    threads = threads or (asked if asked and asked <= machine.cores() else None)
    process.prepare(threads)
    from ofa.deploy.engines import available

    chosen, shape = settings or config.latency, read_folder(folders[results.largest.name]).own_shape
    problems = [*latency_problems(chosen, config.hardware), *extras_missing("latency.engines", chosen.engines)]
    problems += position_problems(config.trainer, chosen, shape.max_tokens, str(store))
    if problems:
        raise UserError("\n".join(problems))
    record = time_folders(folders, chosen, process.set_device(device, "--device"), threads)
    if not record["timings"]:
        here = "; ".join(f"{engine}: {', '.join(has)}" for engine, has in available(record["device"]).items())
        raise UserError(f"latency: none of these engines has these precisions on this {record['where']}; it has {here}")
    timings.keep_timings(folder, record)
    results = timings.with_timings(results, record)
    of_job = networks(config.ofa.widths, config.ofa.depths, shape) | networks_found(results.search)
    results = collect.advised(results, folder, config, shape, of_job)
    files = collect.write(folder, results)
    if (folders[results.largest.name] / CARD).exists():  # older exports have none, and do not load as one says
        write_cards(config, store, results)
    link_networks(folder, store, results)
    tracking = config.tracking if uri is None else replace(config.tracking, uri=uri)
    log_timings(replace(config, tracking=tracking), folder, store, results, files)
    return results


def _exported_run(folder: Path) -> tuple[Config, Results]:
    """Its results first: a folder without them is no run, and is said to be none in the words of the other commands."""
    results = collect.read_given(folder)
    if not results.export:
        raise UserError(f"{folder}: that run has exported nothing; run it again with stages=[evaluate,export]")
    return load(folder / "config.yaml"), results


@as_command
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ofa time", description=__doc__.splitlines()[0])
    parser.add_argument("run_folder", type=Path, help="outputs/runs/<name>, or the name of a run in OFA_OUTPUT")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    parser.add_argument("--threads", type=int, help="CPU threads; by default as many as the job had")
    parser.add_argument("--engines", nargs="+", help="paddle, onnxruntime, openvino, tensorrt")
    parser.add_argument("--precisions", nargs="+", help="fp32, bf16, fp16, int8")
    parser.add_argument("--batch-sizes", nargs="+", type=int)
    parser.add_argument("--seq-lengths", nargs="+", type=int)
    parser.add_argument("--tracking-uri", help="MLflow, if it is reached otherwise from here")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = ("engines", "precisions", "batch_sizes", "seq_lengths")
    chosen = {key: getattr(options, key) for key in given if getattr(options, key)}
    folder = run_folder(options.run_folder)
    config, _ = _exported_run(folder)
    settings = replace(config.latency, **chosen)
    results = time_run(folder, options.device, options.threads, settings, options.tracking_uri)
    terminal.show(results, terminal.Where(folder, page(folder), config.task.pair))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

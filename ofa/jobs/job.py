"""One job: from typed settings to results, in a folder and an MLflow run of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ofa.errors import Interrupted, UserError
from ofa.jobs.preflight import FINISHED, folder_problems
from ofa.results import collect, terminal, timings
from ofa.results.card import write_cards
from ofa.results.links import link_networks, link_recommended
from ofa.results.record import Results
from ofa.settings import compose
from ofa.settings.fields import what
from ofa.settings.schema import Config, TrackingConfig
from ofa.settings.unread import sizes_unread
from ofa.stages.inputs import Inputs, load_inputs
from ofa.stages.pipeline import plan
from ofa.stages.runner import run_stages
from ofa.store import Store
from ofa.supernet.space import Network, networks_found, record_of_search
from ofa.system import files, process, ranks
from ofa.system.files import expanded
from ofa.system.redact import without_secrets
from ofa.tracking import logged
from ofa.tracking.tracker import Tracker, page

log = logging.getLogger(__name__)


def run_job(config: Config, yaml: str) -> Results:
    """Run the stages ``config`` asks for; writes and returns the results.

    Every rank of a job on several devices calls this; rank 0 writes and reports.

    Args:
        config: settings that passed ``rules.check``.
        yaml: the resolved settings as text, kept beside the results.
    """
    log.info("Process: %s.", ", ".join(process.prepare(config.hardware.threads, config.sweep.parallel_jobs)))
    config = replace(config, hardware=replace(config.hardware, devices=ranks.size()))
    ranks.init(config.hardware.device)
    with ranks.main_first():
        inputs = load_inputs(config)
    if inputs.folder:
        own = {**vars(inputs.shape), "architecture": inputs.folder.architecture.name}
        for line in sizes_unread(config.model, own, inputs.folder.path):
            log.warning(line)
    output_dir = expanded(config.output_dir)
    folder = output_dir / "runs" / f"{config.name}-{_digest(config, inputs)}"
    store = Store(output_dir / "store")
    before = ranks.broadcast(_finished(config, inputs, store, folder) if ranks.is_main() else None)
    if before is not None:
        log.info("Already finished with the same settings and data; nothing to do: %s", folder)
        if not config.sweep.name:
            terminal.show(before, terminal.Where(folder, page(folder), config.task.pair))
        return before
    if problems := folder_problems(config):
        raise UserError("\n".join(problems))
    tracker = Tracker(config.tracking if ranks.is_main() else TrackingConfig("none"), output_dir, folder)
    with ranks.main_first():
        _open_folder(folder, yaml)
    status = "FAILED"
    try:
        with store.using(_folders(config, inputs, store).values()) if ranks.is_main() else nullcontext():
            folders, results = _work(config, inputs, tracker, store, folder)
        status = "FINISHED"
    except (KeyboardInterrupt, Interrupted) as error:
        status = "KILLED"
        raise KeyboardInterrupt(str(error)) from None
    finally:
        where = tracker.finish(status)
    if not ranks.is_main():
        return results
    if not tracker.unsent:
        mark = _mark(config, folders)
        files.write_whole(folder / FINISHED, json.dumps(mark, indent=1) + "\n")
    if not config.sweep.name:  # which has a line for each job, and one table at its end
        terminal.show(results, terminal.Where(folder, where, config.task.pair))
    return results


def _work(
    config: Config, inputs: Inputs, tracker: Tracker, store: Store, folder: Path
) -> tuple[dict[str, Path], Results]:
    """Run the stages, then collect and publish what came of them; the folder of each stage, and the results."""
    found: dict[str, Network] = {}

    def open_found(stage: str, made: Path) -> None:
        """Networks that a search found have runs of their own before a later stage reports to them."""
        if stage == "search":
            found.update(networks_found(record_of_search(made)))
            logged.open_networks(tracker, config.title, config, inputs.shape, found)

    logged.open_runs(tracker, config.title, config, inputs.shape, inputs.networks)
    logged.log_data(tracker, config, inputs.counts, inputs.row_digests, inputs.networks)
    stop = threading.Event()
    with _asked_by(signal.SIGINT, stop):  # as PaddleNLP loads, an exception may be lost in one of its own try blocks
        process.set_device(config.hardware.device)
        with _asked_by(signal.SIGTERM, stop):  # Paddle takes it for itself as it loads
            folders = run_stages(config, inputs, tracker, store, stop.is_set, open_found)
    parts = (config, folder, folders, inputs.shape, inputs.networks | found, inputs.counts)
    results: Results = ranks.broadcast(collect.collect(*parts) if ranks.is_main() else None)
    if ranks.is_main():
        _publish(tracker, config, folder, folders, results)
    return folders, results


def _publish(tracker: Tracker, config: Config, folder: Path, folders: Mapping[str, Path], results: Results) -> None:
    """Write the results into the run's folder and beside its networks, and log them."""
    written = collect.write(folder, results)
    if "export" in folders:
        write_cards(config, collect.deployed(folders), results)
        link_networks(folder, collect.deployed(folders), results)
    else:
        link_recommended(folder, results)
    logged.log_results(tracker, config.title, config, folders, results)
    tracker.artifacts([*written, folder / "config.yaml"])


def _open_folder(folder: Path, yaml: str) -> None:
    if not ranks.is_main():
        if not (folder / "config.yaml").exists():
            raise UserError(
                f"output_dir: rank {ranks.rank()} does not find {folder}, which rank 0 made\n"
                "all machines need the same settings and data, and one output_dir that they share"
            )
        return
    log.info("Run folder: %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_whole(folder / "config.yaml", compose.without_secrets_in(yaml))


def _digest(config: Config, inputs: Inputs) -> str:
    """Names the run's folder: the same settings on the same data meet in the same one."""
    text = json.dumps([what(config), inputs.digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _folders(config: Config, inputs: Inputs, store: Store) -> dict[str, Path]:
    """The folder in the store of each stage that the job has, made or not."""
    return {stage.name: made[stage.name] for stage, _, made in plan(config, inputs, store)}


def _mark(config: Config, folders: Mapping[str, Path]) -> dict[str, Any]:
    """What a finished job has done: the folders of its stages in the store, their content, and where it reported to.

    Another job may have made a stage again since, which it shares: what was made from it is made again, too.
    """
    tracking = asdict(config.tracking) | {"uri": without_secrets(config.tracking.uri or "")}
    stages = {name: path.name for name, path in folders.items()}
    contents = {name: Store.content(path) for name, path in folders.items()}
    return {"stages": stages, "contents": contents, "tracking": tracking}


def _finished(config: Config, inputs: Inputs, store: Store, folder: Path) -> Results | None:
    """The results of this job if it has finished before and all it made is there, without loading Paddle."""
    if config.force:
        return None
    if not all((folder / name).exists() for name in (FINISHED, "results.json")):
        return None
    folders = _folders(config, inputs, store)
    thorough = not config.sweep.name  # finished jobs of a sweep are many, and share most of their folders
    if not all(store.complete(path) and store.damage(path, thorough) is None for path in folders.values()):
        return None
    try:
        if json.loads((folder / FINISHED).read_text()) != _mark(config, folders):
            return None
        results = collect.read(folder)
        return results if timings.has_timings(results, folder) else None
    except (
        UserError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # damaged: both are written again
        return None


@contextmanager
def _asked_by(number: int, stop: threading.Event) -> Iterator[None]:
    """Ctrl-C or SIGTERM ask the training loop to save and ``stop``; a second Ctrl-C stops at once.

    A second SIGTERM does not: launchers of several processes send it in volleys.
    """

    def ask(*_: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()
        log.warning("Stopping after this step, with a checkpoint (once more to stop at once).")

    before = signal.signal(number, ask)
    try:
        yield
    finally:
        signal.signal(number, before)

"""Cut out, export and prove: every width as a folder to deploy, the same network that was scored."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from ofa import elastic, runtime
from ofa import model as models
from ofa.engines import available, load_engine
from ofa.evaluation import forward_of
from ofa.export import export
from ofa.parity import Parity, compare, require
from ofa.pipeline import Job, width_name


def run(job: Job) -> None:
    """Writes ``<width>/`` (weights, graphs, vocabulary) and ``parity.json``."""
    found = {}
    for width in tqdm(job.config.ofa.widths, desc="export and re-score", unit="width", leave=False, dynamic_ncols=True):
        name = width_name(width)
        target = job.folder / name
        shutil.copytree(job.needs["distill"] / "widths" / name, target)
        model, _ = models.load(target)
        (target / "subnet.json").write_text(json.dumps(elastic.full(model).to_dict()) + "\n")
        export(model, target)
        found[name] = {
            "parity": [asdict(parity) for parity in _prove(job, name, target)],
            "bytes": {path.name: path.stat().st_size for path in sorted(target.iterdir())},
        }
    (job.folder / "parity.json").write_text(json.dumps(found, indent=1) + "\n")


def _prove(job: Job, name: str, folder: Path) -> list[Parity]:
    """Compare the files with the network that was scored, on all dev rows, in all that a CPU can run them with."""
    scored, _ = models.load(job.needs["distill"] / "widths" / name)
    config, found = job.config, []
    for engine, precisions in available("cpu").items():
        for precision in precisions:
            exported = load_engine(folder, engine, precision, "cpu", config.hardware.threads or runtime.cores())
            parity = compare(
                forward_of(scored),
                exported,
                job.inputs.dev,
                config.task.metrics,
                config.trainer.eval_batch_size,
                engine,
                precision,
            )
            require(parity, name, classes=bool(config.task.labels))
            found.append(parity)
    return found

"""Score the teacher and every sub-network on the dev splits, and count what each costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ofa.evaluation import alarms
from ofa.evaluation.scores import main_score, predict, scores
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.pipeline import Job
from ofa.supernet import elastic
from ofa.supernet.subnet import count_macs, count_params, uniform
from ofa.system import ranks


def run(job: Job) -> None:
    """Writes ``scores.json``: ``teacher``, ``networks`` by name, and ``alarms`` as sentences."""
    spreads: dict[str, float] = {}
    teacher = _score(job, "teacher", job.needs["finetune"] / "model", spreads)
    for key in ("heads", "neurons"):
        teacher.pop(key)
    found: dict[str, dict[str, Any]] = {}
    for network in tqdm(job.inputs.networks.values(), desc="evaluate", leave=False, dynamic_ncols=True):
        shares = {"width": network.width, "depth": network.depth}
        found[network.name] = shares | _score(
            job, network.name, job.needs["distill"] / "widths" / network.name, spreads
        )
    if not ranks.leads():
        return
    record = {"teacher": teacher, "networks": found, "alarms": _alarms(job, teacher, found, spreads)}
    (job.folder / "scores.json").write_text(json.dumps(record, indent=1) + "\n")


def _alarms(job: Job, teacher: dict, networks: dict[str, dict], spreads: dict[str, float]) -> list[str]:
    inputs, task = job.inputs, job.config.task
    encoded = {split: inputs.encoded(split) for split in inputs.rows}
    cut = {split: rows.truncated / len(rows) for split, rows in encoded.items()}
    labels = next(iter(inputs.dev.values())).labels
    constant = alarms.constant_score(task.kind, task.metrics, labels, len(task.outputs))
    return [
        *alarms.truncation(cut, inputs.max_seq_length),
        *alarms.teacher(teacher["score"], constant),
        *alarms.family(teacher["score"], networks, spreads, constant),
    ]


def _score(job: Job, name: str, path: Path, spreads: dict[str, float]) -> dict[str, Any]:
    model, folder = models.load(path)
    forward, batch_size = forward_of(model), job.config.trainer.eval_batch_size
    logits = {split: predict(forward, encoded, batch_size, together=True) for split, encoded in job.inputs.dev.items()}
    metrics = scores(logits, job.inputs.dev, job.config.task.metrics)
    spreads[name] = float(np.ptp(next(iter(logits.values())), axis=0).max())
    subnet = elastic.full(model)
    return {
        "heads": uniform(subnet.heads),
        "neurons": uniform(subnet.neurons),
        "score": main_score(metrics),
        "metrics": metrics,
        "params": count_params(folder.shape, subnet),
        "macs": count_macs(folder.shape, subnet, job.config.trainer.max_seq_length),
    }

"""Score the teacher and the network of every width on the dev splits, and count what each costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ofa.evaluation import alarms
from ofa.evaluation.scores import main_score, predict, scores
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.pipeline import Job
from ofa.supernet import elastic
from ofa.supernet.space import width_name
from ofa.supernet.subnet import count_macs, count_params, uniform
from ofa.system import ranks


def run(job: Job) -> None:
    """Writes ``scores.json``: ``teacher`` and ``widths`` as results.json has them, and ``alarms`` in words."""
    widths = [(width, job.needs["distill"] / "widths" / width_name(width)) for width in job.config.ofa.widths]
    spreads: dict[str, float] = {}
    teacher = _score(job, "teacher", job.needs["finetune"] / "model", spreads)
    for key in ("heads", "neurons"):
        teacher.pop(key)
    found = []
    for width, folder in tqdm(widths, desc="evaluate", unit="width", leave=False, dynamic_ncols=True):
        found.append({"width": width, **_score(job, f"width {width:.4g}", folder, spreads)})
    if not ranks.leads():
        return
    results = {"teacher": teacher, "widths": found}
    results["alarms"] = _alarms(job, results, spreads)
    (job.folder / "scores.json").write_text(json.dumps(results, indent=1) + "\n")


def _alarms(job: Job, results: dict, spreads: dict[str, float]) -> list[str]:
    inputs, task = job.inputs, job.config.task
    encoded = {split: inputs.encoded(split) for split in inputs.rows}
    cut = {split: rows.truncated / len(rows) for split, rows in encoded.items()}
    labels = next(iter(inputs.dev.values())).labels
    constant = alarms.constant_score(task.kind, task.metrics, labels, len(task.outputs))
    return [
        *alarms.truncation(cut, inputs.max_seq_length),
        *alarms.teacher(results["teacher"]["score"], constant),
        *alarms.family(results, spreads, constant),
    ]


def _score(job: Job, name: str, path: Path, spreads: dict[str, float]) -> dict:
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

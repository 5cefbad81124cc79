"""Score the teacher and the network of every width on the dev splits, and count what each costs."""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from ofa import elastic
from ofa import model as models
from ofa.evaluation import evaluate, forward_of, main_score
from ofa.pipeline import Job, width_name
from ofa.subnet import count_macs, count_params, uniform


def run(job: Job) -> None:
    """Writes ``scores.json``: ``teacher`` and ``widths``, as results.json has them."""
    widths = [(width, job.needs["distill"] / "widths" / width_name(width)) for width in job.config.ofa.widths]
    teacher = _score(job, job.needs["finetune"] / "model")
    for key in ("heads", "neurons"):
        teacher.pop(key)
    found = []
    for width, folder in tqdm(widths, desc="evaluate", unit="width", leave=False, dynamic_ncols=True):
        found.append({"width": width, **_score(job, folder)})
    (job.folder / "scores.json").write_text(json.dumps({"teacher": teacher, "widths": found}, indent=1) + "\n")


def _score(job: Job, path: Path) -> dict:
    model, folder = models.load(path)
    metrics = evaluate(forward_of(model), job.inputs.dev, job.config.task.metrics, job.config.trainer.eval_batch_size)
    subnet = elastic.full(model)
    return {
        "heads": uniform(subnet.heads),
        "neurons": uniform(subnet.neurons),
        "score": main_score(metrics),
        "metrics": metrics,
        "params": count_params(folder.shape, subnet),
        "macs": count_macs(folder.shape, subnet, job.config.trainer.max_seq_length),
    }

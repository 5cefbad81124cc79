"""Score the teacher and every sub-network, and count what each costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ofa.data.kinds import KINDS
from ofa.data.seen_tokens import kept_of, rows_changed, share_changed
from ofa.evaluation import alarms
from ofa.evaluation.intervals import interval_of_loss, resampled
from ofa.evaluation.scores import main_score, predict_splits, scores
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.settings.schema import Config
from ofa.stages.context import StageContext
from ofa.stages.inputs import Inputs
from ofa.supernet import elastic
from ofa.supernet.subnet import count_macs, count_params, uniform
from ofa.system import ranks


def run(context: StageContext) -> None:
    """Writes ``scores.json``: ``teacher``, ``networks`` by name, and ``alarms`` as sentences."""
    last = json.loads((context.distilled / "distill.json").read_text())["last"]
    undistilled = _undistilled(context)
    # The teacher as it was, so that what a smaller vocabulary costs is part of what the networks lose against it.
    original = context.inputs.full or context.inputs
    teacher, reference, answers = _score(context, context.needs["finetune"] / "model", original)
    for key in ("heads", "neurons"):
        teacher.pop(key)
    networks, logits = {}, {"teacher": answers}
    for name, network in tqdm(context.networks.items(), desc="evaluate", leave=False, dynamic_ncols=True):
        entry, sampled, logits[name] = _score(context, context.trained(name), context.inputs)
        networks[name] = {
            "width": network.width,
            "depth": network.depth,
            **entry,
            **({"last": main_score(last[name])} if name in last else {}),
            "undistilled": undistilled[name],
            "lost": interval_of_loss(reference, sampled),
        }
    if ranks.is_main():
        rows = len(next(iter(context.inputs.dev.values())))
        found, learned = _alarms(context, teacher, networks, logits)
        record = {"rows": rows, "learned": learned, "teacher": teacher, "networks": networks, "alarms": found}
        if context.inputs.full:
            record["vocabulary"] = _vocabulary(context.inputs, context.inputs.full, context.config)
        (context.folder / "scores.json").write_text(json.dumps(record, indent=1) + "\n")


def _vocabulary(inputs: Inputs, full: Inputs, config: Config) -> dict[str, Any]:
    """How many tokens the networks know, of how many, and the share of rows of each split and file that they change."""
    kept = kept_of(full.tokenizer, inputs.tokenizer)
    changed = {split: float(rows_changed(full.encoded(split), kept).mean()) for split in full.rows if split != "train"}
    for name, path in zip(config.ofa.vocabulary_files, full.vocabulary_files, strict=True):
        changed[name] = share_changed(path, config.task, full.tokenizer, kept, full.max_seq_length)
    return {"tokens": inputs.tokenizer.size, "of": full.tokenizer.size, "changed": changed}


def _undistilled(context: StageContext) -> dict[str, float]:
    """The score of each sub-network cut from the reordered teacher, before anything is distilled."""
    supernet, _ = models.load(context.reordered)
    elastic.make_elastic(supernet)
    found = {}
    for name, network in context.networks.items():
        with elastic.selected(supernet, network.subnet):
            found[name] = main_score(context.score(supernet))
    return found


def _alarms(
    context: StageContext, teacher: dict, networks: dict[str, dict], logits: dict[str, np.ndarray]
) -> tuple[list[str], bool]:
    """Warnings in words, and whether the teacher is better than a constant answer."""
    inputs, task = context.inputs, context.config.task
    encoded = {split: inputs.encoded(split) for split in inputs.rows}
    cut = {split: rows.truncated / len(rows) for split, rows in encoded.items()}
    labels = next(iter(inputs.dev.values())).labels
    constant = alarms.constant_score(KINDS[task.kind], task.metrics, labels, len(task.outputs))
    of_teacher = alarms.teacher(teacher["score"], constant, labels, inputs.label_order is None)
    searched = networks.keys() - inputs.networks.keys()
    spreads = {name: float(np.ptp(answers, axis=0).max()) for name, answers in logits.items()}
    of_family = alarms.family(teacher["score"], networks, spreads, constant, searched)
    learned = not of_teacher and spreads["teacher"] >= alarms.CONSTANT
    of_scale = [] if KINDS[task.kind].has_classes else alarms.scale(logits, labels)
    return [*alarms.truncation(cut, inputs.max_seq_length), *of_teacher, *of_family, *of_scale], learned


def _score(context: StageContext, path: Path, inputs: Inputs) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A network's entry, its score on resampled rows of the first dev split, and its logits ``[N, C]`` there."""
    model, folder = models.load(path)
    metrics, batch_size = context.config.task.metrics, context.config.trainer.eval_batch_size
    dev = inputs.dev
    logits = predict_splits(forward_of(model), dev, batch_size, together=True)
    found, first = scores(logits, dev, metrics), next(iter(dev))
    subnet = elastic.full(model)
    entry = {
        "heads": uniform(subnet.heads),
        "neurons": uniform(subnet.neurons),
        "score": main_score(found),
        "metrics": found,
        "params": count_params(folder.shape, subnet),
        "macs": count_macs(folder.shape, subnet, context.config.trainer.max_seq_length),
    }
    if inputs.test is not None:
        entry["test"] = context.score(model, {"test": inputs.test})
    sampled = resampled(metrics[0], logits[first], dev[first].labels)
    return entry, sampled, logits[first]

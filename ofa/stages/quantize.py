"""Quantise every exported network, and offer the file only if it scores on the dev rows as the network does."""

from __future__ import annotations

import json
import logging
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ofa.data.batches import Batch, collate, eval_batches
from ofa.data.kinds import KINDS
from ofa.deploy.engines import run_onnx, run_openvino
from ofa.deploy.graphs import ONNX_GRAPH, graph, reduced
from ofa.deploy.quantize import Source, most_sensitive, write
from ofa.deploy.smoothing import smooth
from ofa.evaluation import alarms
from ofa.evaluation.parity import compare
from ofa.evaluation.scores import main_score, scores
from ofa.model.folder import read_folder
from ofa.stages.context import StageContext
from ofa.system import files, machine

log = logging.getLogger(__name__)
ROWS = 256  # calibration rows, if the settings do not say how many
# Dynamic INT8 has one range for all activations of a batch, so a row's answer depends on what it is batched with, by as
# much as 2 points of a score on 1,000 rows. The mean over batches of these sizes is surer than any one of them.
BATCHES = (1, 16, 128)
Logits = dict[str, np.ndarray]  # dev split -> [N, C]


def run(context: StageContext) -> None:
    """Writes ``<name>/`` (what was exported, and the graphs in reduced precision that passed) and ``int8.json``."""
    fast = machine.multiplies_int8()
    if not fast:
        log.warning("quantize: this CPU has neither VNNI nor AMX; INT8 gains little here")
    found = {}
    exported = context.needs["export"]
    names = json.loads((exported / "parity.json").read_text())
    for name in tqdm(names, desc="quantise and re-score", leave=False, dynamic_ncols=True):
        folder = context.folder / name
        card = shutil.ignore_patterns("README.md")  # a job's own, written anew with its results
        shutil.copytree(exported / name, folder, copy_function=files.link, ignore=card)
        found[name] = _network(context, name, folder)
    (context.folder / "int8.json").write_text(json.dumps({"fast_cpu": fast, "networks": found}, indent=1) + "\n")


def _network(context: StageContext, name: str, folder: Path) -> list[dict[str, Any]]:
    """An entry for every engine and precision that was asked for."""
    settings, fp32 = context.config.int8, folder / ONNX_GRAPH
    files.require_space(context.work, 4 * fp32.stat().st_size)
    layers = read_folder(folder).shape.num_hidden_layers
    source = Source.prepare(fp32, layers, _batches(context), settings.reduce_range, context.work, context.threads)
    expected, found = _logits(context, fp32), []
    for (engine, precision), method in reduced(context.config).items():
        target = graph(folder, engine, precision)
        for tried, kept in _attempts(source, method, settings.tries):
            write(tried, target, method, kept)
            batches = BATCHES if method == "dynamic" else (context.config.trainer.eval_batch_size,)
            entry = _judge(context, (name, engine, precision), target, expected, batches)
            entry |= {"engine": engine, "precision": precision, "method": method}
            entry |= {"kept_fp32": kept, "smoothed": tried is not source}
            if entry["refused"] is None:
                break
        else:
            target.unlink()
            log.warning("quantize: %s", entry["refused"])
        found.append(entry)
    return found


def _attempts(source: Source, method: str, tries: int) -> Iterator[tuple[Source, list[str]]]:
    """The graph, and its parts that stay FP32, of each attempt: as it is, and so many further ``tries``.

    First the outliers of activations are smoothed, which costs no bytes; then the most sensitive parts go back to FP32
    as well, one more each time; never all of them.
    """
    yield source, []
    if tries:
        smoothed = smooth(source)
        yield smoothed, []
    order = most_sensitive(smoothed, method) if tries > 1 else []
    for kept in range(1, min(tries, len(order))):
        yield smoothed, order[:kept]


def _judge(
    context: StageContext, whose: tuple[str, str, str], path: Path, expected: Logits, batches: tuple[int, ...]
) -> dict[str, Any]:
    """Scores of the graph at ``path``, what it loses at most in a metric, and why it is refused if it is.

    Args:
        whose: network, engine and precision.
        batches: sizes of the batches in which it answers; its scores are the mean over these.
    """
    name, engine, precision = whose
    what = f"{name} in {precision} for {engine}"
    task, dev, most = context.config.task, context.inputs.dev, context.config.int8.max_drop
    found = {size: _logits(context, path, engine, size) for size in batches}
    for logits in found.values():
        of_network, of_graph = (np.concatenate(list(splits.values())) for splits in (expected, logits))
        if wrong := alarms.reduced(what, of_network, of_graph, KINDS[task.kind]):
            return {"refused": wrong[0], "alarms": wrong}
    wanted = scores(expected, dev, task.metrics)
    each = {size: scores(logits, dev, task.metrics) for size, logits in found.items()}
    got = {metric: statistics.mean(of_size[metric] for of_size in each.values()) for metric in wanted}
    drop = _most_lost(wanted, got)
    refused = f"loses {drop:.2f} points (int8.max_drop allows {most:g})" if drop > most else None
    if refused is None and not KINDS[task.kind].has_classes:
        refused = alarms.moved_scores(expected, found.values(), {split: rows.labels for split, rows in dev.items()})
    parities = [compare(expected, logits, dev, task.metrics, engine, precision) for logits in found.values()]
    return {
        "score": main_score(got),
        "metrics": got,
        "drop": drop,
        "drop_in_batches": {str(size): _most_lost(wanted, of_size) for size, of_size in each.items()},
        "bytes": path.stat().st_size,
        "parity": asdict(max(parities, key=lambda parity: parity.logit_difference)),
        "refused": refused and f"{what}: {refused}; no file is offered",
        "alarms": [],
    }


def _most_lost(wanted: dict[str, float], got: dict[str, float]) -> float:
    """The most points that any metric loses."""
    return round(max(100 * (wanted[metric] - got[metric]) for metric in wanted), 6)


def _logits(context: StageContext, path: Path, engine: str = "onnxruntime", batch_size: int | None = None) -> Logits:
    """Of all dev rows; graphs for GPUs run in ONNX Runtime, too."""
    run = run_openvino if engine == "openvino" else run_onnx
    return context.dev_logits(run(path, threads=context.threads), batch_size)


def _batches(context: StageContext) -> list[Batch]:
    """Training rows, the same for every network."""
    encoded, rows = context.inputs.encoded("train"), context.config.int8.calibration_rows or ROWS
    chosen = np.random.default_rng(context.config.trainer.seed).permutation(len(encoded))[:rows]
    sample = encoded.take(np.sort(chosen))
    return [collate(sample, picked) for picked in eval_batches(sample.lengths, 32)]

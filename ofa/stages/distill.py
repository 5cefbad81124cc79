"""Distil every sub-network from the teacher, on shared weights, and keep the best weights of each."""

from __future__ import annotations

import json
import logging
import shutil
from functools import partial
from pathlib import Path

import paddle
from tqdm import tqdm

from ofa.data.batches import Batch, TrainBatches
from ofa.evaluation.scores import evaluate, main_score
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.pipeline import StageContext
from ofa.supernet import elastic
from ofa.supernet.space import sample
from ofa.supernet.subnet import SubNet, count_macs
from ofa.system import process, ranks
from ofa.training.checkpoint import BestNetworks
from ofa.training.distillation import Distillation, TeacherCache
from ofa.training.loop import Loop, tensors
from ofa.training.precision import Precision

log = logging.getLogger(__name__)


def run(context: StageContext) -> None:
    """Writes ``widths/<name>/`` (cut networks), ``supernet/`` (shared weights, last step) and ``distill.json``."""
    config, trainer = context.config, context.config.trainer
    process.seed_everything(trainer.seed)
    dropout = config.model.dropout if config.ofa.dropout is None else config.ofa.dropout
    supernet, folder = models.load(context.needs["reorder"] / "model", dropout)
    teacher, _ = models.load(context.needs["finetune"] / "model")
    teacher.eval()
    elastic.make_elastic(supernet)
    batches = TrainBatches(context.inputs.encoded("train"), trainer.distill.batch_size, trainer.seed)
    networks = context.inputs.networks
    costs = {name: count_macs(folder.shape, network.subnet) for name, network in networks.items()}
    precision = Precision(trainer.precision)
    weights = (config.ofa.hidden_weight, config.ofa.logit_weight)
    threads = process.threads() if paddle.get_device() == "cpu" else 1
    distillation = Distillation(supernet, teacher, *weights, precision, config.task.kind, threads)
    memory = _memory(context, teacher, batches, precision)
    best = BestNetworks(context.work)
    last: dict[str, dict[str, float]] = {}

    def step(batch: Batch, number: int) -> dict[str, paddle.Tensor]:
        input_ids, token_type_ids, _ = tensors(batch)
        drawn = sample(costs, config.ofa.sampling, config.ofa.sandwich_random, trainer.seed, number)
        subnets = [networks[name].subnet for name in drawn]
        targets = memory.lookup(batch) if memory else None
        return distillation.step(input_ids, token_type_ids, subnets, batch.row_share, batch.token_share, targets)

    def save(network: paddle.nn.Layer, path: Path) -> None:
        models.save(network, path, folder.labels, context.inputs.vocab, context.inputs.lower_case)

    def save_cut(subnet: SubNet, path: Path) -> None:
        save(elastic.extract(supernet, subnet), path)

    def score(number: int) -> dict[str, float]:
        for name, network in tqdm(networks.items(), desc="dev scores", leave=False, dynamic_ncols=True):
            with elastic.selected(supernet, network.subnet):
                metrics = evaluate(
                    forward_of(supernet), context.inputs.dev, config.task.metrics, trainer.eval_batch_size
                )
            last[name] = metrics
            context.monitor.metrics({f"dev/{key}": value for key, value in metrics.items()}, number, name)
        of_step = {name: main_score(metrics) for name, metrics in last.items()}
        shared = {"last": float(number), "best_shared": sum(of_step.values())}.get(config.ofa.keep)
        for name, value in of_step.items():
            best.update(name, number, value, partial(save_cut, networks[name].subnet), shared)
        return of_step

    loop = Loop(
        name="distill",
        model=supernet,
        step=step,
        batches=batches,
        settings=trainer.distill,
        seed=trainer.seed,
        folder=context.work,
        evaluate=score,
        best=best,
        precision=precision,
        monitor=context.monitor,
        stop=context.stop,
    )
    steps = loop.run()
    if not ranks.is_main():
        return
    for name in networks:
        shutil.copytree(best.path(name), context.folder / "widths" / name)
    elastic.select(supernet, elastic.full(supernet))
    save(supernet, context.folder / "supernet")
    record = {"steps": steps, "best": best.found, "last": last, "history": loop.history}
    (context.folder / "distill.json").write_text(json.dumps(record))


def _memory(
    context: StageContext, teacher: paddle.nn.Layer, batches: TrainBatches, precision: Precision
) -> TeacherCache | None:
    """The teacher's outputs on all training rows, where that is allowed, fits, and is read more than once."""
    settings, allowed = context.config.trainer.distill, context.config.ofa.teacher_memory_mb
    once = (settings.max_steps or settings.epochs * len(batches)) < 2 * len(batches)
    needed = TeacherCache.size_mb(batches.encoded, models.shape_of(teacher))
    # A GPU computes them faster than they could be copied to it.
    if once or needed > allowed or ranks.size() > 1 or paddle.get_device() != "cpu":
        return None
    log.info("distill: the teacher's outputs are computed once and kept (%.0f of at most %d MB)", needed, allowed)
    return TeacherCache(teacher, batches.encoded, settings.batch_size, precision)

"""Distil sub-networks from a teacher, on shared weights, and keep the best weights of each: what the stages share."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paddle
from tqdm import tqdm

from ofa.data.batches import Batch, TrainBatches
from ofa.evaluation.scores import evaluate, main_score
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.settings.schema import Config, LoopConfig
from ofa.stages.pipeline import StageContext
from ofa.supernet import elastic
from ofa.supernet.space import Network, sample
from ofa.supernet.subnet import SubNet, count_macs
from ofa.system import process, ranks
from ofa.training.checkpoint import BestNetworks
from ofa.training.distillation import Distillation, TeacherCache
from ofa.training.loop import Loop, tensors
from ofa.training.precision import Precision

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one stage of distillation differs in from another.

    Attributes:
        loop: names the section of ``trainer`` that has its settings, and its curves.
        start, teacher: folders of the network that the shared weights start from, and of the one to learn from.
        networks: the sub-networks that it trains, by name.
        hidden_weight, logit_weight: of the two parts of the loss.
        earlier: a stage whose networks are the best so far, each until its own dev score is beaten.
        curves: put before the names of the sub-networks' own curves.
    """

    loop: str
    start: Path
    teacher: Path
    networks: Mapping[str, Network]
    hidden_weight: float
    logit_weight: float
    earlier: Path | None = None
    curves: str = ""


def distil(context: StageContext, plan: Plan) -> None:
    """Writes ``widths/<name>/`` (cut networks), ``supernet/`` (shared weights, last step) and ``distill.json``."""
    config, trainer = context.config, context.config.trainer
    settings, networks = getattr(trainer, plan.loop), plan.networks
    process.seed_everything(trainer.seed)
    dropout = config.model.dropout if config.ofa.dropout is None else config.ofa.dropout
    supernet, folder = models.load(plan.start, dropout)
    teacher, _ = models.load(plan.teacher)
    teacher.eval()
    elastic.make_elastic(supernet)
    batches = TrainBatches(context.inputs.encoded("train"), settings.batch_size, trainer.seed)
    costs = {name: count_macs(folder.shape, network.subnet) for name, network in networks.items()}
    precision = Precision(trainer.precision)
    weights = (plan.hidden_weight, plan.logit_weight)
    threads = process.threads() if paddle.get_device() == "cpu" else 1
    distillation = Distillation(supernet, teacher, *weights, precision, config.task.kind, threads)
    memory = _memory(config, settings, teacher, batches, precision)
    best = BestNetworks(context.work)
    if plan.earlier and config.ofa.keep == "best_each":
        _begin_with(best, plan.earlier, networks)
    last: dict[str, dict[str, float]] = {}

    def step(batch: Batch, number: int) -> dict[str, paddle.Tensor]:
        input_ids, token_type_ids, _ = tensors(batch)
        drawn = sample(costs, config.ofa.sampling, config.ofa.sandwich_random, trainer.seed, number)
        subnets = [networks[name].subnet for name in drawn]
        targets = memory.lookup(batch) if memory else None
        return distillation.step(input_ids, token_type_ids, subnets, batch.row_share, batch.token_share, targets)

    def save(network: paddle.nn.Layer, path: Path) -> None:
        models.save(network, path, folder.labels, context.inputs.tokenizer)

    def save_cut(subnet: SubNet, path: Path) -> None:
        save(elastic.extract(supernet, subnet), path)

    def score(number: int) -> dict[str, float]:
        for name, network in tqdm(networks.items(), desc="dev scores", leave=False, dynamic_ncols=True):
            with elastic.selected(supernet, network.subnet):
                metrics = evaluate(
                    forward_of(supernet), context.inputs.dev, config.task.metrics, trainer.eval_batch_size
                )
            last[name] = metrics
            context.monitor.metrics({f"{plan.curves}dev/{key}": value for key, value in metrics.items()}, number, name)
        of_step = {name: main_score(metrics) for name, metrics in last.items()}
        shared = {"last": float(number), "best_shared": sum(of_step.values())}.get(config.ofa.keep)
        for name, value in of_step.items():
            best.update(name, number, value, partial(save_cut, networks[name].subnet), shared)
        return of_step

    loop = Loop(
        name=plan.loop,
        model=supernet,
        step=step,
        batches=batches,
        settings=settings,
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


def _begin_with(best: BestNetworks, earlier: Path, names: Iterable[str]) -> None:
    """Offer what an earlier stage kept, as of step 0."""
    kept = json.loads((earlier / "distill.json").read_text())["best"]
    for name in names:
        if name in kept:
            best.update(name, 0, kept[name]["score"], partial(shutil.copytree, earlier / "widths" / name))


def _memory(
    config: Config, settings: LoopConfig, teacher: paddle.nn.Layer, batches: TrainBatches, precision: Precision
) -> TeacherCache | None:
    """The teacher's outputs on all training rows, where that is allowed, fits, and is read more than once."""
    allowed = config.ofa.teacher_memory_mb
    once = (settings.max_steps or settings.epochs * len(batches)) < 2 * len(batches)
    needed = TeacherCache.size_mb(batches.encoded, models.shape_of(teacher))
    # A GPU computes them faster than they could be copied to it.
    if once or needed > allowed or ranks.size() > 1 or paddle.get_device() != "cpu":
        return None
    log.info("the teacher's outputs are computed once and kept (%.0f of at most %d MB)", needed, allowed)
    return TeacherCache(teacher, batches.encoded, settings.batch_size, precision)

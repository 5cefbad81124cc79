"""Distil sub-networks from a teacher, on shared weights, and keep the best weights of each: what the stages share."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import paddle
from paddle import Tensor, nn
from tqdm import tqdm

from ofa.data.batches import Batch, steps_per_epoch
from ofa.data.kinds import KINDS
from ofa.data.tokens import Encoded
from ofa.evaluation.scores import main_score
from ofa.model import network as models
from ofa.settings.schema import LoopConfig
from ofa.stages.context import StageContext
from ofa.supernet import elastic
from ofa.supernet.layerwise import Space, sample_layers
from ofa.supernet.space import Network, sample
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs
from ofa.system import process, ranks
from ofa.training.checkpoint import BestNetworks
from ofa.training.distillation import Distillation, TeacherCache
from ofa.training.loop import tensors
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
        epochs: instead of what that section says.
        earlier: a stage whose networks are the best so far, each until its own dev score is beaten.
        curves: put before the names of the sub-networks' own curves.
    """

    loop: str
    start: Path
    teacher: Path
    networks: Mapping[str, Network]
    hidden_weight: float
    logit_weight: float
    epochs: int | None = None
    earlier: Path | None = None
    curves: str = ""

    @classmethod
    def of(cls, context: StageContext, loop: str, **more: Any) -> Plan:
        """With the weights that the settings give the first stage's ``loop`` (distill) or the second's (depth)."""
        ofa = context.config.ofa
        first, second = (ofa.hidden_weight, ofa.logit_weight), (ofa.depth_hidden_weight, ofa.depth_logit_weight)
        hidden, logit = second if loop == "depth" else first
        return cls(loop=loop, hidden_weight=hidden, logit_weight=logit, **{"teacher": context.teacher, **more})


def distil(context: StageContext, plan: Plan) -> None:
    """Writes ``widths/<name>/`` (cut networks), ``supernet/`` (shared weights, last step) and ``distill.json``."""
    trainer = context.config.trainer
    process.seed_everything(trainer.seed)
    supernet, labels = load_supernet(context, plan.start)
    (rows, _), precision = context.training_rows(), Precision(trainer.precision)
    step = make_step(context, plan, supernet, rows, precision)
    kept = _Kept(context, plan, supernet, labels)
    loop = context.loop(
        plan.loop, rows, model=supernet, step=step, evaluate=kept.score, best=kept.best, precision=precision
    )
    steps = loop.run()
    if not ranks.is_main():
        return
    for name in plan.networks:
        shutil.copytree(kept.best.path(name), context.folder / "widths" / name)
    elastic.select(supernet, elastic.full(supernet))
    kept.save(supernet, context.folder / "supernet")
    record = {"steps": steps, "best": kept.best.found, "last": kept.last, "history": loop.history}
    (context.folder / "distill.json").write_text(json.dumps(record))


def load_supernet(context: StageContext, folder: Path) -> tuple[nn.Layer, tuple[str, ...]]:
    """The network in ``folder`` as an elastic one with the dropout of distillation, and its labels."""
    config = context.config
    supernet, found = models.load(folder, config.model.dropout if config.ofa.dropout is None else config.ofa.dropout)
    elastic.make_elastic(supernet)
    return supernet, found.labels


def make_step(
    context: StageContext, plan: Plan, supernet: nn.Layer, rows: Encoded, precision: Precision
) -> Callable[[Batch, int], dict[str, Tensor]]:
    """The step of a loop that distils the sub-networks drawn for it."""
    ofa, networks = context.config.ofa, plan.networks
    teacher, _ = models.load(plan.teacher)
    teacher.eval()
    drawn = _draws(context, context.inputs.shape, networks)
    distillation = Distillation(
        supernet,
        teacher,
        plan.hidden_weight,
        plan.logit_weight,
        precision,
        KINDS[context.config.task.kind],
        threads=process.sharing(),
        hard_weight=ofa.hard_weight,
        temperature=ofa.temperature,
    )
    settings: LoopConfig = context.config.trainer.loop(plan.loop, plan.epochs)
    memory = _memory(ofa.teacher_memory_mb, settings, teacher, rows, precision)

    def step(batch: Batch, number: int) -> dict[str, Tensor]:
        input_ids, token_type_ids, labels = tensors(batch)
        targets = memory.lookup(batch) if memory else None
        shares = (batch.row_share, batch.token_share)
        return distillation.step(input_ids, token_type_ids, drawn(number), *shares, targets, labels)

    return step


def _draws(
    context: StageContext, shape: EncoderShape, networks: Mapping[str, Network]
) -> Callable[[int], list[SubNet]]:
    """The number of a step -> the sub-networks that it trains."""
    ofa, seed = context.config.ofa, context.config.trainer.seed
    if len(networks) == 1:
        (alone,) = networks.values()
        return lambda number: [alone.subnet]
    costs = {name: count_macs(shape, network.subnet) for name, network in networks.items()}
    if ofa.sampling == "layers":
        largest, smallest = (networks[pick(costs, key=costs.__getitem__)].subnet for pick in (max, min))
        space = Space.between([network.subnet for network in networks.values()], shape)
        return lambda number: sample_layers(space, largest, smallest, ofa.sandwich_random, seed, number)
    return lambda number: [
        networks[name].subnet for name in sample(costs, ofa.sampling, ofa.sandwich_random, seed, number)
    ]


def _memory(
    allowed_mb: int, settings: LoopConfig, teacher: nn.Layer, rows: Encoded, precision: Precision
) -> TeacherCache | None:
    """The teacher's outputs on all training rows, where that is allowed, fits, and is read more than once."""
    epoch = steps_per_epoch(len(rows), settings.batch_size)
    once = (settings.max_steps or settings.epochs * epoch) < 2 * epoch
    needed = TeacherCache.size_mb(rows, models.shape_of(teacher))
    # A GPU computes them faster than they could be copied to it.
    if once or needed > allowed_mb or ranks.size() > 1 or paddle.get_device() != "cpu":
        return None
    log.info("the teacher's outputs are computed once and kept (%.0f of at most %d MB)", needed, allowed_mb)
    return TeacherCache(teacher, rows, settings.batch_size, precision)


class _Kept:
    """The sub-networks of shared weights that learn: what they score, and the best weights of each.

    Attributes:
        last: their metrics when they were last scored.
    """

    def __init__(self, context: StageContext, plan: Plan, supernet: nn.Layer, labels: tuple[str, ...]) -> None:
        self.context, self.plan, self.supernet, self.labels = context, plan, supernet, labels
        self.best = BestNetworks(context.work)
        self.last: dict[str, dict[str, float]] = {}
        if plan.earlier and context.config.ofa.keep == "best_each":
            self._begin_with(plan.earlier)

    def _begin_with(self, earlier: Path) -> None:
        """Offer what an earlier stage kept, as of step 0."""
        kept = json.loads((earlier / "distill.json").read_text())["best"]
        for name in self.plan.networks:
            if name in kept:
                self.best.update(name, 0, kept[name]["score"], partial(shutil.copytree, earlier / "widths" / name))

    def save(self, network: nn.Layer, path: Path) -> None:
        models.save(network, path, self.labels, self.context.inputs.tokenizer)

    def _save_cut(self, subnet: SubNet, path: Path) -> None:
        self.save(elastic.extract(self.supernet, subnet), path)

    def score(self, number: int) -> dict[str, float]:
        """Score every network on the dev rows after step ``number``, and keep the weights of those that are best."""
        context, config = self.context, self.context.config
        # A bar below another one moves the cursor, which a log would keep: there it is not shown (disable=None).
        bar = partial(tqdm, desc="dev scores", leave=False, dynamic_ncols=True, disable=None)
        for name, network in bar(self.plan.networks.items()):
            with elastic.selected(self.supernet, network.subnet):
                self.last[name] = context.score(self.supernet)
            curves = {f"{self.plan.curves}dev/{key}": value for key, value in self.last[name].items()}
            context.monitor.metrics(curves, number, name)
        of_step = {name: main_score(metrics) for name, metrics in self.last.items()}
        shared = {"last": float(number), "best_shared": sum(of_step.values())}.get(config.ofa.keep)
        for name, value in of_step.items():
            self.best.update(name, number, value, partial(self._save_cut, self.plan.networks[name].subnet), shared)
        return of_step

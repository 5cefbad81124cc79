"""Distil the supernet from the teacher at every width, and keep each width's best network."""

from __future__ import annotations

import json
import logging
import shutil
from functools import partial
from pathlib import Path

import paddle
from tqdm import tqdm

from ofa.data.batches import Batch, steps_per_epoch
from ofa.data.tokens import Encoded
from ofa.evaluation.scores import evaluate, main_score
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.pipeline import Job
from ofa.supernet import elastic
from ofa.supernet.space import pick_widths, width_name
from ofa.supernet.subnet import SubNet
from ofa.system import ranks
from ofa.system.process import seed_everything
from ofa.training.checkpoint import Best
from ofa.training.distillation import Distillation, TeacherMemory
from ofa.training.loop import loop_of, tensors
from ofa.training.precision import Precision

log = logging.getLogger(__name__)


def run(job: Job) -> None:
    """Writes ``widths/<width>/`` (cut networks), ``supernet/`` (shared weights, last step) and ``distill.json``."""
    config, trainer = job.config, job.config.trainer
    seed_everything(trainer.seed)
    dropout = config.model.dropout if config.ofa.dropout is None else config.ofa.dropout
    supernet, folder = models.load(job.needs["reorder"] / "model", dropout)
    teacher, _ = models.load(job.needs["finetune"] / "model")
    teacher.eval()
    elastic.make_elastic(supernet)
    train = job.inputs.encoded("train")
    subnets = {width: SubNet.at_width(width, folder.shape) for width in config.ofa.widths}
    precision = Precision(trainer.precision)
    weights = (config.ofa.hidden_weight, config.ofa.logit_weight)
    distillation = Distillation(supernet, teacher, *weights, precision, config.task.kind)
    memory = _memory(job, teacher, train, precision)
    best = Best(job.work)
    last: dict[str, dict[str, float]] = {}

    def step(batch: Batch, number: int) -> dict[str, paddle.Tensor]:
        input_ids, token_type_ids, _ = tensors(batch)
        chosen = pick_widths(list(subnets), config.ofa.sampling, config.ofa.sandwich_random, trainer.seed, number)
        of_chosen = [subnets[width] for width in chosen]
        targets = memory.recall(batch) if memory else None
        return distillation.step(input_ids, token_type_ids, of_chosen, batch.row_share, batch.token_share, targets)

    def save(network: paddle.nn.Layer, path: Path) -> None:
        models.save(network, path, folder.labels, job.inputs.vocab, job.inputs.lower_case)

    def save_width(subnet: SubNet, path: Path) -> None:
        save(elastic.extract(supernet, subnet), path)

    def score(number: int) -> dict[str, float]:
        for width, subnet in tqdm(subnets.items(), desc="dev score of widths", leave=False, dynamic_ncols=True):
            with elastic.selected(supernet, subnet):
                found = evaluate(forward_of(supernet), job.inputs.dev, config.task.metrics, trainer.eval_batch_size)
            last[width_name(width)] = found
            job.monitor.metrics({f"dev/{key}": value for key, value in found.items()}, number, width)
            best.offer(width_name(width), number, main_score(found), partial(save_width, subnet))
        return {name: main_score(found) for name, found in last.items()}

    loop = loop_of(job, "distill", supernet, step, score, best, precision)
    steps = loop.run()
    if not ranks.leads():
        return
    for width in subnets:
        shutil.copytree(best.path(width_name(width)), job.folder / "widths" / width_name(width))
    elastic.select(supernet, elastic.full(supernet))
    save(supernet, job.folder / "supernet")
    record = {"steps": steps, "best": best.found, "last": last, "history": loop.history}
    (job.folder / "distill.json").write_text(json.dumps(record))


def _memory(job: Job, teacher: paddle.nn.Layer, train: Encoded, precision: Precision) -> TeacherMemory | None:
    """The teacher's outputs on all training rows, where that is allowed, fits, and is read more than once."""
    settings, allowed = job.config.trainer.distill, job.config.ofa.teacher_memory_mb
    per_epoch = steps_per_epoch(len(train), settings.batch_size)
    once = (settings.max_steps or settings.epochs * per_epoch) < 2 * per_epoch
    needed = TeacherMemory.size_mb(train, models.shape_of(teacher))
    # A GPU computes them faster than they could be copied to it.
    if once or needed > allowed or ranks.size() > 1 or paddle.get_device() != "cpu":
        return None
    log.info("distill: the teacher's outputs are computed once and kept (%.0f of at most %d MB)", needed, allowed)
    return TeacherMemory(teacher, train, settings.batch_size, precision)

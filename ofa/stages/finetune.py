"""Finetune the teacher, or take over a model folder that is one already."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from paddle import nn

from ofa.data.kinds import KINDS
from ofa.evaluation import alarms
from ofa.evaluation.scores import main_score, predict, scores
from ofa.model import network as models
from ofa.model.architectures import ARCHITECTURES
from ofa.model.network import forward_of
from ofa.stages.context import StageContext
from ofa.system import ranks
from ofa.system.process import seed_everything
from ofa.training.checkpoint import BestNetworks
from ofa.training.loop import labelled_step
from ofa.training.precision import Precision

log = logging.getLogger(__name__)


def run(context: StageContext) -> None:
    """Writes ``model/`` (the teacher, Hugging Face layout) and ``finetune.json``."""
    if context.inputs.label_order is not None:
        _take_over(context)
    else:
        _train(context)


def _save(context: StageContext, model: nn.Layer, folder: Path) -> None:
    models.save(model, folder, tuple(context.config.task.outputs), context.inputs.tokenizer)


def _take_over(context: StageContext) -> None:
    """Bring a finished teacher's classes into the task's order and score it; its weights stay as they are."""
    assert context.inputs.folder is not None and context.inputs.label_order is not None
    source = context.inputs.folder.path
    model, _ = models.load(source, allow_pickle=context.config.model.allow_pickle)
    models.set_pad(model, context.inputs.tokenizer.pad)  # config.json may say another, Transformers pads with this one
    models.permute_classes(model, context.inputs.label_order)
    scale = context.inputs.scale
    models.rescale(model, 1 / scale.deviation, -scale.mean / scale.deviation)
    found, problems, advice = _examined(context, model)
    log.info("finetune: skipped, %s is the teacher as it stands; its dev score is %.4f", source, found)
    if ranks.is_main():
        _save(context, model, context.folder / "model")
        record = {"skipped": True, "teacher": str(source.name), "score": found}
        record |= {"problems": problems, "advice": advice}  # `pipeline.require_teacher` says them
        (context.folder / "finetune.json").write_text(json.dumps(record))


def _examined(context: StageContext, model: nn.Layer) -> tuple[float, list[str], str]:
    """The dev score of a teacher taken as it stands, what speaks against distilling it, in words, and what to do."""
    task, (name, rows) = context.config.task, next(iter(context.inputs.dev.items()))
    kind, classes, order = KINDS[task.kind], task.labels, context.inputs.label_order
    logits = predict(forward_of(model), rows, context.config.trainer.eval_batch_size, together=True)
    found = main_score(scores({name: logits}, {name: rows}, task.metrics))
    constant = alarms.constant_score(kind, task.metrics, rows.labels, len(task.outputs))
    swapped = alarms.swapped_classes(kind, kind.predicted(logits), rows.labels, classes) if classes else None
    problems = [swapped.words] if swapped else alarms.teacher(found, constant, rows.labels, finetuned=False)
    assert order is not None
    ids = f"=[{','.join(str(order[place]) for place in swapped.order)}]" if swapped else ""
    which = f"say which of its classes is each of task.labels with task.teacher_labels{ids}, " if classes else ""
    return found, problems, which + _ADVICE


_ADVICE = "train a new classifier with model.finetuned=false, or go on all the same with model.accept_weak_teacher=true"


def _start(context: StageContext) -> nn.Layer:
    """The network before finetuning: random weights, or a folder's encoder with a new classifier."""
    config, inputs = context.config.model, context.inputs
    seed_everything(context.config.trainer.seed)
    if inputs.folder is None:
        kind = ARCHITECTURES[config.architecture]
        model = models.build(inputs.shape, config.dropout, architecture=kind, extra=kind.defaults)
    else:
        labels = inputs.shape.num_labels
        model = models.load_encoder(inputs.folder.path, labels, config.dropout, config.allow_pickle)
    models.set_pad(model, inputs.tokenizer.pad)
    return model


def _train(context: StageContext) -> None:
    trainer, task, metrics = context.config.trainer, context.config.task, context.config.task.metrics
    kind = KINDS[task.kind]
    model = _start(context)
    best, precision = BestNetworks(context.work), Precision(trainer.precision)
    last: dict[str, float] = {}

    def score(number: int) -> dict[str, float]:
        scores = context.score(model)
        last.update(scores)
        context.monitor.metrics({f"finetune/dev/{key}": value for key, value in scores.items()}, number)
        best.update("teacher", number, main_score(scores), lambda folder: _save(context, model, folder))
        return {"score": main_score(scores)}

    step, rows = labelled_step(model, kind, precision), context.labelled_rows()
    loop = context.loop("finetune", rows, model=model, step=step, evaluate=score, best=best, precision=precision)
    steps = loop.run()
    if not ranks.is_main():
        return
    shutil.copytree(best.path("teacher"), context.folder / "model")
    record = {"skipped": False, "steps": steps, "best": best.found["teacher"], "last": last, "history": loop.history}
    (context.folder / "finetune.json").write_text(json.dumps(record))
    labels = next(iter(context.inputs.dev.values())).labels
    constant = alarms.constant_score(kind, metrics, labels, len(task.outputs))
    for alarm in alarms.teacher(best.found["teacher"]["score"], constant, labels):
        log.warning(alarm)
    log.info("finetune: best dev score %.4f at step %d", best.found["teacher"]["score"], best.found["teacher"]["step"])

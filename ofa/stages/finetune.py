"""Finetune the teacher, or take over a model folder that is one already."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from ofa.data.batches import TrainBatches
from ofa.evaluation import alarms
from ofa.evaluation.scores import evaluate, main_score
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.pipeline import StageContext
from ofa.system import ranks
from ofa.system.process import seed_everything
from ofa.training.checkpoint import BestNetworks
from ofa.training.loop import Loop, labelled_step
from ofa.training.precision import Precision

log = logging.getLogger(__name__)


def run(context: StageContext) -> None:
    """Writes ``model/`` (the teacher, Hugging Face layout) and ``finetune.json``."""
    if context.inputs.label_order is not None:
        if ranks.is_main():
            _take_over(context)
    else:
        _train(context)


def _save(context: StageContext, model: nn.Layer, folder: Path) -> None:
    models.save(model, folder, tuple(context.config.task.outputs), context.inputs.tokenizer)


def _take_over(context: StageContext) -> None:
    """Bring a finished teacher's classes into the task's order; its weights stay as they are."""
    assert context.inputs.folder is not None and context.inputs.label_order is not None
    source = context.inputs.folder.path
    model, _ = models.load(source, allow_pickle=context.config.model.allow_pickle)
    models.set_pad(model, context.inputs.tokenizer.pad)  # config.json may say another, Transformers pads with this one
    order = paddle.to_tensor(np.array(context.inputs.label_order), dtype="int64")
    model.classifier.weight.set_value(paddle.index_select(model.classifier.weight.detach(), order, axis=1))
    model.classifier.bias.set_value(paddle.index_select(model.classifier.bias.detach(), order))
    _save(context, model, context.folder / "model")
    log.info("finetune: skipped, %s is the teacher as it stands", source)
    (context.folder / "finetune.json").write_text(json.dumps({"skipped": True, "teacher": str(source.name)}))


def _start(context: StageContext) -> nn.Layer:
    """The network before finetuning: random weights, or a folder's encoder with a new classifier."""
    config, inputs = context.config.model, context.inputs
    seed_everything(context.config.trainer.seed)
    if inputs.folder is None:
        model = models.build(inputs.shape, config.dropout)
    else:
        labels = inputs.shape.num_labels
        model = models.load_encoder(inputs.folder.path, labels, config.dropout, config.allow_pickle)
    models.set_pad(model, inputs.tokenizer.pad)
    return model


def _train(context: StageContext) -> None:
    trainer, task, metrics = context.config.trainer, context.config.task, context.config.task.metrics
    model = _start(context)
    best, precision = BestNetworks(context.work), Precision(trainer.precision)
    last: dict[str, float] = {}

    def score(number: int) -> dict[str, float]:
        scores = evaluate(forward_of(model), context.inputs.dev, metrics, trainer.eval_batch_size)
        last.update(scores)
        context.monitor.metrics({f"finetune/dev/{key}": value for key, value in scores.items()}, number)
        best.update("teacher", number, main_score(scores), lambda folder: _save(context, model, folder))
        return {"score": main_score(scores)}

    loop = Loop(
        name="finetune",
        model=model,
        step=labelled_step(model, task.kind, precision),
        batches=TrainBatches(context.inputs.encoded("train"), trainer.finetune.batch_size, trainer.seed),
        settings=trainer.finetune,
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
    shutil.copytree(best.path("teacher"), context.folder / "model")
    record = {"skipped": False, "steps": steps, "best": best.found["teacher"], "last": last, "history": loop.history}
    (context.folder / "finetune.json").write_text(json.dumps(record))
    labels = next(iter(context.inputs.dev.values())).labels
    constant = alarms.constant_score(task.kind, metrics, labels, len(task.outputs))
    for alarm in alarms.teacher(best.found["teacher"]["score"], constant):
        log.warning(alarm)
    log.info("finetune: best dev score %.4f at step %d", best.found["teacher"]["score"], best.found["teacher"]["step"])

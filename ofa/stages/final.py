"""Finetune every distilled network on the true labels, and keep that only where it helps (DynaBERT's last step).

Whether it helps is asked of training rows that are held out here, never of those whose scores are reported. The
teacher has learned these rows, and the networks were distilled on them or picked by a search on them: the comparison
favours a network as it was.
"""

from __future__ import annotations

from functools import partial

from ofa.data.kinds import KINDS
from ofa.data.tokens import Encoded
from ofa.evaluation.scores import main_score
from ofa.model import network as models
from ofa.stages.context import StageContext
from ofa.stages.one_by_one import Pupil, improve
from ofa.training.loop import labelled_step
from ofa.training.precision import Precision


def run(context: StageContext) -> None:
    """Writes what :func:`ofa.stages.one_by_one.improve` does, of every network."""
    encoded, trainer = context.inputs.encoded("train"), context.config.trainer
    learned, held_out = encoded.hold_out(max(1, round(trainer.final_held_out * len(encoded))), trainer.seed)
    improve(context, "final", context.networks, learned, partial(_pupil, context, held_out))


def _pupil(context: StageContext, held_out: Encoded, name: str) -> Pupil:
    config, trainer = context.config, context.config.trainer
    model, folder = models.load(context.trained(name), config.model.dropout)
    precision = Precision(trainer.precision)
    return Pupil(
        model=model,
        step=labelled_step(model, KINDS[config.task.kind], precision),
        score=lambda: main_score(context.score(model, {"held_out": held_out})),
        save=lambda path: models.save(model, path, folder.labels, context.inputs.tokenizer),
        precision=precision,
    )

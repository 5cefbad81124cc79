"""Distil each network that a search found alone, from the teacher, and keep that only where it helps.

It goes on from the shared weights that the search cut it out of. Whether it helps is asked of the rows that the search
scored on, never of dev rows: the search has picked its best scores there, which favours a network as it was.
"""

from __future__ import annotations

from functools import partial

from ofa.data.tokens import Encoded
from ofa.evaluation.scores import main_score
from ofa.model import network as models
from ofa.stages.context import StageContext
from ofa.stages.one_by_one import Pupil, improve
from ofa.stages.shared_weights import Plan, load_supernet, make_step
from ofa.supernet import elastic
from ofa.supernet.space import networks_found, record_of_search
from ofa.training.precision import Precision


def run(context: StageContext) -> None:
    """Writes what :func:`ofa.stages.one_by_one.improve` does, of the networks found."""
    rows, held_out = context.training_rows()
    names = networks_found(record_of_search(context.needs["search"]))
    last = "depth" if context.config.ofa.has_depths else "distill"  # of the distillations, whose settings are used
    pupil = partial(_pupil, context, last, rows, held_out)
    improve(context, "specialise", names, rows, pupil, last, context.config.search.specialise_epochs)


def _pupil(context: StageContext, last: str, rows: Encoded, held_out: Encoded, name: str) -> Pupil:
    config, network = context.config, context.networks[name]
    alone, epochs = {name: network}, config.search.specialise_epochs
    plan = Plan.of(context, last, start=context.distilled / "supernet", networks=alone, epochs=epochs)
    (supernet, labels), precision = load_supernet(context, plan.start), Precision(config.trainer.precision)

    def score() -> float:
        with elastic.selected(supernet, network.subnet):
            return main_score(context.score(supernet, {"held_out": held_out}))

    return Pupil(
        model=supernet,
        step=make_step(context, plan, supernet, rows, precision),
        score=score,
        save=lambda path: models.save(
            elastic.extract(supernet, network.subnet), path, labels, context.inputs.tokenizer
        ),
        precision=precision,
    )

"""Distil the supernet at every width, all layers kept, from the finetuned teacher."""

from __future__ import annotations

from ofa.stages.context import StageContext
from ofa.stages.shared_weights import Plan, distil
from ofa.supernet.space import networks


def run(context: StageContext) -> None:
    """Writes what :func:`ofa.stages.shared_weights.distil` does, at depth 1 whatever the depths of the job."""
    of_widths = networks(context.config.ofa.widths, [1.0], context.inputs.shape)
    distil(context, Plan.of(context, "distill", start=context.reordered, networks=of_widths))

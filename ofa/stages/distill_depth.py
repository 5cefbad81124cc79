"""Distil the supernet at every width and depth, starting from the supernet of the widths (DynaBERT's second stage)."""

from __future__ import annotations

from ofa.stages.context import StageContext
from ofa.stages.shared_weights import Plan, distil


def run(context: StageContext) -> None:
    """Writes what :func:`ofa.stages.shared_weights.distil` does.

    A network with all its layers keeps what the first stage made of it until its dev score is beaten.
    """
    widths = context.needs["distill"]
    plan = Plan.of(
        context,
        "depth",
        start=widths / "supernet",
        teacher={"teacher": context.teacher, "supernet": widths / "supernet"}[context.config.ofa.depth_teacher],
        networks=context.inputs.networks,
        earlier=widths,
        curves="depth/",
    )
    distil(context, plan)

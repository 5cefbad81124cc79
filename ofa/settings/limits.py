"""The settings of ``search``: what a network may cost, and how the best one within that is looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ofa.settings.bounds import above_zero, at_least
from ofa.settings.fields import added

LIMITS = ("max_latency_ms", "max_params", "max_macs", "max_bytes")


@dataclass
class SearchConfig:
    """Limits, one or several, within which the best networks are looked for; with none of them there is no search.

    Heads, neurons and, with ofa.depths, the layers kept are chosen layer by layer, between the smallest and the largest
    network of the job.
    """

    max_latency_ms: float | None = None  # of a batch, by the figure that search.figure names
    max_params: float | None = None  # parameters, embeddings included
    max_macs: float | None = None  # multiply-accumulates of a row of trainer.max_seq_length tokens
    max_bytes: float | None = None  # of model.onnx in FP32
    # By its name, an estimate (t4_fp16_b1_s128_estimated), or a timing of this machine that is among latency.*
    # (cpu_onnxruntime_fp32_b1_s128_measured); null: the target's first estimate, else the first timing.
    figure: str | None = None
    rows: int = 1000  # training rows held out of distillation, which networks are scored on; dev rows only judge
    evaluations: int = 300  # networks scored at most
    # How many of the front become networks of the job (search1, ...): the best, and others at even distances. All of
    # the front is in results.json.
    networks: int = 3
    # Passes in which each of them is then distilled alone; kept where it helps on the rows held out. 0: none.
    specialise_epochs: int = added(0)
    # Whether the rows are held out of finetuning and importance, too, and the teacher has not seen them either: they
    # say what networks do on new rows then, and the teacher learns from fewer.
    unseen: bool = added(False)

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by the name of the setting."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}

    @property
    def runs(self) -> bool:
        return bool(self.limits)

    @property
    def held_out(self) -> int:
        """Training rows that distillation does not see."""
        return self.rows if self.runs else 0

    @property
    def held_out_of_finetuning(self) -> int:
        """Training rows that the teacher does not see."""
        return self.held_out if self.unseen else 0

    @property
    def specialises(self) -> bool:
        """Whether the networks found are distilled further."""
        return self.runs and self.specialise_epochs > 0


def search_problems(search: SearchConfig, sampling: str, networks: int) -> Iterable[str]:
    """Every broken rule of a search, in words, key first.

    Args:
        sampling: ``ofa.sampling``.
        networks: how many widths and depths the job has, multiplied.
    """
    for name, limit in search.limits.items():
        yield from above_zero(f"search.{name}", limit)
    for key in ("rows", "evaluations", "networks"):
        yield from at_least(f"search.{key}", getattr(search, key), 1)
    yield from at_least("search.specialise_epochs", search.specialise_epochs, 0)
    if search.specialise_epochs and not search.runs:
        yield f"search.specialise_epochs: {search.specialise_epochs}, but nothing is searched; set e.g. search.max_macs"
    if search.unseen and not search.runs:
        yield "search.unseen: true, but nothing is searched; set e.g. search.max_macs"
    if not search.runs:
        return
    if sampling != "layers":
        yield f"ofa.sampling: {sampling} trains uniform networks alone; allowed with search.*: layers"
    if networks == 1:
        yield "ofa.widths: one network leaves nothing to search; allowed with search.*: 1 and the least, e.g. [1,0.5]"
    if search.evaluations < networks:  # they are scored first, so that no front is below them
        yield f"search.evaluations: {search.evaluations}, the job has {networks} networks; allowed: {networks} up"
    if search.figure is not None and search.max_latency_ms is None:
        yield f"search.figure: {search.figure} limits nothing without search.max_latency_ms; set both"


def row_problems(search: SearchConfig, rows: int) -> list[str]:
    """More rows held out than half of the training ``rows``."""
    if search.runs and search.rows > rows // 2:
        return [f"search.rows: {search.rows} of {rows} training rows; allowed: up to {rows // 2}, the half of them"]
    return []

"""What a running stage is given: settings, inputs, and the folders of the stages before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa.settings.schema import Config
from ofa.stages.inputs import Inputs

if TYPE_CHECKING:
    from paddle import Tensor, nn

    from ofa.data.tokens import Encoded
    from ofa.training.checkpoint import BestNetworks
    from ofa.training.loop import Loop
    from ofa.training.precision import Precision


@dataclass
class StageContext:
    """What a running stage is given.

    Attributes:
        needs: the complete folders of the stages it needs, by name.
        folder: where its output goes.
        work: where its checkpoints go; gone when the stage is complete.
    """

    config: Config
    inputs: Inputs
    needs: dict[str, Path]
    folder: Path
    work: Path
    monitor: Any
    stop: Callable[[], bool]

    @property
    def teacher(self) -> Path:
        """The finetuned teacher as the networks learn from it: with their vocabulary."""
        return self.needs["vocabulary"] / "teacher" if "vocabulary" in self.needs else self.needs["finetune"] / "model"

    @property
    def reordered(self) -> Path:
        """The permuted teacher that the supernet starts from, with the vocabulary of the networks."""
        return self.needs.get("vocabulary", self.needs["reorder"]) / "model"

    @property
    def distilled(self) -> Path:
        """The folder of the last distillation: ``supernet/``, ``widths/<name>/`` and ``distill.json``."""
        return self.needs.get("distill_depth", self.needs["distill"])

    @property
    def trained(self) -> Path:
        """The folder with the networks as training left them, ``widths/<name>/``."""
        return self.needs.get("final", self.distilled)

    def loop(
        self,
        name: str,
        rows: Encoded,
        *,
        model: nn.Layer,
        step: Callable[[Any, int], dict[str, Tensor]],
        evaluate: Callable[[int], dict[str, float]],
        best: BestNetworks,
        precision: Precision,
        monitored: bool = True,
    ) -> Loop:
        """The training loop over ``rows`` whose settings are ``trainer.<name>``; it stops when the job is to.

        ``monitored``: its curves are those of the job; not where many loops run under one name.
        """
        from ofa.data.batches import TrainBatches
        from ofa.training.loop import Loop, NullMonitor

        trainer, settings = self.config.trainer, getattr(self.config.trainer, name)
        return Loop(
            name=name,
            model=model,
            step=step,
            batches=TrainBatches(rows, settings.batch_size, trainer.seed),
            settings=settings,
            seed=trainer.seed,
            evaluate=evaluate,
            best=best,
            precision=precision,
            monitor=self.monitor if monitored else NullMonitor(),
            stop=self.stop,
        )

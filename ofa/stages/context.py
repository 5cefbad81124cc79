"""What a running stage is given: the settings, the rows, what the stages before it left, and a training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa.data.augment import kept
from ofa.settings.schema import Config
from ofa.stages.inputs import Inputs
from ofa.supernet.space import Network, networks_found, record_of_search
from ofa.system import machine

if TYPE_CHECKING:
    import numpy as np
    from paddle import Tensor, nn

    from ofa.data.tokens import Encoded
    from ofa.model.network import Forward
    from ofa.training.checkpoint import BestNetworks
    from ofa.training.loop import Loop
    from ofa.training.precision import Precision

TRAIN = ("final", "specialise", "search", "distill_depth", "distill")  # stages that leave networks, the last one first


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
    def networks(self) -> dict[str, Network]:
        """The sub-networks of the job by name, and those that its search found."""
        return self.inputs.networks | networks_found(record_of_search(self.needs.get("search")))

    def trained(self, name: str) -> Path:
        """The folder of a network as the last of the stages before this one left it."""
        places = [self.needs[stage] / "widths" / name for stage in TRAIN if stage in self.needs]
        return next(path for path in places if path.is_dir())

    @property
    def threads(self) -> int:
        """On which exported networks run on a CPU."""
        return self.config.hardware.threads or machine.cores()

    def score(self, model: nn.Layer, rows: dict[str, Encoded] | None = None) -> dict[str, float]:
        """Metrics of ``model`` on the dev rows, or on other ``rows`` by split; every rank calls it."""
        from ofa.evaluation.scores import evaluate
        from ofa.model.network import forward_of

        rows, task = rows or self.inputs.dev, self.config.task
        return evaluate(forward_of(model), rows, task.metrics, self.config.trainer.eval_batch_size)

    def dev_logits(self, exported: Forward, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """Logits ``[N, C]`` of an exported network on the dev rows, by split, on the scale that is learned."""
        from ofa.evaluation.scores import predict_splits

        found = predict_splits(exported, self.inputs.dev, batch_size or self.config.trainer.eval_batch_size)
        return {split: self.inputs.scale.learned(logits) for split, logits in found.items()}

    def labelled_rows(self) -> Encoded:
        """The training rows that the teacher is finetuned on, and heads and neurons are scored on."""
        held_out = self.config.search.held_out_of_finetuning
        return self.inputs.encoded("train").hold_out(held_out, self.config.trainer.seed)[0]

    def training_rows(self) -> tuple[Encoded, Encoded]:
        """The rows that networks are distilled on, with all :meth:`with_more`, and those held out for a search."""
        held_out = self.config.search.held_out
        distilled, scored = self.inputs.encoded("train").hold_out(held_out, self.config.trainer.seed)
        return self.with_more(distilled), scored

    def with_more(self, train: Encoded) -> Encoded:
        """Of the training rows ``train``, then the rows without labels, then copies with words replaced."""
        found = self.inputs.with_unlabelled(train)
        if "augment" not in self.needs:
            return found
        copies = kept(self.needs["augment"], self.config.task)
        return found.join([copies.encoded(self.inputs.tokenizer, self.inputs.max_seq_length, train.labels)])

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
        section: str | None = None,
        epochs: int | None = None,
    ) -> Loop:
        """The training loop over ``rows`` whose settings are ``trainer.<name>``; it stops when the job is to.

        Args:
            monitored: its curves are those of the job; not where many loops run under one name.
            section: of ``trainer`` with its settings, if it is not called as the loop is.
            epochs: instead of what that section says.
        """
        from ofa.data.batches import TrainBatches
        from ofa.training.loop import Loop, NullMonitor

        trainer, section = self.config.trainer, section or name
        settings = trainer.loop(section, epochs)
        return Loop(
            name=name,
            section=section,
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

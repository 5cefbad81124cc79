"""The only training loop: finetuning and distillation differ in their step, not in their loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import Tensor, nn
from tqdm import tqdm

from ofa.data.batches import Batch
from ofa.data.kinds import TaskKind
from ofa.errors import Diverged, Interrupted, UserError
from ofa.model.network import forward
from ofa.settings.schema import LoopConfig
from ofa.system import ranks
from ofa.training import checkpoint
from ofa.training.checkpoint import BestNetworks
from ofa.training.precision import Precision

log = logging.getLogger(__name__)
RANK_SEEDS = 2**31 - 1  # between the dropout seeds of two ranks; more than any job has steps


class Monitor(Protocol):
    """Where a loop reports to: figures of a sub-network by its name, or of the job itself."""

    def metrics(self, values: dict[str, float], step: int, network: str | None = None) -> None: ...


class NullMonitor:
    """A monitor that keeps nothing."""

    def metrics(self, values: dict[str, float], step: int, network: str | None = None) -> None:
        """Drop them."""


class Batches(Protocol):
    """What a loop trains on, as :class:`ofa.data.batches.TrainBatches`; its length is the steps of an epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> list[np.ndarray]: ...

    def part(self, rows: np.ndarray) -> Any: ...

    def words(self, rows: np.ndarray) -> str: ...


def learning_rate(step: int, total: int, settings: LoopConfig) -> float:
    """Linear warm-up, then linear decay to zero after ``total`` steps."""
    warmup = int(settings.warmup_ratio * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * max(0.0, (total - step) / max(1, total - warmup))


def make_optimizer(model: nn.Layer, settings: LoopConfig) -> paddle.optimizer.Optimizer:
    """AdamW; biases and layer norms are not decayed."""
    decayed = {p.name for name, p in model.named_parameters() if not name.endswith("bias") and "norm" not in name}
    return paddle.optimizer.AdamW(
        learning_rate=settings.learning_rate,
        epsilon=settings.adam_epsilon,
        parameters=model.parameters(),
        weight_decay=settings.weight_decay,
        apply_decay_param_fun=lambda name: name in decayed,
    )


@dataclass(kw_only=True)
class Loop:
    """Train ``model`` with ``step``; resumable, seeded by step. Every rank runs it on its part of the batches.

    Attributes:
        section: of ``trainer``, which its settings are.
        step: runs forward and backward on one batch and returns the parts of the loss by name,
            ``loss`` among them, of which the sum over ranks is taken, as of the gradients; these are
            cleared by the loop. Given the step's number, too, for what is drawn at random.
        evaluate: called with the step after each evaluation interval and at the end; returns the
            dev scores to show beside the progress bar.
        best: keeps the best networks; checkpoints, which refer to them, stand in the same folder.
        stop: called after every step; if it returns True on any rank, all ranks save a checkpoint and stop.
    """

    name: str
    section: str = ""
    model: nn.Layer
    step: Callable[[Any, int], dict[str, Tensor]]
    batches: Batches
    settings: LoopConfig
    seed: int
    evaluate: Callable[[int], dict[str, float]]
    best: BestNetworks
    precision: Precision = field(default_factory=lambda: Precision("fp32"))
    monitor: Monitor = field(default_factory=NullMonitor)
    stop: Callable[[], bool] = lambda: False
    history: list[dict[str, float]] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)  # dev scores, for the progress bar
    recent: dict[str, list[float]] = field(default_factory=dict)  # losses since the last log line
    asked_to_stop: bool = False

    def run(self) -> int:
        """Train to the end, from the last checkpoint if there is one; returns the steps made."""
        per_epoch = len(self.batches)
        total = self.settings.max_steps or self.settings.epochs * per_epoch
        optimizer = make_optimizer(self.model, self.settings)
        ranks.barrier()  # rank 0 has written the networks that checkpoints name
        done = self._resume(optimizer)
        self.model.train()
        ranks.barrier()
        with tqdm(total=total, initial=done, desc=self.name, unit="step", dynamic_ncols=True) as bar:
            for number, rows in self._batches(done, total, per_epoch):
                losses = self._update(optimizer, number, total, rows)
                for key, value in losses.items():
                    self.recent.setdefault(key, []).append(value)
                bar.update()
                finished = number + 1
                if finished % self.settings.log_steps == 0 or finished == total:
                    self._log(finished, optimizer, bar)
                evaluated = finished % (self.settings.eval_steps or per_epoch) == 0 or finished == total
                if evaluated:
                    self.model.eval()
                    self.shown = {f"dev {key}": f"{value:.4f}" for key, value in self._evaluate(finished).items()}
                    self.model.train()
                stopping = finished < total and self.asked_to_stop
                if evaluated or stopping or finished % self.settings.save_steps == 0:
                    self._save(optimizer, finished)
                    ranks.barrier()
                if stopping:
                    raise Interrupted(f"{self.name} stopped after step {finished} of {total}")
        self.model.eval()
        if done == total:  # killed between its last checkpoint and its end: the scores of the last step are not known
            self._evaluate(total)
        return total

    def _evaluate(self, step: int) -> dict[str, float]:
        try:
            return self.evaluate(step)
        except Diverged as error:
            raise UserError(
                f"{self.name}: {error}, after step {step}\n{_lower(self.section or self.name, self.settings)}"
            ) from None

    def _batches(self, done: int, total: int, per_epoch: int) -> Iterator[tuple[int, np.ndarray]]:
        """(step number, rows) from step ``done`` on; an epoch's order depends on its number alone."""
        number = done
        while number < total:
            epoch, position = divmod(number, per_epoch)
            for rows in self.batches.epoch(epoch)[position : position + total - number]:
                yield number, rows
                number += 1

    def _update(
        self, optimizer: paddle.optimizer.Optimizer, number: int, total: int, rows: np.ndarray
    ) -> dict[str, float]:
        # The seed comes from the step, so a resumed run draws the same dropout as one never stopped.
        paddle.seed(self.seed * 1_000_003 + number + RANK_SEEDS * ranks.rank())
        losses = {key: float(value) for key, value in self.step(self.batches.part(rows), number).items()}
        *sums, stops = ranks.sum_gradients(self.model.parameters(), [*losses.values(), float(self.stop())])
        losses, self.asked_to_stop = dict(zip(losses, sums, strict=True)), stops > 0
        norm = self.precision.clip(optimizer, self.model, self.settings.max_grad_norm)
        if not self.precision.skips(norm):
            losses["grad_norm"] = norm
        if not all(math.isfinite(value) for value in losses.values()):
            self._alarm(number, losses, rows)
        optimizer.set_lr(learning_rate(number, total, self.settings))
        self.precision.update(optimizer)
        optimizer.clear_grad(set_to_zero=False)
        return losses

    def _alarm(self, number: int, losses: dict[str, float], rows: np.ndarray) -> None:
        bad = ", ".join(f"{key}={value}" for key, value in losses.items() if not math.isfinite(value))
        raise UserError(
            f"{self.name}: {bad} at step {number} ({self.batches.words(rows)}); the last good checkpoint is kept\n"
            f"{_lower(self.section or self.name, self.settings)}, or look at those rows (from 0, of those used)"
        )

    def _log(self, step: int, optimizer: paddle.optimizer.Optimizer, bar: tqdm) -> None:
        values = {f"{self.name}/{key}": float(np.mean(value)) for key, value in self.recent.items()}
        self.recent.clear()
        bar.set_postfix({"loss": f"{values[f'{self.name}/loss']:.4f}", **self.shown}, refresh=False)
        values[f"{self.name}/learning_rate"] = optimizer.get_lr()
        self.history.append({"step": step, **values})
        self.monitor.metrics(values, step)

    def _save(self, optimizer: paddle.optimizer.Optimizer, step: int) -> None:
        if not ranks.is_main():
            return
        names = {p.name: key for key, p in self.model.named_parameters()}
        state = {}
        for key, value in optimizer.state_dict().items():
            owner = next((name for name in names if key.startswith(f"{name}_")), None)
            if owner is not None:  # Paddle numbers parameters per process; a state-dict key is the same in all
                state[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
        weights = {key: value.numpy() for key, value in self.model.state_dict().items()}
        progress: dict[str, Any] = {
            **self.best.state(),
            "history": self.history,
            "recent": self.recent,
            "precision": self.precision.state(),
        }
        kept = checkpoint.save(self.best.folder, checkpoint.Checkpoint(step, weights, state, progress))
        self.best.prune([record["best"] for record in kept])

    def _resume(self, optimizer: paddle.optimizer.Optimizer) -> int:
        found = checkpoint.latest(self.best.folder, self.best.damage)
        if found is None:
            return 0
        log.info("%s goes on from the checkpoint at step %d.", self.name, found.step)
        self.model.set_state_dict({key: paddle.to_tensor(value) for key, value in found.weights.items()})
        parameters = dict(self.model.named_parameters())
        state = {}
        for key, value in found.optimizer.items():
            owner, _, name = key.rpartition("/")
            state[f"{parameters[owner].name}_{name}"] = paddle.to_tensor(value)
        optimizer.set_state_dict(state)
        self.precision.restore(found.progress["precision"])
        self.best.restore(found.progress)
        self.history, self.recent = found.progress["history"], found.progress["recent"]
        return found.step


def _lower(section: str, settings: LoopConfig) -> str:
    return f"lower trainer.{section}.learning_rate (now {settings.learning_rate:g})"


def labelled_step(model: nn.Layer, kind: TaskKind, precision: Precision) -> Callable[[Batch, int], dict[str, Tensor]]:
    """A loop's step that trains ``model`` on the true labels of a task of this ``kind``."""

    def step(batch: Batch, number: int) -> dict[str, Tensor]:
        input_ids, token_type_ids, labels = tensors(batch)
        with precision.autocast():
            loss = batch.row_share * kind.loss(forward(model, input_ids, token_type_ids)[0], labels)
        precision.backward(loss)
        return {"loss": loss}

    return step


def tensors(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """``input_ids`` ``[B, S]``, ``token_type_ids`` ``[B, S]`` and ``labels`` ``[B]`` on the device."""
    return paddle.to_tensor(batch.input_ids), paddle.to_tensor(batch.token_type_ids), paddle.to_tensor(batch.labels)

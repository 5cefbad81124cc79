"""Score heads and neurons on a slice of the data and permute the teacher's weights by it."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor, nn

from ofa.data.batches import Batch, collate, eval_batches
from ofa.data.kinds import KINDS
from ofa.errors import UserError
from ofa.model import network as models
from ofa.stages.context import StageContext
from ofa.supernet.importance import importance, random_scores
from ofa.supernet.reorder import descending, reorder
from ofa.system import ranks
from ofa.training.loop import tensors

# Permuting a sum changes its rounding, nothing else.
TOLERANCE = 1e-4


def run(context: StageContext) -> None:
    """Writes ``model/`` (the permuted teacher) and ``importance.npz`` (scores and orders)."""
    settings = context.config.ofa.importance
    splits = [context.labelled_rows()] if settings.split == "train" else list(context.inputs.dev.values())
    encoded = splits[0].join(splits[1:])
    chosen = np.random.default_rng(context.config.trainer.seed).permutation(len(encoded))[: settings.rows]
    sample = encoded.take(np.sort(chosen))
    batches = [collate(sample, rows) for rows in eval_batches(sample.lengths, settings.batch_size)]
    model, folder = models.load(context.needs["finetune"] / "model", dropout=0.0)

    def loss_of(network: nn.Layer, batch: Batch) -> Tensor:
        input_ids, token_type_ids, labels = tensors(batch)
        return KINDS[context.config.task.kind].loss(models.forward(network, input_ids, token_type_ids)[0], labels)

    if settings.method == "random":
        heads, neurons = random_scores(model, context.config.trainer.seed)
    else:
        heads, neurons = importance(model, batches, loss_of)
    if not ranks.is_main():
        return
    head_order, neuron_order = descending(heads), descending(neurons)
    before = _logits(model, batches[0])
    reorder(model, head_order, neuron_order)
    drift = float(np.abs(_logits(model, batches[0]) - before).max())
    if drift > TOLERANCE * max(1.0, float(np.abs(before).max())):
        raise UserError(f"reorder: permuting changed the logits by {drift:.2g}; allowed is {TOLERANCE:g}")
    models.save(model, context.folder / "model", folder.labels, context.inputs.tokenizer)
    np.savez(
        context.folder / "importance.npz",
        heads=heads,
        neurons=neurons,
        head_order=head_order,
        neuron_order=neuron_order,
    )


def _logits(model: nn.Layer, batch: Batch) -> np.ndarray:
    model.eval()
    with paddle.no_grad():
        return models.forward(model, *tensors(batch)[:2])[0].numpy()

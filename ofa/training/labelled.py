"""One step of training a network on the true labels, as finetuning is."""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import Tensor, nn

from ofa.data.batches import Batch
from ofa.data.kinds import TaskKind
from ofa.model.network import embed, run_blocks
from ofa.supernet.elastic import make_elastic
from ofa.training.loop import tensors
from ofa.training.precision import Precision
from ofa.training.workers import Workers


def labelled_step(
    model: nn.Layer, kind: TaskKind, precision: Precision, threads: int = 1
) -> Callable[[Batch, int], dict[str, Tensor]]:
    """A loop's step that trains ``model`` on the labels of a task of this ``kind``; makes the model elastic.

    Elastic, as its layers train faster on a CPU. All but the embeddings, whose gradient has a row for every token of
    the vocabulary, is done by ``threads``, each on its part of the rows.
    """
    workers = Workers(make_elastic(model), threads)

    def step(batch: Batch, number: int) -> dict[str, Tensor]:
        input_ids, token_type_ids, labels = tensors(batch)
        with precision.autocast():
            embeddings, bias = embed(model, input_ids, token_type_ids)

        def work(network: nn.Layer, rows: slice) -> tuple[Tensor | None, Tensor]:
            own, of_part = embeddings.detach()[rows], labels[rows]
            own.stop_gradient = False
            with precision.autocast():
                logits, _ = run_blocks(network, own, bias[rows])
                loss = batch.row_share * len(of_part) / len(labels) * kind.loss(logits, of_part)
            precision.backward(loss)
            return own.grad, loss.detach()

        gradients, losses = zip(*workers.run(work, len(labels)), strict=True)
        embeddings.backward(paddle.concat(list(gradients)))
        return {"loss": sum(losses, paddle.zeros([]))}

    return step

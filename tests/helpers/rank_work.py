"""What test_ranks.py has every rank do, and one process alone: the same work on the same global batches."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from ofa.data.batches import TrainBatches, collate, collate_part
from ofa.data.kinds import KINDS
from ofa.data.tokens import Encoded
from ofa.errors import Interrupted
from ofa.evaluation.scores import predict
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.settings.schema import LoopConfig
from ofa.supernet import elastic
from ofa.supernet.importance import importance
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import ranks
from ofa.training.checkpoint import BestNetworks
from ofa.training.distillation import Distillation
from ofa.training.loop import Loop, tensors

TOY = EncoderShape(2, 24, 4, 32, vocab_size=97, max_position_embeddings=32, num_labels=3)
SUBNETS = [SubNet.at(width, depth, TOY) for width, depth in ((1.0, 1.0), (0.5, 1.0), (0.5, 0.5))]
BATCHES = [np.arange(7), np.arange(7, 24), np.array([30])]  # odd, odd, and less than one row per rank
SETTINGS = LoopConfig(epochs=2, batch_size=9, learning_rate=1e-3, log_steps=2, save_steps=3)
STOP_AT = 5  # neither an evaluation nor a checkpoint is due then


def rows() -> Encoded:
    """31 rows of 3 to 14 tokens: 5 optimizer steps of at most 9."""
    rng = np.random.default_rng(1)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(3, 15, 31))])
    tokens = rng.integers(5, TOY.vocab_size, offsets[-1]).astype("int32")
    return Encoded(tokens, offsets, np.full(31, 2, "int32"), rng.integers(0, 3, 31), np.zeros(31, bool))


def network(seed: int) -> paddle.nn.Layer:
    paddle.seed(seed)
    model = models.build(TOY, dropout=0.0)
    for parameter in model.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.1, parameter.shape))
    return model


def part(encoded: Encoded, picked: np.ndarray):
    return collate_part(encoded, picked, ranks.rank(), ranks.size())


def distillation() -> Distillation:
    return Distillation(elastic.make_elastic(network(3)), network(4), hidden_weight=0.1, logit_weight=1.0)


def step(work: Distillation, batch) -> dict[str, paddle.Tensor]:
    return work.step(*tensors(batch)[:2], SUBNETS, batch.row_share, batch.token_share)


def gradients(encoded: Encoded) -> list[dict[str, Any]]:
    """Of every batch: losses and gradients of a step of distillation."""
    found = []
    for picked in BATCHES:
        work = distillation()
        losses = step(work, part(encoded, picked))
        sums = ranks.sum_gradients(work.supernet.parameters(), [float(value) for value in losses.values()])
        entry = {name: p.grad.numpy() for name, p in work.supernet.named_parameters()}
        found.append({**entry, **dict(zip(losses, sums, strict=True))})
    return found


def scores(encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    def loss_of(model: paddle.nn.Layer, batch) -> paddle.Tensor:
        input_ids, token_type_ids, labels = tensors(batch)
        return KINDS["classes"].loss(models.forward(model, input_ids, token_type_ids)[0], labels)

    return importance(network(3), [collate(encoded, picked) for picked in BATCHES], loss_of)


def trained(encoded: Encoded, folder: Path, stops: bool) -> dict[str, Any]:
    """Weights, history and best step after SETTINGS; ``stops`` has the last rank ask for it after STOP_AT steps."""
    work, made = distillation(), []
    best = BestNetworks(folder)

    def loop_step(batch, number: int) -> dict[str, paddle.Tensor]:
        made.append(number)
        return step(work, batch)

    def evaluate(number: int) -> dict[str, float]:
        score = -float(predict(forward_of(work.supernet), encoded, 4, together=True).std())
        best.update("net", number, score, lambda path: path.mkdir(parents=True))
        return {"score": score}

    loop = Loop(
        name="distill",
        model=work.supernet,
        step=loop_step,
        batches=TrainBatches(encoded, SETTINGS.batch_size, 0),
        settings=SETTINGS,
        seed=0,
        evaluate=evaluate,
        best=best,
    )
    if stops:
        loop.stop = lambda: ranks.rank() == ranks.size() - 1 and len(made) == STOP_AT
    stopped = ""
    try:
        loop.run()
    except Interrupted as error:
        stopped = str(error)
    weights = {name: value.numpy() for name, value in work.supernet.state_dict().items()}
    return {"weights": weights, "history": loop.history, "best": best.found, "stopped": stopped}


def work(folder: Path) -> dict[str, Any]:
    encoded = rows()
    return {
        "gradients": gradients(encoded),
        "importance": scores(encoded),
        "logits": [predict(forward_of(network(3)), encoded, size, together=True) for size in (4, 31)],
        "whole": trained(encoded, folder / "whole", stops=False),
        "stopped": trained(encoded, folder / "parts", stops=True),
        "resumed": trained(encoded, folder / "parts", stops=False),
        "gathered": ranks.gather(ranks.rank()),
        "pid": os.getpid(),
    }


if __name__ == "__main__":
    ranks.init("cpu")
    result = work(Path(sys.argv[1]))
    Path(sys.argv[1], f"found-{ranks.rank()}").write_bytes(pickle.dumps(result))

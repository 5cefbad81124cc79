"""A training loop on a toy regression."""

import numpy as np
import paddle

from ofa.settings.schema import LoopConfig
from ofa.training.checkpoint import BestNetworks
from ofa.training.loop import Loop

ROWS = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")


class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.linear = paddle.nn.Linear(6, 8)
        self.norm = paddle.nn.LayerNorm(8)
        self.dropout = paddle.nn.Dropout(0.3)
        self.head = paddle.nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.dropout(self.norm(self.linear(x))))


class Batches:
    """Five batches of eight rows an epoch; a batch is its rows' numbers."""

    def __len__(self):
        return 5

    def epoch(self, number):
        return np.array_split(np.random.default_rng([3, number]).permutation(40), 5)

    def part(self, rows):
        return rows

    def words(self, rows):
        return f"training rows {', '.join(map(str, rows))}"


def make_loop(folder, settings, stop_at=None, poison=None, scores=None):
    paddle.seed(1)
    net = Net()
    steps = {"count": 0}

    def step(rows, number):
        steps["count"] += 1
        x = paddle.to_tensor(ROWS[rows])
        loss = (net(x) - x.sum(-1, keepdim=True)).square().mean()
        if poison is not None and poison in rows:
            loss = loss * float("nan")
        loss.backward()
        return {"loss": loss}

    best = BestNetworks(folder)

    def evaluate(number):
        value = scores[number] if scores else -float(((net(paddle.to_tensor(ROWS))) ** 2).mean())
        best.update("net", number, value, lambda path: (path.mkdir(), (path / "step").write_text(str(number))))
        return {"net": value}

    loop = Loop(
        name="finetune", model=net, step=step, batches=Batches(), settings=settings, seed=7,
        evaluate=evaluate, best=best,
    )  # fmt: skip
    if stop_at:
        loop.stop = lambda: steps["count"] == stop_at
    return loop


SETTINGS = LoopConfig(epochs=3, learning_rate=1e-2, save_steps=4, log_steps=3, weight_decay=0.01, warmup_ratio=0.2)

"""This project's own loop on the same rows and teacher, through the library as `main.py` uses it.

`--without` takes measures away one by one, for the ablation table; `--trial` adds one that is not always on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

from common import Rows, StepClock, importance_rows, parse_args, peak_rss_mb, read_rows, score, write_result

# What --without takes away: the tuned process, copies instead of strided views, length buckets, one pass of teacher
# and embeddings for all widths, the training operations of ofa/supernet/kernels.py, the gradient norm as a product,
# threads that share the rows of a step.
MEASURES = ("process", "strides", "buckets", "sharing", "kernels", "norm", "threads")
# What --trial adds: the encoder of every width as a static program, the teacher's outputs kept in memory.
TRIALS = ("static", "memory")


def encoded(rows: Rows):
    """The rows as the project's own ``Encoded``."""
    import numpy as np

    from ofa.data.tokens import Encoded

    lengths = np.diff(rows.offsets)
    second = np.add.reduceat(rows.token_type_ids, rows.offsets[:-1])
    return Encoded(
        rows.input_ids, rows.offsets, (lengths - second).astype("int32"), rows.labels, np.zeros(len(lengths), bool)
    )


def kind_of(args):
    """The kind of task that the metric is for."""
    from ofa.data.kinds import KINDS
    from ofa.evaluation.metrics import METRICS

    return KINDS[METRICS[args.metric][1]]


def naive_step(distillation, input_ids, token_type_ids, subnets):
    """A step that shares nothing between widths: the teacher and the embeddings run once per width."""
    parts: dict = {}
    for subnet in subnets:
        for name, value in distillation.step(input_ids, token_type_ids, [subnet]).items():
            parts[name] = parts.get(name, 0) + value
    return parts


def static_step(distillation, subnets):
    """``distillation.step`` with the encoder of every width as a static program of ``paddle.jit.to_static``."""
    from paddle import jit, nn
    from paddle.static import InputSpec

    from ofa.model import network as models
    from ofa.supernet import elastic
    from ofa.training.distillation import teacher_outputs
    from ofa.training.losses import hidden_loss

    supernet = distillation.supernet

    class Encoder(nn.Layer):
        def __init__(self):
            super().__init__()
            self.supernet = supernet

        def forward(self, embeddings, bias):
            logits, hidden = models.run_blocks(self.supernet, embeddings, bias)
            return logits, *hidden

    supernet.train()
    spec = [InputSpec([None, None, models.shape_of(supernet).hidden_size]), InputSpec([None, 1, 1, None])]
    programs = {}
    for subnet in subnets:
        elastic.select(supernet, subnet)
        programs[subnet] = jit.to_static(Encoder(), input_spec=spec, full_graph=True)
        _ = programs[subnet].forward.concrete_program  # traced now, while this width is selected

    def step(input_ids, token_type_ids, chosen):
        mask = (input_ids != 0).astype("float32").unsqueeze(-1)
        teacher_logits, teacher_hidden = teacher_outputs(
            distillation.teacher, input_ids, token_type_ids, distillation.precision
        )
        embeddings, bias = models.embed(supernet, input_ids, token_type_ids)
        shared = embeddings.detach()
        shared.stop_gradient, total = False, 0.0
        for subnet in chosen:
            logits, *hidden = programs[subnet](shared, bias)
            hidden_part = distillation.hidden_weight * hidden_loss(hidden, teacher_hidden, mask)
            loss = hidden_part + distillation.logit_weight * distillation.kind.logit_loss(logits, teacher_logits)
            loss.backward()
            total = total + loss.detach()
        embeddings.backward(shared.grad)
        return {"loss": total}

    return step


def build(args, rows):
    """The supernet, permuted by importance on ``rows`` and elastic, and the teacher."""
    import numpy as np
    from paddleslim.nas.ofa.layers import SuperLinear

    from ofa.data.batches import collate, eval_batches
    from ofa.model import network as models
    from ofa.supernet import elastic
    from ofa.supernet.importance import importance
    from ofa.supernet.reorder import descending, reorder
    from ofa.training.loop import tensors

    student, folder = models.load(args.teacher, args.dropout)
    teacher, _ = models.load(args.teacher)
    teacher.eval()
    batches = [collate(rows, index) for index in eval_batches(rows.lengths, 32)]

    def loss_of(network, batch):
        input_ids, token_type_ids, labels = tensors(batch)
        return kind_of(args).loss(models.forward(network, input_ids, token_type_ids)[0], labels)

    heads, neurons = importance(student, batches, loss_of)
    reorder(student, descending(np.asarray(heads)), descending(np.asarray(neurons)))

    class PlainLinear(elastic.ElasticLinear):
        def forward(self, x):
            return SuperLinear.forward(self, x, channel=self.active)

    elastic.make_elastic(student)
    if "kernels" in args.without or "static" in args.trial:  # PaddleSlim's own forward, Paddle's gradients and dropout
        for layer in student.sublayers():
            layer.__class__ = {elastic.ElasticLinear: PlainLinear, **elastic.PLAIN}.get(type(layer), type(layer))
    return student, teacher, folder.shape


def distil(args, train, supernet, teacher, shape, subnets) -> dict[str, object]:
    """The project's loop over ``--steps`` steps; returns the speed of its steps."""
    import numpy as np
    from paddle import nn

    from ofa.data.batches import TrainBatches
    from ofa.settings.schema import LoopConfig
    from ofa.supernet.space import sample
    from ofa.supernet.subnet import count_macs
    from ofa.training.checkpoint import BestNetworks
    from ofa.training.distillation import Distillation, TeacherCache
    from ofa.training.loop import Loop, tensors
    from ofa.training.precision import Precision

    class PaddlesNorm(Precision):
        def clip(self, optimizer, model, max_norm):
            return float(nn.utils.clip_grad_norm_(model.parameters(), max_norm))

    threads = 1 if "threads" in args.without else args.threads
    distillation = Distillation(supernet, teacher, 0.1, 1.0, kind=kind_of(args), threads=threads)
    memory = TeacherCache(teacher, train, 128, Precision("fp32")) if "memory" in args.trial else None
    one_step = partial(naive_step, distillation) if "sharing" in args.without else distillation.step
    if "static" in args.trial:
        one_step = static_step(distillation, list(subnets.values()))
    costs = {width: count_macs(shape, subnet) for width, subnet in subnets.items()}
    clock, pending = StepClock(args.warmup_steps), [0]

    def step(batch, number):
        if pending[0]:
            clock.lap(pending[0])  # from step to step: batching, update and checks are all inside
        pending[0] = len(batch.rows)
        input_ids, token_type_ids, _ = tensors(batch)
        names = sample(costs, args.sampling, args.sandwich_random, args.seed, number)
        targets = {"targets": memory.lookup(batch)} if memory else {}
        return one_step(input_ids, token_type_ids, [subnets[name] for name in names], **targets)

    class Unsorted(TrainBatches):
        def epoch(self, number):
            order = np.random.default_rng([self.seed, number]).permutation(len(self.encoded))
            return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    batches = (Unsorted if "buckets" in args.without else TrainBatches)(train, args.batch_size, args.seed)
    settings = LoopConfig(
        max_steps=args.steps + 1, learning_rate=args.learning_rate, save_steps=10**9, eval_steps=10**9
    )
    precision = PaddlesNorm("fp32") if "norm" in args.without else Precision("fp32")
    with tempfile.TemporaryDirectory() as name:
        loop = Loop(
            name="distill",
            model=supernet,
            step=step,
            batches=batches,
            settings=settings,
            seed=args.seed,
            evaluate=lambda number: {},
            best=BestNetworks(Path(name)),
            precision=precision,
        )
        loop.run()
    return clock.summary()


def main(args) -> None:
    from ofa.system import process

    process.prepare(args.threads)
    if "strides" in args.without:
        os.environ["FLAGS_use_stride_kernel"] = "1"
    process.set_device("cpu")

    from ofa.evaluation.scores import predict
    from ofa.model.network import forward_of
    from ofa.supernet import elastic
    from ofa.supernet.subnet import SubNet

    process.seed_everything(args.seed)
    train, dev = read_rows(args.train), read_rows(args.dev)
    supernet, teacher, shape = build(args, encoded(importance_rows(train, dev, args.importance)))
    train, dev = encoded(train), encoded(dev)
    subnets = {width: SubNet.at(width, 1.0, shape) for width in args.widths}
    speed = distil(args, train, supernet, teacher, shape, subnets)
    speed["peak_rss_mb"] = peak_rss_mb()  # before evaluation, which is no part of the loop
    scores = {}
    if not args.no_eval:
        for width, subnet in subnets.items():
            with elastic.selected(supernet, subnet):
                scores[str(width)] = score(args.metric, predict(forward_of(supernet), dev, 128), dev.labels)
    changes = [f"without {measure}" for measure in args.without] + [f"with {trial}" for trial in args.trial]
    write_result(args, " ".join(["ofa", *changes]), speed, args.threads, ("paddlepaddle", "paddlenlp", "numpy"), scores)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--without", nargs="+", choices=MEASURES, default=[], help="measures to take away")
    parser.add_argument("--trial", nargs="+", choices=TRIALS, default=[], help="what to add")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--sampling", choices=("all", "sandwich"), default="all")
    parser.add_argument("--sandwich-random", type=int, default=2)


if __name__ == "__main__":
    arguments = parse_args("The project's own distillation loop", _options)
    if "process" in arguments.without:
        os.environ["OFA_TUNE"] = "0"
    main(arguments)

"""Search, on rows that distillation did not see, for the sub-networks that score best within the limits."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from paddle import nn
from tqdm import tqdm

from ofa.data.tokens import Encoded
from ofa.errors import Interrupted
from ofa.evaluation.metrics import score
from ofa.evaluation.scores import main_score, predict
from ofa.limits import Limits, figure
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.context import StageContext
from ofa.supernet import elastic
from ofa.supernet.layer_times import LayerTimes
from ofa.supernet.layerwise import Space, by_importance
from ofa.supernet.nsga2 import Scored, pareto, search
from ofa.supernet.space import FOUND, network_found
from ofa.supernet.subnet import SubNet
from ofa.system.files import write_whole

log = logging.getLogger(__name__)


def run(context: StageContext) -> None:
    """Writes ``search.json`` (the front, and the job's other networks beside it) and ``widths/<name>/`` of the chosen.

    All are scored as the shared weights were at the last step of distillation.
    """
    config, shape, settings = context.config, context.inputs.shape, context.config.search
    given = {name: network.subnet for name, network in context.inputs.networks.items()}
    times, space = context.needs.get("layer_times"), context.inputs.space
    limits = Limits.of(config, shape, LayerTimes.read(times) if times else None)
    supernet, folder = models.load(context.distilled / "supernet")
    elastic.make_elastic(supernet)
    start = [*given.values(), *_uniform(space), *_ranked(context, space)]
    with tqdm(total=settings.evaluations, desc="search", leave=False, dynamic_ncols=True) as bar:
        judge = _Judge(context, supernet, context.training_rows()[1], bar)
        scored = search(space, start, judge, limits.share, settings.evaluations, config.trainer.seed)
        others = [(name, Scored(one, judge(one), limits.share(one))) for name, one in given.items()]

    def described(name: str, one: Scored) -> dict[str, Any]:
        costs = {"costs": limits.costs(one.subnet), "share": one.cost}
        return {"name": name, "score": one.score, **costs, "subnet": one.subnet.to_dict()}

    found = pareto(scored)
    chosen, front = _spread(len(found), settings.networks), []
    for place, one in enumerate(found):
        network = network_found(place + 1, one.subnet, shape)
        shares = {"width": network.width, "depth": network.depth, "chosen": place in chosen}
        front.append(described(network.name, one) | shares)
        if place in chosen:
            target = context.folder / "widths" / network.name
            cut = elastic.extract(supernet, one.subnet)
            models.save(cut, target, folder.labels, context.inputs.tokenizer)
    record = {
        "limits": settings.limits,
        "figure": figure(config) if settings.max_latency_ms is not None else None,
        "metric": config.task.metrics[0],
        "rows": len(judge.rows),
        "evaluations": len(scored),
        "front": front,
        "uniform": [described(*other) for other in others],
    }
    (context.folder / FOUND).write_text(json.dumps(record, indent=1) + "\n")
    log.info("search: %d networks scored on %d rows; %d on the front", len(scored), len(judge.rows), len(front))


class _Judge:
    """Scores sub-networks of the shared weights, each once, also if the job is stopped and goes on.

    Attributes:
        rows: what they are scored on.
    """

    def __init__(self, context: StageContext, supernet: nn.Layer, rows: Encoded, bar: tqdm) -> None:
        self.rows, self._context, self._supernet, self._bar = rows, context, supernet, bar
        self._path = context.work / "scores.json"
        self._known: dict[str, float] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def __call__(self, subnet: SubNet) -> float:
        """The task's first metric.

        Raises:
            Interrupted: if the job is to stop.
        """
        name = json.dumps(subnet.to_dict())
        if name not in self._known:
            if self._context.stop():
                raise Interrupted(f"search stopped after {len(self._known)} networks")
            config = self._context.config
            with elastic.selected(self._supernet, subnet):
                logits = predict(forward_of(self._supernet), self.rows, config.trainer.eval_batch_size)
            self._known[name] = main_score(score(config.task.metrics, logits, self.rows.labels))
            write_whole(self._path, json.dumps(self._known))
            self._bar.update()
        return self._known[name]


def _uniform(space: Space) -> Iterator[SubNet]:
    """The networks of all layers that keep the same in each, at every size that the space has of both."""
    for heads, neurons in zip(space.heads, space.neurons, strict=False):
        yield SubNet((heads,) * space.layers, (neurons,) * space.layers)


def _ranked(context: StageContext, space: Space) -> Iterator[SubNet]:
    """What the importance of heads and neurons, ranked over all layers, keeps at the same shares."""
    scores = np.load(context.needs["reorder"] / "importance.npz")
    for share in np.linspace(0, 1, 13)[1:]:
        yield by_importance(space, scores["heads"], scores["neurons"], float(share))


def _spread(count: int, wanted: int) -> set[int]:
    """``wanted`` places on a front of ``count`` networks: the best, the cheapest, and others at even distances."""
    return {round(place) for place in np.linspace(0, count - 1, min(wanted, count))}

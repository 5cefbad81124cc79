"""Which rows should a search score on, and by what? Judged on 20,000 rows that nothing has seen.

    python experiments/search/rows.py --data-dir GLUE --run DIR/runs/sst2-search_6x384-s44-...

Goes on from a finished job of this study on SST-2, which used 16,000 of the task's 67,349 training rows: the others are
unseen by the teacher, the supernet and the search. In the same supernet, at the same limit, from the same networks and
seed, a search scores 300 networks

- on the rows that the job holds out of distillation, which the teacher has learned, or on 1,000 unseen ones, and
- by the task's metric, or by the mean soft cross-entropy against the teacher, which varies less from row to row.

For each width the network of each front that costs no more and scores best is compared with it on the judging rows. The
search of the job itself is the first of the four. Writes ``rows.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from ofa.system import process

process.prepare()
from search.run import LARGEST, LENGTH, SHAPE, WIDTHS

from ofa.data.tokens import Encoded
from ofa.evaluation.scores import predict
from ofa.model import network as models
from ofa.settings.compose import load
from ofa.stages.inputs import load_inputs
from ofa.supernet import elastic
from ofa.supernet.layerwise import Space, by_importance
from ofa.supernet.nsga2 import pareto, search
from ofa.supernet.space import record_of_search
from ofa.supernet.subnet import SubNet, count_macs

JUDGING, BATCH, EVALUATIONS = 20_000, 128, 300
LIMIT = count_macs(SHAPE, SubNet.at(LARGEST, 1.0, SHAPE), LENGTH)
Score = Callable[[np.ndarray], float]  # of logits


def cost(subnet: SubNet) -> float:
    return count_macs(SHAPE, subnet, LENGTH) / LIMIT


def starting(space: Space, importance: Path) -> Iterator[SubNet]:
    """As the product's search begins: uniform networks, and the ranking over all layers."""
    for heads, neurons in zip(space.heads, space.neurons, strict=True):
        yield SubNet((heads,) * space.layers, (neurons,) * space.layers)
    scores = np.load(importance)
    for share in np.linspace(0, 1, 13)[1:]:
        yield by_importance(space, scores["heads"], scores["neurons"], float(share))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """``[N, C]`` of logits ``[N, C]``."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def gains(
    fronts: dict[str, list[tuple[float, SubNet]]], judged: Callable[[SubNet], np.ndarray]
) -> Iterator[dict[str, Any]]:
    """For each width, points gained by the best of each front at its MACs; ``judged`` says which rows are right."""
    for width in WIDTHS[:-1]:  # the last is the smallest network there is
        uniform = SubNet.at(float(width[1:]), 1.0, SHAPE)
        for name, front in fronts.items():
            _, best = max((one for one in front if cost(one[1]) <= cost(uniform)), key=lambda one: one[0])
            points = 100 * (judged(best).astype(float) - judged(uniform))
            found = {
                "width": width,
                "search": name,
                "uniform": 100 * judged(uniform).mean(),
                "gain": points.mean(),
                "standard_error": points.std() / len(points) ** 0.5,
                "heads": best.heads,
                "neurons": best.neurons,
            }
            print(found, flush=True)
            yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="GLUE folder with SST-2")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished job of this study on SST-2")
    options = parser.parse_args()
    process.set_device("cpu")
    config = load(options.run / "config.yaml")
    stages = json.loads((options.run / "finished.json").read_text())["stages"]
    folders = {name: options.run.parents[1] / "store" / folder for name, folder in stages.items()}
    used = config.task.max_train_rows
    assert config.task.name == "sst2" and used is not None
    inputs = load_inputs(replace(config, task=replace(config.task, data_dir=options.data_dir, max_train_rows=None)))
    every = inputs.encoded("train")
    held_out = every.take(np.arange(used)).hold_out(config.search.rows, config.trainer.seed)[1]
    unseen = every.take(np.arange(used, used + config.search.rows))
    judging = every.take(np.arange(used + config.search.rows, used + config.search.rows + JUDGING))

    teacher = models.load(folders["finetune"] / "model")[0]
    supernet = models.load(folders["distill"] / "supernet")[0]
    elastic.make_elastic(supernet)

    def logits_of(subnet: SubNet, rows: Encoded) -> np.ndarray:
        with elastic.selected(supernet, subnet):
            return predict(models.forward_of(supernet), rows, BATCH)

    def metric(rows: Encoded) -> Score:
        return lambda logits: float((logits.argmax(axis=1) == rows.labels).mean())

    def against_teacher(rows: Encoded) -> Score:
        targets = np.exp(log_softmax(predict(models.forward_of(teacher), rows, BATCH)))
        return lambda logits: float((targets * log_softmax(logits)).sum(axis=1).mean())

    space = inputs.space
    start = [*starting(space, folders["reorder"] / "importance.npz")]
    record = record_of_search(folders["search"])
    assert record is not None
    fronts: dict[str, list[tuple[float, SubNet]]] = {
        "held out, metric": [(one["score"], SubNet.from_dict(one["subnet"])) for one in record["front"]]
    }
    for name, rows, criterion in (
        ("unseen, metric", unseen, metric),
        ("held out, teacher", held_out, against_teacher),
        ("unseen, teacher", unseen, against_teacher),
    ):
        started, score = time.monotonic(), criterion(rows)
        scored = search(
            space,
            start,
            lambda one, score=score, rows=rows: score(logits_of(one, rows)),
            cost,
            EVALUATIONS,
            config.trainer.seed,
        )
        fronts[name] = [(one.score, one.subnet) for one in pareto(scored)]
        print(f"{name}: {time.monotonic() - started:.0f} s, {len(fronts[name])} on the front", flush=True)

    @cache
    def judged(subnet: SubNet) -> np.ndarray:
        return logits_of(subnet, judging).argmax(axis=1) == judging.labels

    found = list(gains(fronts, judged))
    teachers = predict(models.forward_of(teacher), judging, BATCH).argmax(axis=1) == judging.labels
    record = {"run": options.run.name, "judging_rows": len(judging), "teacher": 100 * teachers.mean(), "found": found}
    (HERE / "rows.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

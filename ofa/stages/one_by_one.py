"""Train networks further, each by itself, and keep that only where it helps on training rows that are held out."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from paddle import Tensor, nn
from tqdm import tqdm

from ofa.data.batches import Batch
from ofa.data.tokens import Encoded
from ofa.stages.context import StageContext
from ofa.system import files, ranks
from ofa.system.process import seed_everything
from ofa.training.checkpoint import BestNetworks
from ofa.training.precision import Precision

log = logging.getLogger(__name__)
DONE = "done.json"


@dataclass(frozen=True, kw_only=True)
class Pupil:
    """A network that learns by itself.

    Attributes:
        model: what the loop trains, by ``step``.
        score: the task's first metric of it, as it is now, on the rows held out.
        save: writes the network to a folder.
    """

    model: nn.Layer
    step: Callable[[Batch, int], dict[str, Tensor]]
    score: Callable[[], float]
    save: Callable[[Path], None]
    precision: Precision


def improve(
    context: StageContext,
    stage: str,
    names: Iterable[str],
    rows: Encoded,
    pupil: Callable[[str], Pupil],
    section: str | None = None,
    epochs: int | None = None,
) -> None:
    """Writes ``widths/<name>/`` and ``<stage>.json``: a network's score ``before``, the ``step`` and ``score`` kept.

    The scores are on the rows held out; step 0 is the network as it was.

    Args:
        rows: what all of them learn from.
        pupil: the name of a network -> how it learns.
        section, epochs: of the loop, see :meth:`StageContext.loop`.
    """
    record = {}
    for name in tqdm(names, desc=stage, unit="network", leave=False, dynamic_ncols=True):
        done = context.work / name / DONE
        if not ranks.broadcast(done.exists()):
            seed_everything(context.config.trainer.seed)
            best = BestNetworks(context.work / name)
            before = _train(context, stage, name, rows, pupil(name), best, section, epochs)
            if ranks.is_main():
                _conclude(done, {"before": before, **best.found[name]})
        if ranks.is_main():
            record[name] = json.loads(done.read_text())
            shutil.copytree(done.parent / f"{name}@{record[name]['step']}", context.folder / "widths" / name)
    if ranks.is_main():
        (context.folder / f"{stage}.json").write_text(json.dumps(record, indent=1) + "\n")
        helped = [name for name, kept in record.items() if kept["step"]]
        log.info("%s: helped %d of %d networks: %s", stage, len(helped), len(record), ", ".join(helped) or "none")


def _train(
    context: StageContext,
    stage: str,
    name: str,
    rows: Encoded,
    one: Pupil,
    best: BestNetworks,
    section: str | None,
    epochs: int | None,
) -> float:
    """Train the network and keep the ``best`` of it; returns its score before. Nothing of it stays in memory."""

    def score(number: int) -> dict[str, float]:
        found = one.score()
        context.monitor.metrics({f"{stage}/held_out": found}, number, name)
        best.update(name, number, found, one.save)
        return {"held out": found}

    before = one.score()
    best.update(name, 0, before, one.save)
    loop = context.loop(
        stage,
        rows,
        model=one.model,
        step=one.step,
        evaluate=score,
        best=best,
        precision=one.precision,
        monitored=False,
        section=section,
        epochs=epochs,
    )
    loop.run()
    return before


def _conclude(done: Path, record: dict[str, float]) -> None:
    """A network is done: of many networks, only those under way may keep checkpoints."""
    files.write_whole(done, json.dumps(record))
    for path in done.parent.glob("step-*"):
        shutil.rmtree(path)

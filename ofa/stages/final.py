"""Finetune every distilled network on the true labels, and keep that only where it helps (DynaBERT's last step).

Whether it helps is asked of training rows that are held out here, never of those whose scores are reported. The
teacher has learned these rows too, and the networks from it, so the comparison favours a network as it was.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from tqdm import tqdm

from ofa.data.kinds import KINDS
from ofa.data.tokens import Encoded
from ofa.evaluation.scores import evaluate, main_score
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.stages.context import StageContext
from ofa.system import files, ranks
from ofa.system.process import seed_everything
from ofa.training.checkpoint import BestNetworks
from ofa.training.loop import labelled_step
from ofa.training.precision import Precision

log = logging.getLogger(__name__)
DONE = "done.json"


def run(context: StageContext) -> None:
    """Writes ``widths/<name>/`` and ``final.json``: a network's score ``before``, and the ``step`` and ``score`` kept.

    The scores are on the rows held out; step 0 is the network as it was distilled.
    """
    learned, held_out = _split(context)
    record = {}
    for name in tqdm(context.networks, desc="final", unit="network", leave=False, dynamic_ncols=True):
        done = context.work / name / DONE
        if not ranks.broadcast(done.exists()):
            best, before = _finetune(context, name, learned, held_out)
            if ranks.is_main():
                _conclude(done, {"before": before, **best.found[name]})
        if ranks.is_main():
            record[name] = json.loads(done.read_text())
            shutil.copytree(done.parent / f"{name}@{record[name]['step']}", context.folder / "widths" / name)
    if ranks.is_main():
        (context.folder / "final.json").write_text(json.dumps(record, indent=1) + "\n")
        helped = [name for name, kept in record.items() if kept["step"]]
        log.info("final: helped %d of %d networks: %s", len(helped), len(record), ", ".join(helped) or "none")


def _conclude(done: Path, record: dict[str, float]) -> None:
    """A network is done: of many networks, only those under way may keep checkpoints."""
    files.write_whole(done, json.dumps(record))
    for path in done.parent.glob("step-*"):
        shutil.rmtree(path)


def _split(context: StageContext) -> tuple[Encoded, Encoded]:
    """The training rows that are learned from, and those held out; drawn by the job's seed."""
    encoded, trainer = context.inputs.encoded("train"), context.config.trainer
    return encoded.hold_out(max(1, round(trainer.final_held_out * len(encoded))), trainer.seed)


def _finetune(context: StageContext, name: str, learned: Encoded, held_out: Encoded) -> tuple[BestNetworks, float]:
    """The best of one network on the rows held out, and what it scored there before."""
    config, trainer, inputs = context.config, context.config.trainer, context.inputs
    seed_everything(trainer.seed)
    source = context.trained(name)
    model, folder = models.load(source, config.model.dropout)
    best, precision = BestNetworks(context.work / name), Precision(trainer.precision)

    def held_out_score() -> float:
        rows = {"held_out": held_out}
        return main_score(evaluate(forward_of(model), rows, config.task.metrics, trainer.eval_batch_size))

    def save(path: Path) -> None:
        models.save(model, path, folder.labels, inputs.tokenizer)

    def score(number: int) -> dict[str, float]:
        found = held_out_score()
        context.monitor.metrics({"final/held_out": found}, number, name)
        best.update(name, number, found, save)
        return {"held out": found}

    before = held_out_score()
    best.update(name, 0, before, save)
    step = labelled_step(model, KINDS[config.task.kind], precision)
    loop = context.loop(
        "final", learned, model=model, step=step, evaluate=score, best=best, precision=precision, monitored=False
    )
    loop.run()
    return best, before

"""Export every sub-network as a folder to deploy, and prove that it is the network that was scored."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from ofa.data.kinds import KINDS
from ofa.deploy.engines import load_engine, runnable
from ofa.deploy.export import export
from ofa.deploy.serving import SETTINGS, settings_of
from ofa.evaluation.parity import Parity, compare, require_equal
from ofa.evaluation.scores import predict_splits
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.settings.rules import EXTRAS
from ofa.stages.context import StageContext
from ofa.supernet import elastic
from ofa.supernet.space import TEACHER


def run(context: StageContext) -> None:
    """Writes ``<name>/`` (weights, graphs, tokenizer, how it is served) and ``parity.json``.

    The teacher is among them where no network of the job is the full one: it is what their speed is compared with.
    """
    sources = {name: context.trained(name) for name in context.networks}
    if not context.config.ofa.has_full:
        sources[TEACHER] = context.teacher
    found, kind, scale = {}, KINDS[context.config.task.kind], context.inputs.scale
    for name, source in tqdm(sources.items(), desc="export and re-score", leave=False, dynamic_ncols=True):
        target = context.folder / name
        model, folder = models.load(source)
        models.rescale(model, scale.deviation, scale.mean)
        # As this version writes it.
        models.save(model, target, folder.labels, context.inputs.tokenizer, kind.problem_type)
        context.inputs.tokenizer.write_whole(target)
        (target / SETTINGS).write_text(json.dumps(settings_of(context.config)) + "\n")
        (target / "subnet.json").write_text(json.dumps(elastic.full(model).to_dict()) + "\n")
        export(model, target)
        found[name] = {
            "parity": [asdict(parity) for parity in _prove(context, name, source, target)],
            "bytes": {path.name: path.stat().st_size for path in sorted(target.iterdir())},
        }
    (context.folder / "parity.json").write_text(json.dumps(found, indent=1) + "\n")


def _prove(context: StageContext, name: str, source: Path, folder: Path) -> list[Parity]:
    """Compare the files with the network that was scored, on all dev rows, in all that a CPU can run them with.

    Engines that come with an extra take their time on every row only where they are to be used.
    """
    scored, _ = models.load(source)
    config, dev, found = context.config, context.inputs.dev, []
    expected = predict_splits(forward_of(scored), dev, config.trainer.eval_batch_size)
    for engine, precision in runnable(folder, "cpu"):
        if engine in EXTRAS and engine not in config.latency.engines:
            continue
        exported = load_engine(folder, engine, precision, "cpu", context.threads)
        parity = compare(expected, context.dev_logits(exported), dev, config.task.metrics, engine, precision)
        require_equal(parity, name, KINDS[config.task.kind])
        found.append(parity)
    return found

"""Time networks of a few layers on this machine, once, for a search with a limit on what it takes."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
from tqdm import tqdm

from ofa.data.batches import Batch
from ofa.deploy.engines import load_engine
from ofa.deploy.export import export
from ofa.deploy.graphs import ONNX_GRAPH, graph, reduced
from ofa.deploy.latency import measure, random_batch
from ofa.deploy.quantize import Source, write
from ofa.errors import Interrupted
from ofa.limits import figure, figures
from ofa.model import network as models
from ofa.stages.context import StageContext
from ofa.supernet import elastic
from ofa.supernet.layer_times import LayerTimes, as_timed, to_time
from ofa.system.process import seed_everything

log = logging.getLogger(__name__)
FAR = 0.15  # a relative error that layers have no part in: on a machine that does nothing else, it is a tenth of that


def run(context: StageContext) -> None:
    """Writes ``layer_times.json``: the table, and the networks of random weights that it was fitted on.

    Raises:
        Interrupted: if the job is to stop; what is exported by then is there when it goes on.
    """
    config, inputs = context.config, context.inputs
    one, settings = figures(config)[str(figure(config))], config.latency
    shape, (architecture, extra) = as_timed(inputs.shape), inputs.kind(config.model)
    seed_everything(config.trainer.seed)
    whole = replace(shape, num_attention_heads=shape.heads_of_hidden, original_heads=0)
    supernet = elastic.make_elastic(models.build(whole, architecture=architecture, extra=extra))
    networks = {}
    for number, subnet in enumerate(tqdm(to_time(inputs.space, shape.num_hidden_layers), desc="layers", leave=False)):
        if context.stop():
            raise Interrupted(f"layer_times stopped after {number} networks")
        folder = context.work / str(number)
        if not folder.exists():
            _export(context, elastic.extract(supernet, subnet), subnet.depth, (one.engine, one.precision), folder)
        way = (one.engine, one.precision, str(paddle.get_device()), context.threads, one.batch_size)
        networks[subnet] = load_engine(folder, *way)
    sizes = (one.batch_size, one.seq_length, shape.vocab_size)
    timed = measure(networks, *sizes, settings.warmup, settings.repeats)
    found = {subnet: timing.median_ms for subnet, timing in timed.items()}
    table = LayerTimes.fit(found)
    table.write(context.folder, found)
    error = table.error(found)
    log.info("layer_times: %d networks timed; sums over layers are within %.1f%% of them", len(found), 100 * error)
    if error > FAR:
        log.warning("layer_times: was the machine busy? force=[layer_times,search] times it again")


def _export(context: StageContext, model: paddle.nn.Layer, depth: int, way: tuple[str, str], target: Path) -> None:
    """Write ``model``, of so many layers, to ``target`` as a folder to deploy, with the graph that an engine reads.

    Args:
        way: engine and precision.
    """
    folder = context.work / "exporting"
    shutil.rmtree(folder, ignore_errors=True)
    models.save(model, folder, ("0", "1"), context.inputs.tokenizer)
    export(model, folder)
    if method := reduced(context.config).get(way):
        ids, types = random_batch(1, context.config.latency.seq_lengths[0], as_timed(context.inputs.shape).vocab_size)
        rows = [Batch(ids, types, np.zeros(1, np.int64), np.zeros(1, np.int64))]  # any ranges take as long
        path = folder / ONNX_GRAPH
        source = Source.prepare(path, depth, rows, context.config.int8.reduce_range, context.work, context.threads)
        write(source, graph(folder, *way), method)
    folder.rename(target)

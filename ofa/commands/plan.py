"""``ofa plan``: size and estimated latency of every network that a job would train. Nothing is trained or loaded."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import chain

from ofa.errors import UserError
from ofa.jobs.preflight import problems
from ofa.limits import require_reachable
from ofa.model.folder import Folder
from ofa.model.hub import folder_here
from ofa.results.collect import estimates
from ofa.results.columns import folded, lines
from ofa.results.figure import Latency
from ofa.results.report import human
from ofa.settings.compose import compose, typed
from ofa.settings.explain import explain
from ofa.settings.schema import Config
from ofa.stages.inputs import model_shape
from ofa.supernet.layerwise import Space
from ofa.supernet.space import networks, teacher
from ofa.supernet.subnet import count_macs, count_params, uniform
from ofa.system.command import as_command, terminal_width
from ofa.system.files import expanded


def plan(config: Config, width: int = sys.maxsize) -> str:
    """A line per network: layers, heads, neurons, parameters, MACs of a row, and every estimate, in ms and speed-up.

    Where no network of the job is the full one, the teacher is, which the others' speed-ups are against.

    Args:
        width: places of a line; what does not fit follows in further tables below.

    Raises:
        UserError: if the settings break a rule.
    """
    if found := list(problems(config)):
        raise UserError("\n".join(found))
    folder = folder_here(config.model, expanded(config.cache_dir))
    shape = model_shape(config, folder, None)
    of_job = networks(config.ofa.widths, config.ofa.depths, shape)
    require_reachable(_limited(config, folder), shape, Space.between((one.subnet for one in of_job.values()), shape))
    if not config.ofa.has_full:
        full = teacher(shape)
        of_job = {full.name: full} | of_job
    figures = {name: estimates(config, shape, network) for name, network in of_job.items()}
    base = max(figures.values(), key=lambda of_one: sum(latency.ms for latency in of_one))
    table = [["network", "layers", "heads", "neurons", "params", "MACs", *map(_heading, base)]]
    for name, network in of_job.items():
        subnet = network.subnet
        sizes = [subnet.depth, uniform(subnet.heads), uniform(subnet.neurons)]
        params = human(count_params(shape, subnet))
        macs = human(count_macs(shape, subnet, config.trainer.max_seq_length))
        times = [f"{own.ms:.2f} ms {full.ms / own.ms:.2f}x" for own, full in zip(figures[name], base, strict=True)]
        table.append([name, *map(str, sizes), params, macs, *times])
    evidence = dict.fromkeys(f"{one.engine} in {one.precision}: {one.evidence}" for one in base)
    rests = f"estimated for {config.hardware.name} ({'; '.join(evidence) or 'nothing is estimated for it'})"
    title = f"{config.task.name}, {config.model.name}, rows of {config.trainer.max_seq_length} tokens; {rests}"
    return "\n".join([title, *chain.from_iterable(map(lines, folded(table, width)))])


def _limited(config: Config, folder: Folder | None) -> Config:
    """``config`` with those limits alone whose cost is known before rows are read: a vocabulary may be made of them."""
    if folder is not None and config.ofa.vocabulary == "full":
        return config
    return replace(config, search=replace(config.search, max_params=None, max_bytes=None))


def _heading(latency: Latency) -> str:
    return f"{latency.engine} {latency.precision} b{latency.batch_size} s{latency.seq_length}"


@as_command
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="ofa plan",
        description="Estimate every network of a job before it is trained: parameters, MACs, latency on the target.",
        epilog="A vocabulary that is not trained yet counts with model.vocab_size, and one of ofa.vocabulary=seen "
        "as the whole one: both depend on the rows. Example: ofa plan task=sst2 "
        "'ofa.widths=[1,0.75,0.5]' hardware=t4. For a model without settings see python -m ofa.hardware --help.",
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="as of ofa run; none: the default job")
    options = parser.parse_args(arguments)
    try:
        table = plan(typed(compose(options.settings)), terminal_width())
    except Exception as error:  # Hydra's and OmegaConf's: of many kinds, all of them mistakes in the settings
        print(explain(error), file=sys.stderr)
        return 1
    print(table)
    return 0

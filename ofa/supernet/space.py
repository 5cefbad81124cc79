"""The sub-networks a job serves, their names, and which of them a step trains."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa.supernet.subnet import EncoderShape, SubNet, depth_problem, width_problem

TEACHER = "teacher"  # in place of the name of a sub-network
SEARCHED = "search"  # begins the name of one that a search found
FOUND = "search.json"  # what a search leaves in its folder


@dataclass(frozen=True)
class Network:
    """One sub-network of a job.

    Attributes:
        name: names its folders, its entry in results.json and its run in MLflow.
        width: share of the heads and neurons of a layer that it keeps, as the settings give it; the mean share where
            layers differ.
        depth: share of the layers that it keeps.
    """

    name: str
    width: float
    depth: float
    subnet: SubNet


def name_of(width: float, depth: float = 1.0) -> str:
    """``w0.75``; ``w0.75-d0.5`` where layers are left out."""
    return f"w{width:.4g}" if depth == 1.0 else f"w{width:.4g}-d{depth:.4g}"


def networks(widths: Sequence[float], depths: Sequence[float], shape: EncoderShape) -> dict[str, Network]:
    """The sub-networks of a job by name: every width at every depth, in the order of the settings, depth by depth.

    Raises:
        UserError: if a width keeps no whole number of the heads of ``shape``, or a depth of its layers.
    """
    grid = [(width, depth) for depth in depths for width in widths]
    found = [Network(name_of(*shares), *shares, SubNet.at(*shares, shape)) for shares in grid]
    return {network.name: network for network in found}


def networks_found(record: Mapping[str, Any] | None) -> dict[str, Network]:
    """The sub-networks that a search went on with, by name, from the ``record`` it left; none where there was none."""
    return {
        entry["name"]: Network(entry["name"], entry["width"], entry["depth"], SubNet.from_dict(entry["subnet"]))
        for entry in (record["front"] if record else [])
        if entry["chosen"]
    }


def record_of_search(folder: Path | None) -> dict[str, Any] | None:
    """What a search left in its ``folder``; None without one."""
    return json.loads((folder / FOUND).read_text(encoding="utf-8")) if folder else None


def network_found(place: int, subnet: SubNet, shape: EncoderShape) -> Network:
    """A sub-network of a search as one of a job: ``search1`` is the best that was found within the limits."""
    kept = sum(subnet.heads) / shape.num_attention_heads + sum(subnet.neurons) / shape.intermediate_size
    width, depth = kept / (2 * subnet.depth), subnet.depth / shape.num_hidden_layers
    return Network(f"{SEARCHED}{place}", round(width, 4), round(depth, 4), subnet)


def teacher(shape: EncoderShape) -> Network:
    """The full network, as those of a job that does not train it are compared with it."""
    return Network(TEACHER, 1.0, 1.0, SubNet.full(shape))


def grid_problems(widths: Sequence[float], depths: Sequence[float], heads: int, layers: int) -> Iterator[str]:
    """In words, why these widths and depths cannot be those of a job on a model of so many heads and layers."""
    yield from _share_problems("ofa.widths", widths, heads, "heads", width_problem)
    if layers == 1 and list(depths) != [1.0]:
        yield f"ofa.depths: {list(depths)}, but the model has one layer; allowed: [1.0]"
    else:
        yield from _share_problems("ofa.depths", depths, layers, "layers", depth_problem)
    if len(widths) == len(depths) == 1:
        return  # one target needs no full network beside it
    for key, shares in (("ofa.widths", widths), ("ofa.depths", depths)):
        if 1.0 not in shares:
            yield f"{key}: {list(shares)} lacks 1.0, the full network that the others are cut from"


def _share_problems(
    key: str, shares: Sequence[float], count: int, unit: str, problem: Callable[[float, int], str | None]
) -> Iterator[str]:
    by_count: dict[int, list[str]] = {}
    for share in shares:
        words = problem(share, count)
        if words:
            yield words
        else:
            by_count.setdefault(round(share * count), []).append(f"{share:g}")
    for kept, same in by_count.items():
        if len(same) > 1:
            yield f"{key}: {', '.join(same)} all keep {kept} of {count} {unit}; allowed: each sub-network once"


def sample(macs: Mapping[str, int], sampling: str, between: int, seed: int, step: int) -> list[str]:
    """The sub-networks that one step trains.

    ``all`` is every one. ``sandwich`` is the largest, the smallest and ``between`` others drawn for the
    step, so that a step's cost does not grow with the list (Yu and Huang 2019, https://arxiv.org/abs/1903.05134,
    who distil the smaller ones from the largest; here all are distilled from the teacher). The draw depends on
    (seed, step) alone, so a resumed run makes the same.

    Args:
        macs: what each costs, by name.
    """
    if sampling == "all" or len(macs) <= between + 2:
        return list(macs)
    ordered = sorted(macs, key=lambda name: -macs[name])
    drawn = np.random.default_rng([seed, step]).choice(len(ordered) - 2, between, replace=False)
    return [ordered[0], *(ordered[1 + place] for place in sorted(drawn)), ordered[-1]]

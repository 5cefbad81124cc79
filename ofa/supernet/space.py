"""The sub-networks a job serves, their names, and which of them a step trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ofa.supernet.subnet import EncoderShape, SubNet


@dataclass(frozen=True)
class Network:
    """One sub-network of a job.

    Attributes:
        name: names its folders, its entry in results.json and its run in MLflow.
        width: share of the heads and neurons of a layer that it keeps, as the settings give it.
        depth: share of the layers that it keeps.
    """

    name: str
    width: float
    depth: float
    subnet: SubNet


def name_of(width: float, depth: float = 1.0) -> str:
    """``w0.75``; ``w0.75-d0.5`` where layers are left out."""
    return f"w{width:.4g}" if depth == 1.0 else f"w{width:.4g}-d{depth:.4g}"


def networks(widths: Sequence[float], shape: EncoderShape) -> dict[str, Network]:
    """The sub-networks of a job by name, in the order of the settings.

    Raises:
        UserError: if a width keeps no whole number of the heads of ``shape``.
    """
    found = [Network(name_of(width), width, 1.0, SubNet.at(width, 1.0, shape)) for width in widths]
    return {network.name: network for network in found}


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

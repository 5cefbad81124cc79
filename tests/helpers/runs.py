"""A finished run with the network of a test as its one network, exported and linked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ofa.results import collect
from ofa.results.links import link_networks

from .results import network, results

YAML = """task: {name: toy, text: [sentence], labels: ["no", maybe, "yes"], dev: {dev: dev.tsv}}
model: {name: toy}
hardware: {name: cpu}
trainer: {max_seq_length: 16}
"""


def exported_run(exported: Path, place: Path, **more: Any) -> Path:
    """The folder of a run beside its store in ``place``, with the network ``w1`` in the folder ``exported``.

    Args:
        more: of its results, see :func:`helpers.results.results`.
    """
    folder, store = place / "runs" / "a", place / "store" / "export-1" / "w1"
    shutil.copytree(exported, store, ignore=shutil.ignore_patterns("serving.json"))
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(YAML)
    found = results("toy", 1, **{"networks": (network(1.0, 0.9),), "export": "export-1", **more})
    collect.write(folder, found)
    link_networks(folder, store.parent, found)
    return folder

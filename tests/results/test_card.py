"""The model card that stands in a network's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.results import results, timed

from ofa.results import card
from ofa.results.links import link_networks


def test_it_says_what_the_results_say() -> None:
    found = timed(results(dev_rows=872), [10.0, 8.0, 5.0], evidence="fitted on 4 rows")
    half = replace(found.networks[2], lost=(1.0, 3.0), bytes=5_000_000)
    said = card.text(replace(found, networks=(*found.networks[:2], half)), half)
    head, title = said.split("---\n")[1:3]
    assert "pipeline_tag: text-classification" in head and title.startswith("\n# sst2: width 0.5 of toy\n")
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("|")]
    assert ["accuracy", "0.9100", "0.9300"] in cells
    assert ["points from the teacher", "-2.00 (90% interval -3.0 to -1.0)", ""] in cells
    assert ["parameters", "50M", "100M"] in cells and ["model.onnx", "5MB", ""] in cells
    (latency,) = [row for row in cells if row[0].startswith("Paddle Inference")]
    assert latency[1:] == ["5.00", "2.00x", "estimated for t4, fitted on 4 rows"]


def test_it_stands_in_every_folder(tmp_path: Path) -> None:
    export = tmp_path / "store" / "export-1"
    for name in ("w1", "w0.75", "w0.5"):
        (export / name).mkdir(parents=True)
    (tmp_path / "run").mkdir()
    link_networks(tmp_path / "run", export, results())
    assert (tmp_path / "run" / "w0.5" / "README.md").read_text().count("# sst2: width 0.5 of toy") == 1

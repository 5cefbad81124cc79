"""Does the front of a search beat uniform networks at equal MACs, on rows that it never saw?

    python experiments/search/run.py run --data-dir GLUE --model FOLDER [--output-dir DIR] [--tasks cola] [--seeds 42]
    python experiments/search/run.py collect [--output-dir DIR]

Runs the product on a pretrained BERT of 6 layers x 384, widths 1, 3/4, 1/2 and 1/4, with a limit at the MACs of width
3/4, with the settings of ``experiments/glue_minilm/jobs.py`` (that study's ``--output-dir`` has teachers already); it
goes on where it was stopped. For each narrower width the network of the front that costs no more, and scored
best on the rows held out of distillation, is compared with it on the dev rows. Both have the shared weights of the last
step (``ofa.keep=last``), so dev rows choose nothing. Of each finished job a small file stays in ``runs/``, of which
``collect`` makes ``results.json`` anew; the claims it begins with are in ``claims.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from glue_minilm.jobs import SEEDS, job, keep, kept
from search.claims import TASKS, WIDTHS

from ofa.supernet.subnet import EncoderShape, SubNet, count_macs

RUNS = HERE / "runs"
NAME = "search_6x384"  # of this study's jobs, beside others in the same folder
SHAPE = EncoderShape(6, 384, 12, 1536)
LARGEST = 0.75  # the width at whose MACs the limit is; 1 is trained beside those that are compared
SETTINGS = "ofa.widths=[1,0.75,0.5,0.25] ofa.sampling=layers ofa.keep=last search.networks=100"
LENGTH = 128  # tokens of a row, as trainer.max_seq_length


def run(options: argparse.Namespace) -> None:
    """Run the jobs one after the other; one that fails stops the study with its own message."""
    limit = count_macs(SHAPE, SubNet.at(LARGEST, 1.0, SHAPE), LENGTH)
    for seed, task in product(options.seeds, options.tasks):
        settings = job(task, seed, options.data_dir, options.model, options.output_dir)
        settings += [*SETTINGS.split(), f"search.max_macs={limit}", "stages=[evaluate]", f"model.name={NAME}"]
        command = [sys.executable, "main.py", *settings, "tracking=none", *options.set]
        subprocess.run(command, cwd=REPO, check=True)
        collect(options)


def compared(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For each width, its dev score and that of the best of the front (by the rows held out) at its MACs or less."""
    search = results["search"]
    by_name = {network["name"]: network for network in results["widths"]}
    held_out = {entry["name"]: entry["score"] for entry in search["uniform"]}
    for name in WIDTHS:
        uniform = by_name[name]
        fit = [entry for entry in search["front"] if entry["costs"]["max_macs"] <= uniform["macs"]]
        best = max(fit, key=lambda entry: entry["score"])
        found = by_name[best["name"]]
        yield {
            "width": name,
            "macs": {"uniform": uniform["macs"], "found": found["macs"]},
            "held_out": {"uniform": held_out[name], "found": best["score"]},
            "dev": {"uniform": uniform["score"], "found": found["score"]},
            "gain": 100 * (found["score"] - uniform["score"]),
            "heads": found["heads"],
            "neurons": found["neurons"],
        }


def collect(options: argparse.Namespace) -> None:
    """Keep a small file of every finished job under ``--output-dir``, and make the results of all kept ones."""
    place = REPO / options.output_dir
    for path in sorted(place.glob("runs/*/finished.json")):
        found = json.loads((path.parent / "results.json").read_text())
        if found.get("model") == NAME:
            stage = place / "store" / json.loads(path.read_text())["stages"]["search"] / "stage.json"
            keep(RUNS, _record(found, json.loads(stage.read_text())))
    show(write(HERE, {"settings": SETTINGS.split(), "runs": kept(RUNS)}))


def _record(found: dict[str, Any], stage: dict[str, Any]) -> dict[str, Any]:
    """What of a job's results.json, and of the record of its search in the store, the study needs."""
    about = {key: found[key] for key in ("task", "seed", "dev_rows")}
    search = {key: found["search"][key] for key in ("rows", "evaluations", "metric")}
    return {
        **about,
        "train_rows": found["rows"]["train"]["used"],
        "search": {**search, "seconds": stage["seconds"]},
        "front": len(found["search"]["front"]),
        "compared": list(compared(found)),
        "machine": stage["machine"],
        "versions": stage["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "collect"))
    parser.add_argument("--data-dir", help="the folder with GLUE's tasks")
    parser.add_argument("--model", help="the folder of the pretrained BERT, 6 layers x 384")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="run: further settings of every job")
    options = parser.parse_args()
    if options.part == "run" and not (options.data_dir and options.model):
        parser.error("run needs --data-dir and --model")
    {"run": run, "collect": collect}[options.part](options)


if __name__ == "__main__":
    main()

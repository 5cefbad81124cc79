"""Does the front of a search beat uniform networks at equal MACs, on rows that it never saw?

    python experiments/search/run.py --data-dir GLUE --model FOLDER [--tasks cola mrpc --seeds 1] [--set KEY=VALUE ...]

Runs the product on a pretrained BERT of 6 layers x 384, widths 1, 3/4, 1/2 and 1/4, with a limit at the MACs of width
3/4, with the settings of ``experiments/glue_minilm`` (in its ``--output-dir`` the teachers are there already); it goes
on where it was stopped. For each narrower width the network of the front that costs no more, and scored
best on the rows held out of distillation, is compared with it on the dev rows. Both have the shared weights of the last
step (``ofa.keep=last``), so dev rows choose nothing. ``results.json`` begins with the claims.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import claim, show
from glue_minilm.jobs import SEEDS, job

from ofa.supernet.space import name_of
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs
from ofa.system import machine

RESULTS = HERE / "results.json"
NAME = "search_6x384"  # of this study's jobs, beside others in the same folder
SHAPE = EncoderShape(6, 384, 12, 1536)
TASKS = ["sst2", "cola", "mrpc"]
WIDTHS = [0.75, 0.5, 0.25]  # compared; 1 is trained beside them
NAMES = [name_of(width) for width in WIDTHS]
SETTINGS = "ofa.widths=[1,0.75,0.5,0.25] ofa.sampling=layers ofa.keep=last search.networks=100"
LENGTH = 128  # tokens of a row, as trainer.max_seq_length
LEAST_GAIN = 0.3  # points, in the mean
MOST_MINUTES = 10.0


def run(options: argparse.Namespace) -> None:
    limit = count_macs(SHAPE, SubNet.at(max(WIDTHS), 1.0, SHAPE), LENGTH)
    for seed, task in product(options.seeds, options.tasks):
        settings = job(task, seed, options.data_dir, options.model, options.output_dir)
        settings += [*SETTINGS.split(), f"search.max_macs={limit}", "stages=[evaluate]", f"model.name={NAME}"]
        command = [sys.executable, "main.py", *settings, "tracking=none", *options.set]
        subprocess.run(command, cwd=REPO, check=True)


def compared(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """For each width, its dev score and that of the best of the front (by the rows held out) at its MACs or less."""
    search = results["search"]
    by_name = {network["name"]: network for network in results["widths"]}
    held_out = {entry["name"]: entry["score"] for entry in search["uniform"]}
    for name in NAMES:
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


def collected(place: Path) -> list[dict[str, Any]]:
    runs = []
    for path in sorted((place / "runs").glob("*/results.json")):
        results = json.loads(path.read_text())
        if results.get("model") != NAME:
            continue
        search = {key: results["search"][key] for key in ("rows", "evaluations", "metric")}
        about = {"task": results["task"], "seed": results["seed"], "dev_rows": results["dev_rows"], "search": search}
        runs.append({**about, "front": len(results["search"]["front"]), "compared": list(compared(results))})
    return runs


def claims(runs: list[dict[str, Any]], minutes: list[float]) -> list[dict[str, Any]]:
    """What was asked, and what was found; a claim whose runs are not all there is not met."""
    whole = set(product(TASKS, SEEDS)) <= {(run["task"], run["seed"]) for run in runs}
    every = [one for run in runs for one in run["compared"]]
    gains = {f"at the MACs of {name}": [one["gain"] for one in every if one["width"] == name] for name in NAMES}
    gains["mean of widths"] = [one["gain"] for one in every]
    found = [
        claim(f"points gained on dev, {what}", ">=", LEAST_GAIN, statistics.mean(of) if of else None, whole)
        for what, of in gains.items()
    ]
    found.append(claim("minutes of a search", "<=", MOST_MINUTES, max(minutes, default=None), whole))
    found.append(claim("networks on a front", ">=", 10, min((run["front"] for run in runs), default=None), whole))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="the folder with GLUE's tasks")
    parser.add_argument("--model", required=True, help="the folder of the pretrained BERT, 6 layers x 384")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--set", nargs="*", default=[], help="more settings, e.g. task.max_train_rows=2000")
    options = parser.parse_args()
    run(options)
    place = REPO / options.output_dir
    runs = collected(place)
    minutes = [json.loads(p.read_text())["seconds"] / 60 for p in (place / "store").glob("search-*/stage.json")]
    record = {"claims": claims(runs, minutes), "settings": [*SETTINGS.split(), *options.set], "minutes": minutes}
    record |= {"machine": machine.machine(), "versions": machine.versions(), "runs": runs}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    show(record["claims"])


if __name__ == "__main__":
    main()

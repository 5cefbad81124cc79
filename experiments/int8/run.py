"""What INT8 costs in score and gains in time: the product's own stages, on a pretrained BERT and GLUE.

    python experiments/int8/run.py study --model DIR --data-dir DIR [--output-dir DIR] [key=value]
    python experiments/int8/run.py collect [--output-dir DIR]
    python experiments/int8/run.py random [--rounds 10]

``study`` runs the jobs of ``experiments/glue_minilm/jobs.py`` for three tasks; with that study's ``--output-dir`` its
teachers and networks are taken from the store, and only INT8 and the timing are new (without it: many hours). Of each
finished job one small file stays in ``runs/``; ``collect`` makes the study's part of ``results.json`` of all of them.
``random`` (minutes) needs no data: times and file sizes do not depend on the weights, and of scores it says nothing.
Both time with one thread, networks and precisions in turns. ``results.json`` begins with the claims
of ``claims.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from glue_minilm.jobs import COMPARED, SEEDS, finished, job, keep, kept
from int8.claims import BATCHES, STUDIED

from ofa.deploy.engines import run_onnx
from ofa.deploy.export import export
from ofa.deploy.graphs import GRAPHS, graph
from ofa.deploy.latency import measure
from ofa.deploy.quantize import Source
from ofa.deploy.quantize import write as quantize
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import machine, process

process.prepare(1)

RESULTS, RUNS = HERE / "results.json", HERE / "runs"
SHAPE = EncoderShape(6, 384, 12, 1536, max_position_embeddings=128)
WIDTHS = {"w1": 1.0, "w0.6667": 2 / 3, "w0.5": 0.5}
LENGTH = 128
PRECISIONS = ("fp32", "int8")
NETWORKS = ["w1", "w0.8333", "w0.6667", "w0.5"]


def study(options: argparse.Namespace) -> None:
    """Run the jobs one after the other; one that fails stops the study with its own message."""
    for seed in options.seeds:
        for task in options.tasks:
            settings = job(task, seed, options.data_dir, options.model, options.output_dir)
            settings += ["hardware.threads=1", "latency.engines=[onnxruntime]"]
            subprocess.run([sys.executable, "main.py", *settings, *options.set], cwd=REPO, check=True)
            collect(options)


def collect(options: argparse.Namespace) -> None:
    """Keep a small file of every finished job under ``--output-dir``, and make the study's part of all kept ones."""
    for found in finished(REPO / options.output_dir, NETWORKS):
        if _is_timed(found):
            keep(RUNS, _record(found))
    records = kept(RUNS)
    rows = [{"task": one["task"], "seed": one["seed"], **row} for one in records for row in one["networks"]]
    _write("study", {"settings": {one["task"]: COMPARED[one["task"]] for one in records}, "rows": rows})
    print("\n".join(table(rows)))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The table of the README: a row for each job and network."""
    heads = ["FP32", "INT8", "points lost", "in batches of 1, 16, 128", "in FP32", "file", "batch 16", "batch 1"]
    lines = [f"| task, seed | network | {' | '.join(heads)} |", "| :--- | :--- |" + " ---: |" * len(heads)]
    for row in (row for row in rows if row["size"]):
        score, ms = row["scores"], row["ms"]
        each = row.get("drop_in_batches", {}).values()  # rows of an earlier gate have none
        kept = ("smoothed, " if row.get("smoothed") else "") + str(len(row["kept_fp32"]))
        cells = [f"{score['fp32']:.4f}", f"{score['int8']:.4f}", f"{row['drop']:+.2f}"]
        cells += [", ".join(f"{points:+.1f}" for points in each), kept, f"{row['size']:.1%}"]
        cells += [f"{ms[batch]['fp32'] / ms[batch]['int8']:.2f}" for batch in ("b16", "b1")]
        lines.append(f"| {row['task']}, {row['seed']} | {row['network']} | {' | '.join(cells)} |")
    return lines


def _is_timed(found: dict[str, Any]) -> bool:
    """Whether a job was timed as the study's are: the jobs of ``glue_minilm`` itself lie in the same folder."""
    timed = [_times(entry, batch) for entry in found["widths"] for batch in BATCHES]
    return found.get("measured_on", {}).get("cpu", {}).get("threads") == 1 and any("int8" in of for of in timed)


def _record(found: dict[str, Any]) -> dict[str, Any]:
    """What of a job's results.json the study needs."""
    about = {
        key: found[key] for key in ("task", "model", "seed", "dev_rows", "measured_on", "unsteady") if key in found
    }
    return {**about, "teacher": found["teacher"]["score"], "networks": list(_rows(found))}


def _rows(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each network of a job; sizes and times are those of the files as they would be deployed."""
    largest = max(results["widths"], key=lambda entry: entry["macs"])
    for entry in results["widths"]:
        times = {f"b{batch}": _times(entry, batch) for batch in BATCHES}
        int8 = entry.get("int8")
        scores = {"fp32": entry["score"], **({"int8": int8["score"]} if int8 else {})}
        yield {
            "network": entry["name"],
            "scores": scores,
            "below_teacher": {key: 100 * (results["teacher"]["score"] - score) for key, score in scores.items()},
            "drop": int8 and int8["drop"],
            "kept_fp32": int8 and int8["kept_fp32"],
            "smoothed": int8 and int8["smoothed"],
            "drop_in_batches": int8 and int8["drop_in_batches"],
            "size": int8 and int8["bytes"] / entry["bytes"],
            "ms": times,
            "full_fp32_ms": {f"b{batch}": _times(largest, batch)["fp32"] for batch in BATCHES},
        }


def _times(entry: dict[str, Any], batch: int) -> dict[str, float]:
    """Milliseconds in each precision; ONNX Runtime, the one engine that is timed, has no name in its figures."""
    names = {precision: f"cpu_{precision}_b{batch}_s{LENGTH}_measured" for precision in PRECISIONS}
    return {key: entry["latency_ms"][name] for key, name in names.items() if name in entry["latency_ms"]}


def random(options: argparse.Namespace) -> None:
    """The same rows without scores, of networks with random weights."""
    process.set_device("cpu")
    rows = _random_rows(options.rounds)
    about = {"machine": machine.machine(), "versions": machine.versions(), "threads": 1}
    about["load"] = os.getloadavg()[1]  # processes that wanted a core in the last five minutes, this one included
    _write("random", {**about, "rows": rows})


def _write(of: str, part: dict[str, Any]) -> None:
    """Replace one part of ``results.json``, and the claims."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    show(write(HERE, {**before, of: part}))


def _random_rows(rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        files = {width: dict(_files(Path(name) / width, share)) for width, share in WIDTHS.items()}
        networks = {
            (width, precision): run_onnx(path, threads=1)
            for width, of in files.items()
            for precision, path in of.items()
        }
        times = {batch: measure(networks, batch, LENGTH, SHAPE.vocab_size, 2, rounds) for batch in BATCHES}
        ms = {
            width: {f"b{b}": {key: times[b][width, key].median_ms for key in PRECISIONS} for b in BATCHES}
            for width in WIDTHS
        }
        return [
            {
                "network": width,
                "size": of["int8"].stat().st_size / of["fp32"].stat().st_size,
                "ms": ms[width],
                "full_fp32_ms": {batch: of_batch["fp32"] for batch, of_batch in ms["w1"].items()},
            }
            for width, of in files.items()
        ]


def _files(folder: Path, width: float) -> Iterator[tuple[str, Path]]:
    export(elastic.cut(models.build(SHAPE), SubNet.at(width, 1.0, SHAPE)), folder)
    source = Source.prepare(folder / GRAPHS["onnxruntime", "fp32"], SHAPE.num_hidden_layers, [], False, folder, 1)
    quantize(source, graph(folder, "onnxruntime", "int8"), "dynamic")
    for precision in PRECISIONS:
        yield precision, graph(folder, "onnxruntime", precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("study", "collect", "random"))
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", choices=tuple(COMPARED), default=list(STUDIED))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("set", nargs="*", metavar="key=value", help="further settings of every job of the study")
    options = parser.parse_args()
    if options.part == "study" and not (options.data_dir and options.model):
        parser.error("study needs --data-dir and --model")
    {"study": study, "collect": collect, "random": random}[options.part](options)


if __name__ == "__main__":
    main()

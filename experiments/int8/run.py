"""What INT8 costs in score and gains in time: the product's own stages, on a pretrained BERT and GLUE.

    python experiments/int8/run.py study --model DIR --data-dir DIR [--output-dir DIR] [key=value]
    python experiments/int8/run.py collect [--output-dir DIR]
    python experiments/int8/run.py random [--rounds 10]

``study`` runs the jobs of ``experiments/glue_minilm`` for three of its tasks; with that study's ``--output-dir`` its
teachers and networks are taken from the store, and only INT8 and the timing are new (without it: many hours). Of each
finished job one small file stays in ``runs/``; ``collect`` makes the study's part of ``results.json`` of all of them.
``random`` (minutes) needs no data: times and file sizes do not depend on the weights, and of scores it says nothing.
Both time with one thread, networks and precisions in turns. ``results.json`` begins with the claims.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import claim, show
from glue_minilm.jobs import COMPARED, SEEDS, finished, job, keep, kept

from ofa.deploy.engines import run_onnx
from ofa.deploy.export import export
from ofa.deploy.graphs import GRAPHS, graph
from ofa.deploy.latency import measure
from ofa.deploy.quantize import Source, write
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import machine, process

process.prepare(1)

RESULTS, RUNS = HERE / "results.json", HERE / "runs"
STUDIED = ("sst2", "mrpc", "cola")
SHAPE = EncoderShape(6, 384, 12, 1536, max_position_embeddings=128)
WIDTHS = {"w1": 1.0, "w0.6667": 2 / 3, "w0.5": 0.5}
BATCHES, LENGTH = (16, 1), 128
FASTER, SMALLER, MEAN_DROP, MOST_DROP, CHEAPEST, CLOSE = 2.0, 0.30, 0.3, 0.5, 3.5, 1.0
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
    complete = {(one["task"], one["seed"]) for one in records} >= set(product(STUDIED, SEEDS))
    _write(
        "study",
        [*claims("study", rows, complete), *study_claims(rows, complete)],
        {"settings": {one["task"]: COMPARED[one["task"]] for one in records}, "rows": rows},
    )
    print("\n".join(table(rows)))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The table of the README: a row for each job and network."""
    lines = ["| task, seed | network | FP32 | INT8 | points lost | file | FP32 over INT8, batch 16 | batch 1 |"]
    lines.append("| :--- | :--- |" + " ---: |" * 6)
    for row in (row for row in rows if row["size"]):
        score, ms = row["scores"], row["ms"]
        cells = [f"{score['fp32']:.4f}", f"{score['int8']:.4f}", f"{row['drop']:+.2f}", f"{row['size']:.1%}"]
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
    _write("random", claims("random", rows), {**about, "rows": rows})


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
    write(source, graph(folder, "onnxruntime", "int8"), "dynamic")
    for precision in PRECISIONS:
        yield precision, graph(folder, "onnxruntime", precision)


def claims(of: str, rows: list[dict[str, Any]], complete: bool = True) -> list[dict[str, Any]]:
    """The aims on sizes and times; none is met by a study that is not ``complete``."""
    offered = [row for row in rows if row["size"]]
    sizes = [row["size"] for row in offered]
    found = [claim(f"{of}: file, as a share of FP32's, largest", "<=", SMALLER, max(sizes, default=None), complete)]
    for batch in (f"b{batch}" for batch in BATCHES):
        ratios = [row["ms"][batch]["fp32"] / row["ms"][batch]["int8"] for row in offered]
        for which, got in (("median", _median(ratios)), ("least", min(ratios, default=None))):
            found.append(claim(f"{of}: FP32's time over INT8's, {batch}, {which}", ">=", FASTER, got, complete))
    return found


def study_claims(rows: list[dict[str, Any]], complete: bool) -> list[dict[str, Any]]:
    """The aims on scores, and on the cheapest form that is close to its teacher, of the seed where it gains least."""
    drops = [row["drop"] for row in rows if row["size"]]
    jobs = {(row["task"], row["seed"]) for row in rows}
    wanted = set(product(STUDIED, SEEDS))
    found = [
        claim("study: jobs finished", ">=", len(wanted), len(jobs & wanted), complete),
        claim("study: points lost, mean", "<=", MEAN_DROP, statistics.mean(drops) if drops else None, complete),
        claim("study: points lost, most", "<=", MOST_DROP, max(drops, default=None), complete),
        claim("study: networks without an INT8 file", "<=", 0, len(rows) - len(drops), complete),
    ]
    for task in dict.fromkeys([*STUDIED, *(row["task"] for row in rows)]):
        for batch in (f"b{batch}" for batch in BATCHES):
            gains = [_gain([row for row in rows if (row["task"], row["seed"]) == job], batch)
                     for job in jobs if job[0] == task]  # fmt: skip
            name = f"study: {task}, cheapest within {CLOSE:g} point of its teacher, speed-up, {batch}, least seed"
            found.append(claim(name, ">=", CHEAPEST, min(gains, default=None), complete))
    return found


def _gain(rows: list[dict[str, Any]], batch: str) -> float:
    """The full network's FP32 time over that of the fastest form of a job close to its teacher; 0: none is."""
    close = [
        row["full_fp32_ms"][batch] / row["ms"][batch][precision]
        for row in rows
        for precision, points in row["below_teacher"].items()
        if points <= CLOSE
    ]
    return max(close, default=0.0)


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _write(of: str, found: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Replace one part of ``results.json`` and its claims."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"claims": []}
    others = [one for one in before["claims"] if not one["name"].startswith(f"{of}:")]
    RESULTS.write_text(json.dumps({**before, "claims": [*found, *others], of: part}, indent=1) + "\n")
    show(found)


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

"""What INT8 costs in score and gains in time: the product's own stages, on a pretrained BERT and GLUE.

    python experiments/int8/run.py study --model DIR --data DIR [--seeds 1 2 3]    # many hours on two cores
    python experiments/int8/run.py random [--rounds 10]                            # minutes: times and sizes alone

``study`` runs ``main.py`` for every task and seed and reads what it wrote. ``random`` needs no data: times and file
sizes do not depend on the weights, and of scores it says nothing. Each writes its part of ``results.json``, claims
first. Both time with one thread, networks and precisions in turns.
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
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path.insert(0, str(REPO))

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

RESULTS = HERE / "results.json"
TASKS = ("sst2", "mrpc", "cola")
SHAPE = EncoderShape(6, 384, 12, 1536, max_position_embeddings=128)
WIDTHS = {"w1": 1.0, "w0.6667": 2 / 3, "w0.5": 0.5}
BATCHES, LENGTH = (16, 1), 128
FASTER, SMALLER, MEAN_DROP, MOST_DROP, CHEAPEST, CLOSE = 2.0, 0.30, 0.3, 0.5, 3.5, 1.0
PRECISIONS = ("fp32", "int8")


def study(model: str, data: str, seeds: list[int], output: Path) -> list[dict[str, Any]]:
    """A row for each network of each job."""
    rows = []
    for task in TASKS:
        for seed in seeds:
            settings = [
                f"task={task}",
                f"trainer.seed={seed}",
                f"task.data_dir={data}",
                "model=folder",
                "tracking=none",
            ]
            settings += [f"model.path={model}", "hardware=cpu", "hardware.device=cpu", "hardware.threads=1"]
            settings += ["latency.engines=[onnxruntime]", f"output_dir={output}", f"task.name={task}"]
            subprocess.run([sys.executable, "main.py", *settings], cwd=REPO, check=True)
            (run,) = (output / "runs").glob(f"{task}-*-s{seed}-*/results.json")
            rows += _rows(json.loads(run.read_text()))
    return rows


def _rows(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    largest = max(results["widths"], key=lambda entry: entry["macs"])
    for entry in results["widths"]:
        times = {f"b{batch}": _times(entry, batch) for batch in BATCHES}
        int8 = entry.get("int8")
        yield {
            "task": results["task"],
            "seed": results["seed"],
            "network": entry["name"],
            "fp32_score": entry["score"],
            "int8_score": int8 and int8["score"],
            "drop": int8 and int8["drop"],
            "kept_fp32": int8 and int8["kept_fp32"],
            "size": int8 and int8["bytes"] / entry["bytes"],
            "below_teacher": int8 and 100 * (results["teacher"]["score"] - int8["score"]),
            "ms": times,
            "full_fp32_ms": {f"b{batch}": _times(largest, batch)["fp32"] for batch in BATCHES},
        }


def _times(entry: dict[str, Any], batch: int) -> dict[str, float]:
    """Milliseconds in each precision; ONNX Runtime, the one engine that is timed, has no name in its figures."""
    names = {precision: f"cpu_{precision}_b{batch}_s{LENGTH}_measured" for precision in PRECISIONS}
    return {key: entry["latency_ms"][name] for key, name in names.items() if name in entry["latency_ms"]}


def random(rounds: int) -> list[dict[str, Any]]:
    """The same rows without scores, of networks with random weights."""
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


def claims(of: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The aims that these rows can speak to."""
    offered = [row for row in rows if row["size"]]
    found = [_claim(f"{of}: file, as a share of FP32's, largest", "<=", SMALLER, max(row["size"] for row in offered))]
    for batch in (f"b{batch}" for batch in BATCHES):
        ratios = [row["ms"][batch]["fp32"] / row["ms"][batch]["int8"] for row in offered]
        found.append(_claim(f"{of}: FP32's time over INT8's, {batch}, median", ">=", FASTER, statistics.median(ratios)))
        found.append(_claim(f"{of}: FP32's time over INT8's, {batch}, least", ">=", FASTER, min(ratios)))
    if "drop" in rows[0]:
        found.append(
            _claim(f"{of}: points lost, mean", "<=", MEAN_DROP, statistics.mean(row["drop"] for row in offered))
        )
        found.append(_claim(f"{of}: points lost, most", "<=", MOST_DROP, max(row["drop"] for row in offered)))
        found.append(_claim(f"{of}: networks without an INT8 file", "<=", 0, len(rows) - len(offered)))
        for task in sorted({row["task"] for row in rows}):
            close = [row for row in offered if row["task"] == task and row["below_teacher"] <= CLOSE]
            best = max((row["full_fp32_ms"]["b16"] / row["ms"]["b16"]["int8"] for row in close), default=0.0)
            found.append(_claim(f"{of}: {task}, cheapest within {CLOSE:g} point, speed-up", ">=", CHEAPEST, best))
    return found


def _claim(name: str, sign: str, aim: float, got: float) -> dict[str, Any]:
    met = got <= aim if sign == "<=" else got >= aim
    return {"name": name, "aim": f"{sign} {aim:g}", "got": round(got, 4), "met": met}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("study", "random"))
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path("outputs"))
    given = parser.parse_args()
    if given.part == "study" and not (given.model and given.data):
        parser.error("study needs --model and --data")
    process.set_device("cpu")
    rows = random(given.rounds) if given.part == "random" else study(given.model, given.data, given.seeds, given.output)
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"claims": []}
    found = claims(given.part, rows)
    others = [claim for claim in before["claims"] if not claim["name"].startswith(f"{given.part}:")]
    about = {"machine": machine.machine(), "versions": machine.versions(), "threads": 1}
    about["load"] = os.getloadavg()[1]  # processes that wanted a core in the last five minutes, this one included
    results = {**before, "claims": [*others, *found], given.part: {**about, "rows": rows}}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    for claim in found:
        print(f"{'met' if claim['met'] else 'NOT met'}: {claim['name']}: {claim['got']} ({claim['aim']})")


if __name__ == "__main__":
    main()

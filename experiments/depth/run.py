"""Elastic depth: what it costs to train, what it loses, and how much faster its networks are.

    python experiments/depth/run.py step estimate cpu
    python experiments/depth/run.py study --data-dir GLUE --model FOLDER [--output-dir DIR]

``study`` runs the product itself: 4 widths x 3 depths of a pretrained BERT of 6 layers x 384 on three tasks, three
seeds each; hours on two cores, and it goes on where it was stopped. The others need no data: latency and the cost of a
step do not depend on the weights, which are random there. Each part replaces its own entry of ``results.json``, whose
``claims`` are then made anew.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path.insert(0, str(REPO))

from ofa.hardware import estimate
from ofa.supernet.space import name_of, networks
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params
from ofa.system import machine, process

RESULTS = HERE / "results.json"
BASE = EncoderShape(12, 768, 12, 3072)
SMALL = EncoderShape(6, 384, 12, 1536)  # the pretrained BERT of the study
WIDTHS, DEPTHS = [1.0, 0.75, 0.5, 0.25], [1.0, 2 / 3, 0.5]
TASKS, SEEDS = ["sst2", "cola", "mrpc"], [1, 2, 3]
# Rates of the first stage's: as conf/experiment/glue_minilm.yaml, which chose them on training rows held out.
STUDY = "experiment=glue_minilm trainer.depth.learning_rate=1e-4 trainer.depth.warmup_ratio=0.05 stages=[evaluate]"
# Points that DynaBERT (from 12 layers) loses by width at depths 1, .75 and .5: mean of SST-2, QNLI and MNLI-m, and
# SST-2 alone; read off figures/main_results.png of princeton-nlp/CoFiPruning, +- 0.1.
DYNABERT = {
    "mean": {1.0: (0.17, 0.93, 3.17), 0.75: (0.17, 1.33, 3.60), 0.5: (1.33, 2.27, 4.40), 0.25: (3.33, 4.53, 6.53)},
    "sst2": {1.0: (0.5, 0.8, 2.0), 0.75: (0.8, 1.0, 2.3), 0.5: (1.2, 1.2, 2.6), 0.25: (2.8, 2.6, 3.6)},
}
ALLOWED_MORE = 1.0  # points


def dynabert(of: str, width: float, depth: float) -> float:
    """Its loss at any depth from .5 to 1, on the line between its neighbours: 6 layers have no 3/4."""
    full, quarters, half = DYNABERT[of][width]
    if depth >= 0.75:
        return quarters + (full - quarters) * (depth - 0.75) / 0.25
    return half + (quarters - half) * (depth - 0.5) / 0.25


def step_cost(rounds: int) -> dict[str, Any]:
    """Milliseconds of a step of distillation (forward and backward) over 3 widths and over 3 x 3 networks."""
    import paddle

    from ofa.model import network as models
    from ofa.supernet import elastic
    from ofa.training.distillation import Distillation

    process.set_device("cpu")
    paddle.seed(0)
    supernet, teacher = elastic.make_elastic(models.build(SMALL)), models.build(SMALL)
    supernet.train()
    teacher.eval()
    work = Distillation(supernet, teacher, hidden_weight=1.0, logit_weight=1.0)
    input_ids = paddle.randint(1000, SMALL.vocab_size, [32, 32])
    grids = {"widths": networks([1.0, 0.75, 0.5], [1.0], SMALL), "grid": networks([1.0, 0.75, 0.5], DEPTHS, SMALL)}
    times: dict[str, list[float]] = {name: [] for name in grids}
    for number in range(rounds + 1):
        for name, found in grids.items():
            started = time.perf_counter()
            work.step(input_ids, paddle.zeros_like(input_ids), [network.subnet for network in found.values()])
            if number:  # the first one warms up
                times[name].append(1000 * (time.perf_counter() - started))
            for parameter in supernet.parameters():
                parameter.clear_grad()
    ratios = [grid / widths for grid, widths in zip(times["grid"], times["widths"], strict=True)]
    medians = {f"{name}_ms": statistics.median(values) for name, values in times.items()}
    return {**medians, "ratio": statistics.median(ratios), "rounds": rounds, "batch": "32 x 32, embeddings included"}


def estimated() -> dict[str, Any]:
    """Estimated T4 latencies of BERT-base's grid, TensorRT FP16, batch 1 x 128, in ms, and times faster than full."""
    found = {}
    for depth, width in product([1.0, 0.75, 0.5], [1.0, 0.75, 0.5, 0.25]):
        one = estimate("t4", "tensorrt", "fp16", BASE, SubNet.at(width, depth, BASE), 1, 128)
        found[name_of(width, depth)] = {"ms": one.ms, "evidence": one.evidence}
    full = found["w1"]["ms"]
    return {name: {**entry, "speedup": full / entry["ms"]} for name, entry in found.items()}


def cpu(rounds: int) -> dict[str, Any]:
    """Share of the full network's time on this CPU, for the whole grid, by engine and batch size; length 128."""
    from ofa.deploy.engines import load_engine
    from ofa.deploy.export import export
    from ofa.deploy.latency import measure
    from ofa.model import network as models
    from ofa.supernet import elastic

    process.set_device("cpu")
    grid = networks(WIDTHS, DEPTHS, SMALL)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, network in grid.items():
            export(elastic.cut(models.build(SMALL), network.subnet), Path(place) / name)
        for engine in ("paddle", "onnxruntime"):
            loaded = {name: load_engine(Path(place) / name, engine, "fp32", "cpu", machine.cores()) for name in grid}
            for batch in (1, 16):
                times = [measure(loaded, batch, 128, SMALL.vocab_size, 1, 5, seed) for seed in range(rounds)]
                found[f"{engine}_fp32_b{batch}_s128"] = {
                    name: {
                        "median_ms": statistics.median(one[name].median_ms for one in times),
                        "time_share": statistics.median(one[name].median_ms / one["w1"].median_ms for one in times),
                        "mac_share": count_macs(SMALL, network.subnet) / count_macs(SMALL),
                    }
                    for name, network in grid.items()
                }
    return {"weights": "random", "rounds": rounds, "cores": machine.cores(), "figures": found}


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Points lost by every network against its own teacher, per task and seed, from runs of the product."""
    place = Path(options.output_dir)
    listed = {"ofa.widths": WIDTHS, "ofa.depths": DEPTHS}
    command = [sys.executable, "main.py", "-m", *STUDY.split(), f"output_dir={place}", "sweep.name=depth"]
    command += [f"{key}=[{','.join(f'{value:.6g}' for value in values)}]" for key, values in listed.items()]
    command += [f"task={','.join(TASKS)}", f"trainer.seed={','.join(map(str, SEEDS))}"]
    command += [f"task.data_dir={options.data_dir}", f"model.path={options.model}", *options.set]
    subprocess.run(command, cwd=REPO, check=True)
    lost: dict[str, Any] = {task: {} for task in TASKS}
    for path in sorted((place / "runs").glob("*/results.json")):
        run = json.loads(path.read_text())
        points = {one["name"]: 100 * (run["teacher"]["score"] - one["score"]) for one in run["widths"]}
        last = {one["name"]: 100 * (run["teacher"]["score"] - one["last"]) for one in run["widths"]}
        lost[run["task"]][str(run["seed"])] = {"teacher": run["teacher"]["score"], "best": points, "last": last}
    names = list(networks(WIDTHS, DEPTHS, SMALL))
    of_tasks = {
        name: {task: statistics.mean(seed["best"][name] for seed in lost[task].values()) for task in TASKS}
        for name in names
    }
    mean = {name: statistics.mean(of_task.values()) for name, of_task in of_tasks.items()}
    return {"settings": STUDY, "points_lost": {"mean": mean, "tasks": of_tasks, "runs": lost}}


def claims(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """What the parts that have been run show, against what was asked."""
    found = []

    def claim(name: str, got: float, least: float | None = None, most: float | None = None) -> None:
        aim = f">= {least:g}" if least is not None else f"<= {most:g}"
        met = got >= least if least is not None else got <= (most or 0)
        found.append({"name": name, "aim": aim, "got": round(got, 4), "met": bool(met)})

    if "step" in parts:
        claim("a step over 3 x 3 networks, in steps over 3 widths", parts["step"]["ratio"], most=2.5)
    if "estimate" in parts:
        claim("T4 estimate, BERT-base, FP16, batch 1: times faster at half depth",
              parts["estimate"]["w1-d0.5"]["speedup"], least=1.9)  # fmt: skip
    for figure, shares in parts.get("cpu", {}).get("figures", {}).items():
        claim(f"CPU, random weights, {figure}: share of time at half depth", shares["w1-d0.5"]["time_share"], most=0.55)
    lost = parts.get("study", {}).get("points_lost")
    for depth, width in product(DEPTHS, WIDTHS) if lost else ():
        name = name_of(width, depth)
        for of, got in (("mean", lost["mean"][name]), ("sst2", lost["tasks"][name]["sst2"])):
            claim(f"{name}: points lost, {of}", got, most=round(dynabert(of, width, depth) + ALLOWED_MORE, 2))
    return found


def front(parts: dict[str, Any]) -> dict[str, list[str]]:
    """By figure: the networks worth shipping, which none beats in both points lost and time."""
    lost = parts.get("study", {}).get("points_lost", {}).get("mean")
    found = {}
    for figure, shares in parts.get("cpu", {}).get("figures", {}).items() if lost else ():
        cost = {name: (shares[name]["time_share"], lost[name]) for name in lost}
        found[figure] = [
            name for name, own in cost.items()
            if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in cost.values())
        ]  # fmt: skip
    return found


def draw(parts: dict[str, Any]) -> None:
    """Points lost over time, one curve per depth."""
    lost = parts.get("study", {}).get("points_lost", {}).get("mean")
    figures = parts.get("cpu", {}).get("figures", {})
    if not lost or not figures:
        return
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(figures), figsize=(4 * len(figures), 4), sharey=True, layout="constrained")
    for panel, (title, shares) in zip(panels, figures.items(), strict=True):
        for depth in DEPTHS:
            names = [name_of(width, depth) for width in WIDTHS]
            xs, ys = [shares[name]["time_share"] for name in names], [-lost[name] for name in names]
            panel.plot(xs, ys, "o-", label=f"depth {depth:.3g}")
        panel.set(title=title, xlabel="share of the full network's time")
    panels[0].set_ylabel("points from the teacher, mean of the tasks")
    panels[0].legend()
    figure.savefig(HERE / "figure.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=("step", "estimate", "cpu", "study"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", help="the folder with GLUE's tasks")
    parser.add_argument("--model", help="the folder of the pretrained BERT, 6 layers x 384")
    parser.add_argument("--output-dir", default=str(REPO / "outputs" / "depth"))
    parser.add_argument("--set", nargs="*", default=[], help="more settings of the study, e.g. trainer.depth.epochs=1")
    options = parser.parse_args()
    if "study" in options.parts and not (options.data_dir and options.model):
        parser.error("study needs --data-dir and --model")
    process.prepare()
    run = {
        "step": lambda: step_cost(options.rounds),
        "estimate": estimated,
        "cpu": lambda: cpu(options.rounds),
        "study": lambda: study(options),
    }
    parts = json.loads(RESULTS.read_text())["parts"] if RESULTS.exists() else {}
    for name in options.parts:
        parts[name] = run[name]()
    sizes = {name: count_params(SMALL, one.subnet) for name, one in networks(WIDTHS, DEPTHS, SMALL).items()}
    record = {"claims": claims(parts), "front": front(parts), "machine": machine.machine(),
              "versions": machine.versions(), "params": sizes, "parts": parts}  # fmt: skip
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    draw(parts)
    for one in record["claims"]:
        print(f"{'met ' if one['met'] else 'MISSED'} {one['name']}: {one['got']} (aim {one['aim']})")


if __name__ == "__main__":
    main()

"""Elastic depth: what it costs to train, what it loses, and how much faster its networks are.

    python experiments/depth/run.py step estimate cpu
    python experiments/depth/run.py study --data-dir GLUE --model FOLDER [--output-dir DIR]
    python experiments/depth/run.py collect --output-dir DIR

``study`` runs the product itself: 4 widths x 3 depths of a pretrained BERT of 6 layers x 384 on three tasks, three
seeds each, with the settings of ``experiments/glue_minilm/jobs.py``; that study's ``--output-dir`` has teachers
already; hours on two cores, and it goes on where it was stopped. Of each finished job a small file stays in
``runs/``, of which ``collect`` makes the study's part anew. The others need no data: latency and the cost of a step do
not depend on the weights, which are random there. Each part replaces its own entry of ``results.json``; the claims are
in ``claims.py``.
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
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from depth.claims import dynabert
from glue_minilm.jobs import SEEDS, finished, job, keep, kept

from ofa.hardware import estimate
from ofa.supernet.space import name_of, networks
from ofa.supernet.subnet import EncoderShape, SubNet, count_macs, count_params
from ofa.system import machine, process

RESULTS, RUNS = HERE / "results.json", HERE / "runs"
BASE = EncoderShape(12, 768, 12, 3072)
SMALL = EncoderShape(6, 384, 12, 1536)  # the pretrained BERT of the study
WIDTHS, DEPTHS = [1.0, 0.75, 0.5, 0.25], [1.0, 2 / 3, 0.5]
TASKS = ["sst2", "cola", "mrpc"]
# Rates of the first stage's: as conf/experiment/glue_minilm.yaml, which chose them on training rows held out.
DEPTH_LOOP = ("trainer.depth.learning_rate=1e-4", "trainer.depth.warmup_ratio=0.05", "stages=[evaluate]")


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
    """Run the jobs one after the other, with the teachers of ``glue_minilm`` in its folder; collect after each."""
    listed = {"ofa.widths": WIDTHS, "ofa.depths": DEPTHS}
    grid = [f"{key}=[{','.join(f'{value:.6g}' for value in values)}]" for key, values in listed.items()]
    for seed, task in product(options.seeds, options.tasks):
        settings = job(task, seed, options.data_dir, options.model, options.output_dir)
        subprocess.run([sys.executable, "main.py", *settings, *grid, *DEPTH_LOOP, *options.set], cwd=REPO, check=True)
        collect(options)
    return collect(options)


def collect(options: argparse.Namespace) -> dict[str, Any]:
    """Points lost by every network against its own teacher, mean of seeds; a small file of every job stays in runs/."""
    names = list(networks(WIDTHS, DEPTHS, SMALL))
    for found in finished(REPO / options.output_dir, names):
        scores = {one["name"]: {key: one[key] for key in ("score", "last")} for one in found["widths"]}
        record = {key: found[key] for key in ("task", "seed", "dev_rows")} | {"teacher": found["teacher"]["score"]}
        keep(RUNS, {**record, "networks": scores})
    records = kept(RUNS)
    tasks = [task for task in TASKS if any(one["task"] == task for one in records)]

    def lost(name: str, key: str, task: str) -> float:
        of_task = [one for one in records if one["task"] == task]
        return statistics.mean(100 * (one["teacher"] - one["networks"][name][key]) for one in of_task)

    of_tasks = {name: {task: lost(name, "last", task) for task in tasks} for name in names}
    best = {name: statistics.mean(lost(name, "score", task) for task in tasks) for name in names} if tasks else {}
    return {
        "jobs": [[one["task"], one["seed"]] for one in records],
        "teachers": {f"{one['task']}-s{one['seed']}": one["teacher"] for one in records},
        "settings": [*DEPTH_LOOP],
        "points_lost": {name: {**of, "mean": statistics.mean(of.values())} for name, of in of_tasks.items() if of},
        "points_lost_at_best": best,
    }


def rows(parts: dict[str, Any]) -> list[str]:
    """The table of the README: points lost at the last step, with DynaBERT's at the same share in brackets."""
    lost = parts.get("study", {}).get("points_lost", {})
    tasks = [key for key in next(iter(lost.values()), {}) if key != "mean"]
    lines = [f"| network | {' | '.join(tasks)} | mean | DynaBERT |", f"| :--- |{' ---: |' * (len(tasks) + 2)}"]
    for width, depth in product(WIDTHS, DEPTHS) if lost else ():
        of = lost[name_of(width, depth)]
        cells = [f"{of[key]:+.1f}" for key in (*tasks, "mean")]
        lines.append(f"| {name_of(width, depth)} | {' | '.join(cells)} | {dynabert('mean', width, depth):+.1f} |")
    return lines


def front(parts: dict[str, Any]) -> dict[str, list[str]]:
    """By figure: the networks worth shipping, which none beats in both points lost and time."""
    lost = {name: of["mean"] for name, of in parts.get("study", {}).get("points_lost", {}).items()}
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
    lost = {name: of["mean"] for name, of in parts.get("study", {}).get("points_lost", {}).items()}
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
    parser.add_argument("parts", nargs="+", choices=("step", "estimate", "cpu", "study", "collect"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", help="the folder with GLUE's tasks")
    parser.add_argument("--model", help="the folder of the pretrained BERT, 6 layers x 384")
    parser.add_argument("--output-dir", default="outputs/glue_minilm")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
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
        "collect": lambda: collect(options),
    }
    parts = json.loads(RESULTS.read_text())["parts"] if RESULTS.exists() else {}
    for name in options.parts:
        on = {"machine": machine.machine()} if name in ("step", "cpu") else {}  # which time something
        parts["study" if name == "collect" else name] = on | run[name]()
    sizes = {name: count_params(SMALL, one.subnet) for name, one in networks(WIDTHS, DEPTHS, SMALL).items()}
    about = {"versions": machine.versions(), "params": sizes}
    claims = write(HERE, {"front": front(parts), **about, "parts": parts})
    draw(parts)
    show(claims)
    print("\n".join(rows(parts)))


if __name__ == "__main__":
    main()

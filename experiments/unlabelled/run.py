"""What rows without labels are worth to distillation: SST-2, few labelled rows, the same with many more, all labelled.

    python experiments/unlabelled/run.py --data-dir GLUE --model FOLDER --name NAME [--output-dir DIR] [--seeds 1 2 3]

FOLDER is the teacher if it has a classifier; of a pretrained BERT one is finetuned first, on all rows. The three arms
learn from it for the same number of steps, by default one pass over all rows, and differ in the rows they learn from:

    few   the first --labelled rows
    more  these, and the next --unlabelled rows without their labels
    all   all rows

``recovered`` is (more - few) / (all - few), of the means over seeds. Runs of the product, which go on where they were
stopped. A model's entry in ``results.json`` is replaced, and the ``claims`` are then made anew; without FOLDER, that
alone is done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path[:0] = [str(REPO), str(HERE.parent)]

from claiming import show, write
from unlabelled.claims import AIMED_AT, LABELLED, UNLABELLED

from ofa.settings.compose import compose, typed
from ofa.system import machine, process

RESULTS = HERE / "results.json"
SEEDS, ROWS = [1, 2, 3], 67_349
MACHINE = "hardware=cpu hardware.devices=1 tracking=none"
SETTINGS = f"experiment=glue_minilm task=sst2 ofa.widths=[1,0.5,0.25] ofa.keep=last {MACHINE}"
TEACHER = "trainer.finetune.epochs=2 trainer.finetune.warmup_ratio=0.1"


def unlabelled(options: argparse.Namespace) -> Path:
    """The rows after the labelled ones, without labels, as a file."""
    source = Path(options.data_dir) / "SST-2" / "train.tsv"
    rows = source.read_text(encoding="utf-8").splitlines()[1:]
    texts = [row.split("\t")[0] for row in rows[options.labelled : options.labelled + options.unlabelled]]
    path = Path(options.output_dir) / f"unlabelled-{options.labelled}-{options.unlabelled}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in ["sentence", *texts]), encoding="utf-8")
    return path


def settings_of(options: argparse.Namespace, model: Path, seed: int, *more: str) -> list[str]:
    steps = f"trainer.distill.max_steps={options.steps} trainer.distill.eval_steps={options.steps}"
    places = [f"task.data_dir={options.data_dir}", f"model.path={model}", f"output_dir={options.output_dir}"]
    return [
        *SETTINGS.split(),
        *steps.split(),
        f"trainer.seed={seed}",
        f"model.name={options.name}",
        *places,
        *options.set,
        *more,
    ]


def teacher(options: argparse.Namespace, seed: int) -> tuple[Path, list[str]]:
    """The folder of a teacher, and its settings: the given one, or made of it by finetuning it on all rows."""
    from ofa.model.folder import read_folder, tensor_names
    from ofa.stages.inputs import load_inputs
    from ofa.stages.pipeline import plan
    from ofa.store import Store

    folder = Path(options.model)
    if "classifier.weight" in tensor_names(read_folder(folder)):
        return folder, [f"given: {options.about}"]
    settings = settings_of(options, folder, seed, *TEACHER.split(), "stages=[finetune]")
    subprocess.run([sys.executable, "main.py", *settings], cwd=REPO, check=True)
    config = typed(compose(settings))
    *_, (_, _, folders) = plan(config, load_inputs(config), Store(Path(options.output_dir) / "store"))
    return folders["finetune"] / "model", TEACHER.split()


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Dev accuracy of each width by arm and seed, after the last step, and what the rows without labels recovered."""
    few = f"task.max_train_rows={options.labelled}"
    arms = {"few": [few], "more": [few, f"task.unlabelled=[{unlabelled(options)}]"], "all": []}
    scores: dict[str, dict[str, list[float]]] = {arm: {} for arm in arms}
    rows, of_teacher = {}, []
    for seed in options.seeds:
        model, of_model = teacher(options, seed)
        for arm, more in arms.items():
            place = Path(options.output_dir) / "arms" / f"{arm}-{seed}"
            settings = settings_of(options, model, seed, *more, "stages=[evaluate]", "model.finetuned=true")
            command = [sys.executable, "main.py", *settings, f"output_dir={place}"]
            subprocess.run(command, cwd=REPO, check=True)
            (path,) = place.glob("runs/*/results.json")
            found = json.loads(path.read_text())
            rows[arm] = {split: counts["used"] for split, counts in found["rows"].items()}
            for one in found["widths"]:
                scores[arm].setdefault(one["name"], []).append(one["score"])
        of_teacher.append(found["teacher"]["score"])
    mean = {arm: {name: statistics.mean(values) for name, values in of.items()} for arm, of in scores.items()}
    recovered = {
        name: (mean["more"][name] - mean["few"][name]) / (mean["all"][name] - mean["few"][name])
        for name in mean["all"]
        if mean["all"][name] > mean["few"][name]
    }
    return {"steps": options.steps, "seeds": options.seeds, "rows": rows, "teacher": of_teacher,
            "mean": mean, "recovered": recovered, "scores": scores,
            "settings": [*SETTINGS.split(), *options.set], "settings of its teacher": of_model}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="the folder with GLUE's tasks")
    parser.add_argument("--model", help="the folder of a teacher of SST-2, or of a pretrained BERT")
    parser.add_argument("--name", default=AIMED_AT, help="what results.json calls it")
    parser.add_argument("--about", default="", help="of a finished teacher: what it learned from, for results.json")
    parser.add_argument("--output-dir", default=str(REPO / "outputs" / "unlabelled"))
    parser.add_argument("--labelled", type=int, default=LABELLED)
    parser.add_argument("--unlabelled", type=int, default=UNLABELLED)
    parser.add_argument("--steps", type=int, default=-(-ROWS // 32), help="of distillation, in every arm")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--set", nargs="*", default=[], help="more settings, e.g. ofa.hard_weight=0.5")
    options = parser.parse_args()
    if options.model and not options.data_dir:
        parser.error("--model needs --data-dir")
    process.prepare()
    parts = json.loads(RESULTS.read_text())["parts"] if RESULTS.exists() else {}
    if options.model:
        parts[options.name] = study(options)
    show(write(HERE, {"machine": machine.machine(), "versions": machine.versions(), "parts": parts}))


if __name__ == "__main__":
    main()

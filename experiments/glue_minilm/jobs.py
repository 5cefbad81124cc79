"""The jobs of the study: what each sets besides ``experiment=glue_minilm``. Other studies take the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

MODEL = "minilm_6x384"  # in one folder, jobs that other studies named otherwise are not these
SMALL_TASK = ("trainer.finetune.epochs=8", "trainer.finetune.warmup_ratio=0.1")
LARGE_TASK = ("trainer.finetune.epochs=3", "trainer.finetune.warmup_ratio=0.1")
# Task -> its settings, in the order of their cost.
TASKS = {
    "cola": SMALL_TASK,
    "mrpc": SMALL_TASK,
    "stsb": SMALL_TASK,
    "rte": SMALL_TASK,
    "sst2": (*LARGE_TASK, "task.max_train_rows=30000"),
    "qnli": LARGE_TASK,
    "qqp": LARGE_TASK,
    "mnli": LARGE_TASK,
}
# The studies of depth, INT8, search and single ingredients need many jobs of SST-2: fewer of its rows.
COMPARED = {**TASKS, "sst2": (*LARGE_TASK, "task.max_train_rows=16000")}
SEEDS = [42, 43, 44]


def job(
    task: str, seed: int, data_dir: str, model: str, output_dir: str, tasks: dict[str, tuple[str, ...]] = COMPARED
) -> list[str]:
    """The settings of one job, with those that ``tasks`` has for its task."""
    settings = ["experiment=glue_minilm", f"task={task}", f"trainer.seed={seed}", *tasks[task]]
    return [*settings, f"task.data_dir={data_dir}", f"model.path={model}", f"output_dir={output_dir}"]


def keep(runs: Path, record: dict[str, Any]) -> None:
    """Write the small file of a job, which its study keeps in ``runs``."""
    runs.mkdir(exist_ok=True)
    (runs / f"{record['task']}-s{record['seed']}.json").write_text(json.dumps(record, indent=1) + "\n")


def kept(runs: Path) -> list[dict[str, Any]]:
    """The jobs in ``runs``, by the names of their files."""
    return [json.loads(path.read_text()) for path in sorted(runs.glob("*.json"))]


def finished(
    output_dir: str | Path, networks: list[str], tasks: dict[str, tuple[str, ...]] = COMPARED
) -> Iterator[dict[str, Any]]:
    """The results of every finished job under ``output_dir`` that has the networks and, by its task, the settings."""
    for path in sorted(Path(output_dir).glob("runs/*/results.json")):
        found = json.loads(path.read_text())
        names = [one["name"] for one in found.get("widths", ())]
        if found.get("model") == MODEL and found["task"] in tasks and names == networks:
            config = OmegaConf.load(path.parent / "config.yaml")
            if OmegaConf.merge(config, OmegaConf.from_dotlist(list(tasks[found["task"]]))) == config:
                yield found

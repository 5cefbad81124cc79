"""The jobs of the study: what each sets besides ``experiment=glue_minilm``. Other studies take the same."""

from __future__ import annotations

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
SEEDS = [42, 43, 44]


def job(task: str, seed: int, data_dir: str, model: str, output_dir: str) -> list[str]:
    """The settings of one job of the study."""
    settings = ["experiment=glue_minilm", f"task={task}", f"trainer.seed={seed}", *TASKS[task]]
    return [*settings, f"task.data_dir={data_dir}", f"model.path={model}", f"output_dir={output_dir}"]

"""The published figures of PaddleSlim's recipe on BERT-base, to stand beside results of the same recipe."""

from __future__ import annotations

from typing import Any

from ofa.settings.fields import key_of
from ofa.settings.schema import Config, ImportanceConfig, LoopConfig, OfaConfig, TrainerConfig

# The settings of PaddleNLP's run_glue.py and run_glue_ofa.py: what experiment=published_recipe composes.
RECIPE_OFA = OfaConfig(importance=ImportanceConfig(split="dev", rows=None))
RECIPE_TRAINER = TrainerConfig(
    finetune=LoopConfig(warmup_ratio=0.1, adam_epsilon=1e-6, max_grad_norm=None, eval_steps=100),
    distill=LoopConfig(epochs=6, max_grad_norm=None, eval_steps=100),
)
# Where a run of these settings still computes something else than the published scripts.
DIFFERENCES = (
    "Differs from the published scripts: padding is left out of the hidden states' loss, importance is summed over "
    "batches without letting their gradients cancel, and the scores of a regression task (STS-B) are learned as "
    "deviations from their mean and distilled by their squared error, where the scripts give that loss no weight."
)
WIDTH = 2 / 3  # the sub-network that was published: 81M of 110M parameters
# Task -> metric, as results.json names it -> dev scores of BERT and of the width, from 0 to 1.
SCORES: dict[str, dict[str, tuple[float, float]]] = {
    "sst2": {"accuracy": (0.93005, 0.931193)},
    "qnli": {"accuracy": (0.91781, 0.920740)},
    "cola": {"matthews": (0.59557, 0.601244)},
    "mrpc": {"f1": (0.91667, 0.91740), "accuracy": (0.88235, 0.88480)},
    "stsb": {"pearson": (0.88847, 0.89271), "spearman": (0.88350, 0.88958)},
    "qqp": {"accuracy": (0.90581, 0.90994), "f1": (0.87347, 0.87947)},
    "mnli": {"dev_matched/accuracy": (0.84422, 0.84687), "dev_mismatched/accuracy": (0.84825, 0.85242)},
    "rte": {"accuracy": (0.711191, 0.718412)},
}


def expected(config: Config) -> dict[str, list[float]]:
    """Metric -> published scores of ``[BERT, its width 2/3]``; empty unless these settings are the recipe's."""
    return {metric: list(pair) for metric, pair in SCORES.get(config.task.name, {}).items()} if _same(config) else {}


def _same(config: Config) -> bool:
    """Whether all that decides the scores is as published; the seed was not."""
    return (
        config.model.name == "bert_base_uncased"
        and config.model.finetuned is not True
        and config.task.max_train_rows is None
        and config.task.max_dev_rows is None
        and config.task.test_share is None
        and config.task.dev_share is None
        and not config.task.unlabelled
        and _scored(config) == _scored(Config(ofa=RECIPE_OFA, trainer=RECIPE_TRAINER))
    )


def _scored(config: Config) -> dict[str, Any]:
    """The settings of training that the published scores rest on."""
    trainer, ofa = key_of(config.trainer), key_of(config.ofa)
    for section, free in ((trainer, "seed"), (ofa, "teacher_memory_mb")):
        del section[free]
    return {"trainer": trainer, "ofa": ofa}

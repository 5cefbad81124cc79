"""A job of seconds, and what it left in its store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa.settings.schema import (
    Config,
    HardwareConfig,
    ImportanceConfig,
    LatencyConfig,
    LoopConfig,
    ModelConfig,
    OfaConfig,
    TaskConfig,
    TrackingConfig,
    TrainerConfig,
)

WORDS = "good bad fine poor film plot cast song not very".split()


def write_task(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, rows in (("train", 96), ("dev", 24)):
        lines = ["sentence\tlabel"]
        for _ in range(rows):
            words = rng.choice(WORDS, rng.integers(3, 8))
            lines.append(f"{' '.join(words)}\t{int('good' in words)}")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def tiny(tmp_path: Path) -> Config:
    """All stages on a task of 96 rows and a BERT of 2 layers x 32: seconds."""
    loop = LoopConfig(max_steps=6, batch_size=16, learning_rate=1e-3, save_steps=2, log_steps=2)
    return Config(
        task=TaskConfig(
            "tiny",
            data_dir=str(write_task(tmp_path / "data")),
            dev={"dev": "dev.tsv"},
            text=["sentence"],
            labels=["no", "yes"],
            label_values=["0", "1"],
        ),
        model=ModelConfig(
            "toy",
            num_hidden_layers=2,
            hidden_size=32,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=32,
            vocab_size=100,
        ),
        ofa=OfaConfig([1.0, 0.5], importance=ImportanceConfig(rows=32)),
        trainer=TrainerConfig(max_seq_length=16, finetune=loop, distill=replace(loop)),
        hardware=HardwareConfig("cpu", device="cpu"),
        latency=LatencyConfig(batch_sizes=[2], seq_lengths=[8], warmup=1, repeats=3),
        tracking=TrackingConfig("none"),
        output_dir=str(tmp_path / "out"),
        cache_dir=str(tmp_path / "cache"),
        stages=["evaluate"],
    )


def made(config: Config) -> dict[str, int]:
    """Digest names of the complete stages, by stage, with the time they were made."""
    store = config_path(config) / "store"
    return {p.name: (p / "stage.json").stat().st_mtime_ns for p in store.iterdir() if (p / "stage.json").exists()}


def config_path(config: Config) -> Path:
    return Path(config.output_dir)


def stages_of(names: Iterable[str]) -> list[str]:
    return sorted(name.split("-")[0] for name in names)

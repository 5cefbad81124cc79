"""Every setting is in the keys of exactly those stages whose output it decides; what says how a job runs, in none."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from ofa.errors import UserError
from ofa.settings.limits import LIMITS
from ofa.settings.schema import STAGES, Config
from ofa.settings.target import EngineProfile
from ofa.stages import keys, pipeline
from ofa.stages.inputs import load_inputs

# Section or setting -> the stages whose own keys it is in; the stages after them follow, as their keys name these.
# All of a task acts through its rows, and a model's folder and vocabulary through their content.
STAGES_OF = {
    "task": "finetune",
    "model": "finetune",
    "model.dropout": "finetune distill",
    "ofa": "distill",
    "ofa.widths": "distill export",
    **dict.fromkeys([f"ofa.{key}" for key in keys.DEPTH], "distill_depth"),
    "ofa.importance": "reorder",
    "ofa.augment": "augment",
    "ofa.vocabulary": "vocabulary",
    "ofa.vocabulary_files": "evaluate",
    "trainer.max_seq_length": "finetune",
    "trainer.seed": "finetune augment reorder distill search",
    "trainer.precision": "finetune distill",
    "trainer.finetune": "finetune",
    "trainer.distill": "distill",
    "trainer.depth": "distill_depth",
    "search": "search",
    "search.rows": "augment distill search",
    "search.specialise_epochs": "specialise",
    "search.unseen": "finetune search",
    **dict.fromkeys([f"search.{name}" for name in LIMITS], "augment distill search"),
    "trainer.final": "final",
    "trainer.final_held_out": "final",
    "task.test": "augment evaluate",
    "task.test_share": "finetune augment evaluate",
    **{"task.unlabelled": "vocabulary distill", "task.label_separator": "export"},
    "hardware.devices": "finetune distill",
    "hardware.device": "latency",
    "hardware.threads": "latency",
    "int8": "quantize",
    "latency": "latency",
}
TEACHER = {"model.path": "toy", "task.labels": ["no", "maybe", "yes"], "task.label_values": ["0", "1", "2"]}
SCORED = {"task.labels": [], "task.label": "score", "task.score_range": [0.0, 5.0], "task.bad_rows": "skip"}
ESTIMATED = {
    "hardware.engines": {"paddle": EngineProfile(efficiency={"fp32": 0.5})},
    "hardware.peak_tops": {"fp32": 8.0},
    "hardware.memory_gb_s": 300.0,
}
HUB = {"task.data_dir": None, "task.train": "train", "task.dev": {"dev": "validation"}}  # a folder stands for one
PACKED = {"task.data_dir": None, "task.folder": "packed"}
# Setting -> another value of it, where any will not do, and what is set before.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "task.data_dir": ("more", {}),
    "task.folder": ("more", {"task.data_dir": ".", "task.folder": "data"}),
    "task.url": ("more.zip", {**PACKED, "task.url": "data.zip"}),
    "task.train": ("other.tsv", {}),
    "task.dev": ({"dev": "other.tsv"}, {}),
    "task.columns": (["other", "sentence", "label", "second", "score"], {"task.bad_rows": "skip"}),
    "task.text": (["sentence", "other"], {}),
    "task.label": ("second", {}),
    "task.labels": (["a", "b"], {"task.label_values": ["0", "1"]}),
    "task.label_values": (["1", "0"], {}),
    "task.score_range": ([0.0, 2.0], SCORED),
    "task.multi_label": (True, {}),
    "task.max_train_rows": (3, {}),
    "task.max_dev_rows": (2, {}),
    "task.generator": ("negation", {}),
    "task.test": ("other.tsv", {}),
    "search.rows": (1, {"search.max_params": 1e9, "search.rows": 2}),
    "search.unseen": (True, {"search.max_params": 1e9, "search.rows": 2}),
    **{f"search.{name}": (1e9, {"search.rows": 2, **ESTIMATED}) for name in LIMITS},
    "task.test_share": (0.25, {}),
    "task.dev_share": (0.25, {}),
    "task.hub": ("more", {**HUB, "task.hub": "data"}),
    "task.unlabelled": (["../more/train.tsv"], {}),
    "ofa.importance.rows": (None, {}),
    "ofa.depths": ([1.0, 0.5], {}),
    "ofa.vocabulary_files": (["../more/train.tsv"], {}),
    "model.pretrained": ("toy", {"model.finetuned": False}),
    "model.path": ("toy", {"model.finetuned": False}),
    "model.finetuned": (False, TEACHER),
    "model.architecture": ("ernie", {}),
    "model.vocab": ("toy-vocab.txt", {}),
    **{"model.vocab_size": (100, {}), "task.label_separator": (";", {"task.multi_label": True})},
    "model.num_attention_heads": (8, {}),
    "hardware.device": ("cpu", {}),
    "latency.seq_lengths": ([8], {}),
    "latency.estimate_engines": (["paddle"], ESTIMATED),
}
# Enough of it for a vocabulary of more than the least size.
WORDS = """Alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec
romeo sierra tango uniform victor whiskey x-ray yankee zulu""".replace("\n", " ")
PATHS = {"task.data_dir", "task.hub", "model.path", "model.vocab"}


def settings(owner: Any, prefix: str = "", role: str = "") -> Iterator[tuple[str, str]]:
    """Key and role (``how``, ``collected`` or none) of every setting; a section's role is that of all in it."""
    for entry in fields(owner):
        value = getattr(owner, entry.name)
        mine = role or next((name for name in ("how", "collected") if entry.metadata.get(name)), "")
        if is_dataclass(value):
            yield from settings(value, f"{prefix}{entry.name}.", mine)
        else:
            yield f"{prefix}{entry.name}", mine


ALL = dict(settings(Config()))


def get(config: Config, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


def put(config: Config, key: str, value: Any, root: Path) -> None:
    section, _, name = key.rpartition(".")
    if key in PATHS and value is not None:
        value = str(root / value)
    if key == "task.url":
        value = (root / value).as_uri()
    setattr(get(config, section) if section else config, name, value)


def other(value: Any) -> Any:
    """A value of the same type; any that differs will do for a key."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return value[:-1] or ["x"]
    if isinstance(value, dict):
        return {"x": EngineProfile()}
    return 3 if value is None else f"{value}x"


@pytest.fixture
def root(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows that differ by folder, file and column, a model, and a machine with a GPU."""
    root = toy_folder.parent
    rows = [
        f"{WORDS}\ta bad plot\t1\t0\t1",
        f"{WORDS}\tfine cast\t0\t0\t2",
        "a Fine song\tvery\t1\t1\t3",
        "not good\tgood\t0\t1\t4",
    ]
    for folder, more in (("data", []), ("more", ["one\tmore\t0\t1\t5"])):
        (root / folder).mkdir()
        lines = ["sentence\tother\tlabel\tsecond\tscore", *rows, *more]
        for name, kept in (("train", lines), ("dev", lines), ("other", lines[:-1])):
            (root / folder / f"{name}.tsv").write_text("\n".join(kept) + "\n")
        with zipfile.ZipFile(root / f"{folder}.zip", "w") as archive:
            for name in ("train.tsv", "dev.tsv"):
                archive.write(root / folder / name, f"packed/{name}")
    monkeypatch.setattr("ofa.model.hub.download", lambda name, cache_dir: root / name)
    monkeypatch.setattr(keys, "machine", lambda: {"cpu": "some", "gpu": "some"})
    return root


@pytest.fixture
def config(root: Path) -> Config:
    config = Config(cache_dir=str(root / "cache"), stages=list(STAGES))
    given = {
        "task.data_dir": "data",
        "task.dev": {"dev": "dev.tsv"},
        "task.text": ["sentence"],
        "model.vocab_size": 130,
    }
    sizes = {"model.num_attention_heads": 4, "trainer.max_seq_length": 16, "latency.seq_lengths": [16]}
    for key, value in {**given, **sizes, "task.labels": ["0", "1"], "ofa.widths": [1.0, 0.5]}.items():
        put(config, key, value, root)
    return config


def reads(config: Config, root: Path, cache: str) -> dict[str, str]:
    """What each stage's key holds, but for the stages before it; nothing is taken from an earlier call's cache."""
    config = deepcopy(config)
    config.cache_dir = str(root / cache)
    inputs = load_inputs(config)
    return {stage.name: json.dumps(stage.reads(config, inputs), sort_keys=True) for stage in pipeline.PIPELINE}


def changed(config: Config, key: str, root: Path) -> set[str]:
    value, given = CHANGES.get(key, (None, {}))
    for name, held in given.items():
        put(config, name, held, root)
    before = reads(config, root, "before")
    put(config, key, value if key in CHANGES else other(get(config, key)), root)
    after = reads(config, root, "after")
    return {stage for stage in before if before[stage] != after[stage]}


DECIDE = [key for key, role in ALL.items() if not role and key != "task.bad_rows"]


@pytest.mark.parametrize("key", DECIDE)
def test_a_setting_is_in_the_keys_of_the_stages_it_decides(key: str, config: Config, root: Path) -> None:
    listed = max((name for name in STAGES_OF if f"{key}.".startswith(f"{name}.")), key=len)
    assert changed(config, key, root) == set(STAGES_OF[listed].split())


# Sections that say where results go are of no concern to a stage; of the others each setting is tried.
@pytest.mark.parametrize("key", [key for key, role in ALL.items() if role and key not in ("stages", "cache_dir")])
def test_what_says_how_a_job_runs_is_in_no_key(key: str, config: Config, root: Path) -> None:
    assert changed(config, key, root) == set()


TIMED = {"search.max_latency_ms": 8.0, "search.rows": 1, "search.figure": "cpu_onnxruntime_int8_b1_s16_measured"}


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("search.max_latency_ms", 9.0, "search"),
        ("search.evaluations", 9, "search"),
        ("search.figure", "cpu_fp32_b1_s16_measured", "layer_times search"),
        ("latency.repeats", 7, "layer_times latency"),
        ("latency.precisions", ["int8", "fp32"], "latency"),
        ("hardware.threads", 3, "layer_times latency"),
        ("int8.reduce_range", True, "layer_times quantize"),
        ("int8.tries", 0, "quantize"),
        ("ofa.widths", [1.0, 0.25], "layer_times distill export"),
        ("model.intermediate_size", 64, "layer_times finetune"),
        ("model.num_hidden_layers", 8, "finetune"),
        ("trainer.seed", 7, "finetune augment reorder distill search"),
        ("task.train", "other.tsv", "finetune"),
    ],
)
def test_a_table_of_layers_serves_any_job_that_has_such_layers_on_this_machine(
    key: str, value: Any, stages: str, config: Config, root: Path
) -> None:
    for name, held in TIMED.items():
        put(config, name, held, root)
    before = reads(config, root, "before")
    assert before["layer_times"] != "{}"
    put(config, key, value, root)
    after = reads(config, root, "after")
    assert {stage for stage in before if before[stage] != after[stage]} == set(stages.split())


def test_bad_rows_are_left_out_or_there_is_no_key(config: Config, root: Path) -> None:
    with (root / "data" / "train.tsv").open("a") as file:
        file.write("cut short\n")
    with pytest.raises(UserError, match=r"train.tsv:6: 1 fields"):
        load_inputs(config)
    config.task.bad_rows = "skip"
    assert load_inputs(config).rows["train"].skipped == 1


def test_names_of_dev_splits_are_where_results_have_them(config: Config, root: Path) -> None:
    """Two splits with each other's names are other results of the same rows."""
    config.task.dev = {"matched": "dev.tsv", "mismatched": "other.tsv"}
    before = reads(config, root, "one")
    config.task.dev = {"mismatched": "dev.tsv", "matched": "other.tsv"}
    after = reads(config, root, "two")
    assert {stage for stage in before if before[stage] != after[stage]} == {"evaluate", "quantize"}


def test_further_files_for_a_vocabulary_are_known_by_their_names_and_texts(config: Config, root: Path) -> None:
    found = []
    for name, quoting in (("a", "none"), ("b", "none"), ("a", "csv")):
        (root / f"{name}.tsv").write_text('sentence\n"a ""good"" song"\n')
        config.ofa.vocabulary_files, config.task.quoting = [str(root / f"{name}.tsv")], quoting
        found.append(reads(config, root, f"{name} {quoting}")["evaluate"])
    assert len({*found}) == 3

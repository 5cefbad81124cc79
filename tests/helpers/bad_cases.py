"""Bad data, settings and addresses: one broken thing in a job per case, and the words that must name it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

ROWS = "text\tlabel\n" + "w5 w6\tno\nw7\tmaybe\nw8 w9 w10\tyes\n" * 4
JOB = """task=custom task.data_dir={root}/data task.labels=[no,maybe,yes] model=bert_4x128 model.num_hidden_layers=1
model.hidden_size=32 model.intermediate_size=64 model.vocab_size=100 ofa=quarters trainer.max_seq_length=16
trainer.finetune.max_steps=1 trainer.distill.max_steps=1 latency.seq_lengths=[16] hardware.device=cpu tracking=none
stages=[finetune] output_dir={root}/out cache_dir={root}/cache"""
Prepare = Callable[[Path], object]


def file(name: str, content: bytes | str) -> Prepare:
    content = content.encode() if isinstance(content, str) else content
    return lambda root: (root / name).write_bytes(content)


def row(line: bytes | str) -> Prepare:
    """A train.tsv whose fifth line is ``line``."""
    lines = ROWS.encode().splitlines()
    return file(
        "data/train.tsv", b"\n".join([*lines[:4], line.encode() if isinstance(line, str) else line, *lines[5:]])
    )


def folder_at(name: str) -> Prepare:
    def prepare(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).mkdir()

    return prepare


def gone(*names: str) -> Prepare:
    return lambda root: [(root / name).unlink() for name in names]


NO_FILE = "task custom: train.tsv, dev.tsv missing in {root}/data"
# What is done beforehand; what is added to JOB; the words that name the place, then those that say what is allowed.
DATA: dict[str, tuple[Prepare | None, str, str, str]] = {
    "field too many": (row("w5\tno\tno"), "", "train.tsv:5: 3 fields", "the header line names 2"),
    "unknown label": (row("w5\tnope"), "", "train.tsv:5: label 'nope' is unknown", "allowed: 'no', 'maybe', 'yes'"),
    "mixed encodings": (row("caf\xe9\tno".encode("latin-1")), "", "train.tsv:5: byte 4 (0xe9)", "text in UTF-8"),
    "NUL": (row("w\0\tno"), "", "train.tsv:5: NUL at byte 2", "allowed: text in UTF-8"),
    "10 MB line": (row("w" * 10_000_000 + "\tno"), "", "train.tsv:5: the line", "longer than 1,000,000 bytes"),
    "no text": (row(" \tno"), "", "train.tsv:5: no text in 'text'", "' \\tno'"),
    "bad row of dev": (file("data/dev.tsv", "text\tlabel\nw\t?\n"), "", "dev.tsv:2: label '?'", "allowed: 'no'"),
    "no header": (file("data/train.tsv", "w5\tno\n"), "", "train.tsv:1: no column 'text'", "names of its columns"),
    "columns alike": (file("data/train.tsv", "text\ttext\tlabel\n"), "", "train.tsv:1: two columns", "name: 'text'"),
    "empty file": (file("data/dev.tsv", ""), "", "dev.tsv: the file is empty", "allowed: a header line and"),
    "header alone": (file("data/dev.tsv", "text\tlabel\n"), "", "dev.tsv: no usable row", ""),
    "labels all alike": (
        file("data/train.tsv", "text\tlabel\nw\tno\nv\tno\n"),
        "",
        "train.tsv: all 2 rows",
        "two diff",
    ),
    "first rows alike": (None, "task.max_train_rows=1", "train.tsv: all 1 rows", "task.max_train_rows takes the first"),
    "folder for a file": (folder_at("data/train.tsv"), "", "train.tsv: is a directory", "a tab-separated file is"),
    "one file missing": (gone("data/dev.tsv"), "", "dev.tsv missing in {root}/data", "task.data_dir=<folder>"),
    "all missing": (gone("data/train.tsv", "data/dev.tsv"), "", NO_FILE, "task.data_dir=<folder>"),
    "no such folder": (None, "task.data_dir={root}/dta", "task.data_dir={root}/dta: no such folder", "train.tsv, dev"),
    "score for a class": (
        None,
        "task.labels=[] task.score_range=[0,5] task.metrics=[pearson]",
        ".tsv:2: score 'no'",
        "",
    ),
    "vocabulary missing": (None, "model.vocab={root}/v.txt", "model.vocab: {root}/v.txt is not a file", "WordPiece"),
    "no WordPiece": (
        file("v.txt", "a\nb\n"),
        "model.vocab={root}/v.txt",
        "v.txt: no line [PAD], [UNK]",
        "vocab.txt has",
    ),
}
SETTINGS: dict[str, tuple[Prepare | None, str, str, str]] = {
    "typo": (
        None,
        "trainer.finetune.lerning_rate=1",
        "trainer.finetune.lerning_rate",
        "mean trainer.finetune.learning",
    ),
    "wrong type": (None, "trainer.eval_batch_size=many", "trainer.eval_batch_size: 'many'", "allowed: a whole number"),
    "unknown stage": (None, "stages=[finetun]", "stages: 'finetun' is unknown", "allowed: finetune, reorder, distill"),
    "unknown metric": (None, "task.metrics=[acc]", "task.metrics: 'acc' is unknown", "allowed: accuracy, f1, matthews"),
    "metric of scores": (None, "task.metrics=[pearson]", "task.metrics: pearson does not fit", "accuracy, f1, matth"),
    "f1 of three": (None, "task.metrics=[f1]", "task.metrics: f1 is for two classes", "task.labels has 3"),
    "label is text": (None, "task.label=text", "task.label: 'text'", "is also a column of task.text"),
    "width of 1.4 heads": (None, "ofa.widths=[1,0.35]", "ofa.widths: 0.35 of 4 heads is 1.4", "0.25 (1 heads) and 0.5"),
    "nothing to learn": (None, "ofa.logit_weight=0 ofa.hidden_weight=0", "ofa.logit_weight: 0", "one must be above 0"),
    "sweeper by its old name": (None, "search=optuna", "search=optuna: this group is sweeper now", "sweeper=optuna"),
    "search unprepared": (
        None,
        "search.max_macs=1e9",
        "ofa.sampling: all trains uniform",
        "allowed with search.*: lay",
    ),
    "unknown sampling": (None, "ofa.sampling=random", "ofa.sampling: 'random'", "allowed: all, sandwich"),
    "negative memory": (None, "ofa.teacher_memory_mb=-1", "ofa.teacher_memory_mb: -1", "from 0"),
    "all dropped": (None, "ofa.dropout=1", "ofa.dropout: 1", "outside [0, 1)"),
    "unknown training precision": (None, "trainer.precision=fp8", "trainer.precision: 'fp8'", "fp32, bf16, fp16"),
    "no learning rate": (None, "trainer.distill.learning_rate=0", "trainer.distill.learning_rate: 0", "above 0"),
    "heads and hidden": (None, "model.hidden_size=33", "model.hidden_size: 33 is not a multiple", "attention_heads, 4"),
    "too long": (
        None,
        "trainer.max_seq_length=256",
        "trainer.max_seq_length: 256",
        "128 positions of model bert_4x128",
    ),
    "timed too long": (None, "latency.seq_lengths=[256]", "latency.seq_lengths: 256", "128 positions of model bert_4x"),
    "unknown engine": (None, "latency.engines=[onnx]", "latency.engines: 'onnx'", "allowed: paddle, onnxruntime, open"),
    "nothing timed": (None, "latency.batch_sizes=[]", "latency.batch_sizes: [] is empty", "one or more numbers from 1"),
    "no such precision": (None, "latency.precisions=[int4]", "latency.precisions: 'int4'", "allowed: fp32, bf16, fp16"),
    "INT8 off, only that timed": (
        None,
        "stages=[latency] latency.precisions=[int8] int8.enabled=false",
        "latency.precisions: [int8] needs int8.enabled=true",
        "nothing is timed",
    ),
    "INT8 off, only that run": (None, "stages=[quantize] int8.enabled=false", "stages: [quantize]", "allowed: further"),
    "negative drop": (None, "int8.max_drop=-1", "int8.max_drop: -1", "allowed: from 0"),
    "unknown method": (None, "int8.method=magic", "int8.method: 'magic' is unknown", "allowed: dynamic, static"),
    "unknown graph": (None, "int8.gpu_graphs=[x]", "int8.gpu_graphs: 'x' is unknown", "allowed: tensorrt_int8, onnx"),
    "too few to calibrate": (
        None,
        "int8.calibration_rows=13",
        "int8.calibration_rows: 13 is more than the 12 training rows",
        "allowed: null",
    ),
    "no repeats": (None, "latency.repeats=0", "latency.repeats: 0", "allowed: from 1"),
    "no estimate": (None, "latency.estimate_engines=[x]", "latency.estimate_engines: 'x'", "allowed: onnxruntime, onn"),
    "no such GPU": (
        None,
        "hardware.device=gpu",
        "hardware.device: gpu is not there",
        "allowed here: cpu, auto",
    ),
    "half precision on a CPU": (
        None,
        "trainer.precision=bf16 hardware.device=cpu",
        "trainer.precision: bf16 needs a GPU, and this job runs on a CPU",
        "allowed here: fp32",
    ),
    "output is a file": (
        None,
        "output_dir={root}/data/dev.tsv",
        "output_dir: {root}/data/dev.tsv is a file",
        "a folder",
    ),
    "output unwritable": (
        None,
        "output_dir=/proc/x",
        "output_dir: nothing can be written to /proc",
        "allowed: a folder",
    ),
    "output nameless": (None, "output_dir=", "output_dir: is empty", "allowed: a folder"),
    "output of nobody": (None, "output_dir=~nobody7/x", "output_dir: ~nobody7/x: no user of that", "allowed: a path"),
    "cache of nobody": (None, "cache_dir=~nobody7/x", "cache_dir: ~nobody7/x: no user of that name", "allowed: a path"),
    "store is a file": (file("out/store", ""), "", "output_dir: {root}/out/store is a file", "allowed: a folder that"),
    "cache unwritable": (
        None,
        "cache_dir=/proc/x/y",
        "cache_dir: nothing can be written to /proc",
        "allowed: a folder",
    ),
    "name leads away": (None, "task.name=../../x", "task.name: '../../x' cannot name a folder", "allowed: letters"),
}
TRACKING: dict[str, tuple[Prepare | None, str, str, str]] = {
    "scheme": (None, "tracking.uri=ftp://me:secret@host", "tracking.uri: 'ftp://host'", "allowed: sqlite://, http://"),
    "no scheme": (None, "tracking.uri=mlflow.db", "tracking.uri: 'mlflow.db'", "allowed: sqlite://"),
    "no folder": (
        None,
        "tracking.uri=sqlite:////proc/x/m.db",
        "tracking.uri: nothing can be written to /proc",
        "allowed",
    ),
    "a folder": (None, "tracking.uri=sqlite:///{root}/data", "tracking.uri: {root}/data is a folder", "path.db"),
    "backend": (None, "tracking.backend=wandb", "tracking.backend: 'wandb' is unknown", "allowed: mlflow, none"),
}
TRACKING = {f"tracking: {name}": (case[0], f"tracking=mlflow {case[1]}", *case[2:]) for name, case in TRACKING.items()}

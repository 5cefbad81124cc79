"""The typed settings of a run: their units, their defaults and their rules.

Hydra composes ``conf/`` into these dataclasses; an unknown key or a wrong type is refused while
composing, and :func:`problems` then checks every rule at once. Nothing here imports Paddle, so a
mistake costs a second, not a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STAGES = ("finetune", "reorder", "distill", "evaluate", "export", "latency")
METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman")


@dataclass
class TaskConfig:
    """One classification or regression task and the layout of its files."""

    name: str = "???"
    data_dir: str | None = None  # folder with the files, or the GLUE folder above it; null: <cache_dir>/glue
    folder: str = ""  # the task's folder in the GLUE layout, e.g. SST-2
    url: str | None = None  # a zip archive with that folder, fetched when the files are nowhere else
    sha256: str | None = None  # of that archive; null: not checked
    train: str = "train.tsv"
    # Split name -> file; the first is the task's dev split. Hydra merges mappings, so a default here
    # would stay as a further split of every task that names its own.
    dev: dict[str, str] = field(default_factory=dict)
    columns: list[str] | None = None  # names of the columns of files without a header line
    text: list[str] = field(default_factory=list)  # one or two columns of text
    label: str = "label"  # the column of labels or scores
    labels: list[str] = field(default_factory=list)  # class names in class order; empty: a score (regression)
    label_values: list[str] | None = None  # what the files say for each class; null: the class names
    score_range: list[float] | None = None  # lowest and highest score of a regression task
    metrics: list[str] = field(default_factory=lambda: ["accuracy"])  # the first is the task's score
    bad_rows: str = "error"  # error: stop at a malformed row; skip: leave it out and say how many
    max_train_rows: int | None = None  # the first rows only
    max_dev_rows: int | None = None
    generator: str | None = None  # a task the project writes itself (quickstart): "negation"


@dataclass
class ModelConfig:
    """Where the BERT to finetune or compress comes from. Sizes use Hugging Face's names."""

    name: str = "???"
    pretrained: str | None = None  # a name PaddleNLP can download, e.g. bert-base-uncased
    path: str | None = None  # a Paddle or Hugging Face folder; wins over `pretrained`
    finetuned: bool | None = None  # take `path` as the teacher as it stands; null: if it has a classifier
    allow_pickle: bool = False  # read *.pdparams / pytorch_model.bin (runs code from the file)
    vocab: str | None = None  # a WordPiece vocab.txt; null: the folder's, or trained on the training text
    lower_case: bool = True
    num_hidden_layers: int = 12
    hidden_size: int = 768
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    vocab_size: int = 30522  # size of a trained vocabulary at most; a given vocabulary sets it
    dropout: float = 0.1  # hidden and attention dropout while training


@dataclass
class ImportanceConfig:
    """Rows that score heads and neurons before reordering."""

    split: str = "train"  # train: a slice of the training rows; dev: the dev rows, as the published recipe
    rows: int = 2048  # rows read at most
    batch_size: int = 32


@dataclass
class OfaConfig:
    """The supernet: which widths it serves and how they are distilled."""

    widths: list[float] = field(default_factory=lambda: [1.0, 5 / 6, 2 / 3, 1 / 2])
    hidden_weight: float = 0.1  # weight of the hidden states' MSE, summed over embeddings and layers
    logit_weight: float = 1.0  # weight of the soft cross-entropy (MSE for a regression task)
    importance: ImportanceConfig = field(default_factory=ImportanceConfig)
    tolerance: float = 0.5  # points of score a recommended width may lose against the teacher


@dataclass
class LoopConfig:
    """One training loop: finetuning or distillation."""

    epochs: int = 3
    max_steps: int | None = None  # optimizer steps; overrides epochs
    batch_size: int = 32  # rows per device
    learning_rate: float = 2e-5
    weight_decay: float = 0.0  # not applied to biases and layer norms
    warmup_ratio: float = 0.0  # share of the steps during which the rate rises
    max_grad_norm: float = 1.0
    log_steps: int = 50
    eval_steps: int | None = None  # null: after every epoch
    save_steps: int = 500  # checkpoint for resuming


@dataclass
class TrainerConfig:
    max_seq_length: int = 128  # tokens, [CLS] and [SEP] included
    seed: int = 42
    eval_batch_size: int = 128
    finetune: LoopConfig = field(default_factory=LoopConfig)
    distill: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=6))


@dataclass
class EngineProfile:
    """What one inference engine sustains on a target; see :mod:`ofa.hardware` for the estimate made of it."""

    fused: bool = False  # q, k and v in one product; scale, mask, residual and layout merged into neighbours
    dispatch_us: float = 0.0  # host time to issue one operation, while the device works on earlier ones
    efficiency: dict[str, float] = field(default_factory=dict)  # precision -> share of the peak rate sustained
    fitted_rows: dict[str, int] = field(default_factory=dict)  # precision -> published rows fitted; none: assumed


@dataclass
class HardwareConfig:
    """The device to run on (device, devices, threads), and the target whose latency is estimated (the rest)."""

    name: str = "???"
    device: str = "auto"  # auto, cpu or gpu; independent of the target described below
    devices: int = 1
    threads: int | None = None  # CPU threads; null: all cores
    description: str = ""
    peak_tops: dict[str, float] = field(default_factory=dict)  # precision -> dense peak, TFLOP/s (int8: TOP/s)
    memory_gb_s: float = 0.0  # peak bandwidth of the memory that holds weights and activations, GB/s
    memory_efficiency: float = 1.0  # share of that bandwidth sustained
    launch_us: float = 0.0  # least time of one operation on the device: launch, ramp up and drain
    engines: dict[str, EngineProfile] = field(default_factory=dict)  # tensorrt, paddle, ... -> profile


@dataclass
class LatencyConfig:
    """What is timed on this machine, and estimated for the target. What a machine lacks is left out."""

    engines: list[str] = field(default_factory=lambda: ["paddle", "onnxruntime"])
    precisions: list[str] = field(default_factory=lambda: ["fp32", "bf16", "fp16"])
    batch_sizes: list[int] = field(default_factory=lambda: [16, 1])
    seq_lengths: list[int] = field(default_factory=lambda: [128])
    warmup: int = 5
    repeats: int = 30
    estimate_engine: str = "paddle"  # the target's engine that estimates are for


@dataclass
class TrackingConfig:
    backend: str = "mlflow"  # mlflow or none
    uri: str | None = None  # null: SQLite under output_dir
    experiment: str = "ofa"
    run_name: str | None = None  # null: task, model and width list


@dataclass
class Config:
    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    ofa: OfaConfig = field(default_factory=OfaConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    stages: list[str] = field(default_factory=lambda: list(STAGES))  # stages to run
    force: list[str] = field(default_factory=list)  # stages to run again even if the store has them
    output_dir: str = "outputs"
    cache_dir: str = "~/.cache/ofa"
    debug: bool = False  # show tracebacks


def register() -> None:
    """Put the schema where conf/config.yaml finds it, under the name ``schema``."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="schema", node=Config)


SCORE_METRICS = ("pearson", "spearman")  # of regression tasks; the other METRICS are for classes
GENERATORS = ("negation",)


def _duplicates(values: list[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


def _label_problems(task: TaskConfig) -> list[str]:
    """Contradictions between ``labels``, ``label_values``, ``score_range`` and ``metrics``."""
    found = []
    if task.labels and task.score_range is not None:
        found.append("task.score_range is for regression: set it to null, or task.labels to []")
    if not task.labels and task.score_range is None:
        found.append("task.labels is empty: name the classes, or set task.score_range=[low,high] for a regression task")
    if len(task.labels) == 1:
        found.append(f"task.labels has one class, {task.labels[0]!r}: name two or more")
    if task.label_values is not None and len(task.label_values) != len(task.labels):
        found.append(f"task.label_values has {len(task.label_values)} values for {len(task.labels)} task.labels")
    for key, values in (("labels", task.labels), ("label_values", task.label_values or [])):
        if _duplicates(values):
            found.append(f"task.{key} names {', '.join(_duplicates(values))} twice")
    if task.score_range is not None and not (len(task.score_range) == 2 and task.score_range[0] < task.score_range[1]):
        found.append(f"task.score_range: {task.score_range} is not [low, high] with low < high")

    if not task.metrics:
        found.append(f"task.metrics is empty; allowed: {', '.join(METRICS)}")
    allowed = [name for name in METRICS if (name in SCORE_METRICS) != bool(task.labels)]
    for metric in task.metrics:
        if metric not in METRICS:
            found.append(f"task.metrics: {metric!r} is unknown; allowed: {', '.join(METRICS)}")
        elif metric not in allowed:
            kind = "classes" if task.labels else "scores"
            found.append(f"task.metrics: {metric} does not fit a task of {kind}; allowed: {', '.join(allowed)}")
        elif metric == "f1" and len(task.labels) != 2:
            found.append(f"task.metrics: f1 is for two classes, task.labels has {len(task.labels)}")
    return found


def task_problems(task: TaskConfig) -> list[str]:
    """Every contradiction in the description of a task, one line each; empty if there is none."""
    found = []
    if len(task.text) not in (1, 2) or _duplicates(task.text):
        found.append(f"task.text: {task.text} is not one column of text or two different ones")
    if task.label in task.text:
        found.append(f"task.label: {task.label!r} is also a column of task.text")
    if task.columns is not None:
        if _duplicates(task.columns):
            found.append(f"task.columns names {', '.join(_duplicates(task.columns))} twice")
        for column in [*task.text, task.label]:
            if column not in task.columns:
                found.append(f"task.columns: no column {column!r}, which task.text or task.label names")
    if not task.dev:
        found.append("task.dev is empty: name at least one split and its file, e.g. task.dev.dev=dev.tsv")
    if "train" in task.dev:
        found.append("task.dev: the split name 'train' is taken by task.train")
    found += _label_problems(task)
    if task.bad_rows not in ("error", "skip"):
        found.append(f"task.bad_rows: {task.bad_rows!r} is unknown; allowed: error, skip")
    for key in ("max_train_rows", "max_dev_rows"):
        limit = getattr(task, key)
        if limit is not None and limit < 1:
            found.append(f"task.{key}: {limit} is below 1; null means all rows")
    if task.generator is not None and task.generator not in GENERATORS:
        found.append(f"task.generator: {task.generator!r} is unknown; allowed: null, {', '.join(GENERATORS)}")
    if task.url is not None and not task.url.startswith(("https://", "http://", "file://")):
        found.append(f"task.url: {task.url!r} is not an https, http or file address")
    return found


def hardware_problems(hardware: HardwareConfig) -> list[str]:
    """Every value of the device or the described target that cannot be, one line each; empty if there is none."""
    found = []
    if hardware.device not in ("auto", "cpu", "gpu"):
        found.append(f"hardware.device: {hardware.device!r} is unknown; allowed: auto, cpu, gpu")
    if hardware.devices < 1:
        found.append(f"hardware.devices: {hardware.devices} is below 1")
    if hardware.threads is not None and hardware.threads < 1:
        found.append(f"hardware.threads: {hardware.threads} is below 1; null means all cores")
    if hardware.engines and hardware.memory_gb_s <= 0:
        found.append(f"hardware.memory_gb_s: {hardware.memory_gb_s:g} is not above 0")
    times = [("launch_us", hardware.launch_us)]
    shares = [("memory_efficiency", hardware.memory_efficiency)]
    for name, profile in hardware.engines.items():
        times.append((f"engines.{name}.dispatch_us", profile.dispatch_us))
        shares += [(f"engines.{name}.efficiency.{key}", value) for key, value in profile.efficiency.items()]
        for precision in sorted(set(profile.efficiency) - set(hardware.peak_tops)):
            found.append(f"hardware.engines.{name}.efficiency.{precision}: hardware.peak_tops has no {precision}")
    found += [f"hardware.{key}: {value:g} is below 0" for key, value in times if value < 0]
    found += [f"hardware.{key}: {value:g} is outside (0, 1]" for key, value in shares if not 0 < value <= 1]
    peaks = hardware.peak_tops.items()
    found += [f"hardware.peak_tops.{key}: {value:g} is not above 0" for key, value in peaks if value <= 0]
    return found

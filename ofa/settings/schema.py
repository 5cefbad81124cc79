"""The typed settings of a run: their units, their defaults, and which of them decide a result.

Hydra composes ``conf/`` into these dataclasses; an unknown key or a wrong type is refused while
composing, and :func:`ofa.jobs.preflight.check` then checks every rule at once. Nothing of this imports
Paddle, so a mistake costs a second, not a minute.

A setting is part of the key of every stage that reads it (``ofa/stages/pipeline.py``), so that changing it runs
these stages again, unless it says otherwise: ``how``, ``collected`` or ``added`` (``fields.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ofa.settings.fields import added, collected, how, setting
from ofa.settings.limits import SearchConfig
from ofa.settings.target import HardwareConfig
from ofa.settings.task import TaskConfig

KEEP = ("best_each", "last", "best_shared")
STAGES = ("finetune", "reorder", "distill", "evaluate", "export", "quantize", "latency")
# Only in jobs whose settings ask for them; evaluate and export bring them along.
# What asks for them: a setting as an example.
OPTIONAL_STAGES = {
    "layer_times": "search.max_latency_ms=8 search.figure=cpu_fp32_b1_s128_measured",
    "augment": "ofa.augment.copies=4",
    "vocabulary": "ofa.vocabulary=seen",
    "distill_depth": "ofa.depths=[1,0.5]",
    "search": "search.max_macs=1e9",
    "specialise": "search.specialise_epochs=1",
    "final": "trainer.final.epochs=1",
}
VOCABULARIES = ("full", "seen")
DEPTH_TEACHERS = ("teacher", "supernet")
METHODS = ("dynamic", "static")  # of quantising; see Int8Config
IMPORTANCE = ("gradient", "random")  # see ImportanceConfig
GPU_GRAPHS = ("tensorrt_int8", "onnxruntime_fp16")  # model.int8.qdq.onnx, model.fp16.onnx


@dataclass
class ModelConfig:
    """Where the encoder to finetune or compress comes from. Sizes use Hugging Face's names."""

    name: str = collected("???")  # of the model, in the names of runs
    pretrained: str | None = None  # a name of the model hub, e.g. bert-base-uncased
    path: str | None = None  # a Paddle or Hugging Face folder; wins over `pretrained`
    architecture: str = added("bert")  # of random weights, with neither of them: bert, ernie, roberta or electra
    finetuned: bool | None = None  # take it as the teacher as it stands; null: if it has a classifier
    # Go on with a teacher that is no better than a constant answer, or mixes its classes up.
    accept_weak_teacher: bool = how(False)
    allow_pickle: bool = how(False)  # read model_state.pdparams (runs code from the file)
    vocab: str | None = None  # a WordPiece vocab.txt; null: the folder's, or trained on the training text
    lower_case: bool = True  # whether capitals are lowered, where the model's folder does not say
    num_hidden_layers: int = 12  # encoder layers of a model from random weights, as the sizes below
    hidden_size: int = 768  # numbers per token between layers
    num_attention_heads: int = 12  # in every layer; a width keeps a whole number of them
    intermediate_size: int = 3072  # feed-forward neurons of a layer
    max_position_embeddings: int = 512  # tokens of the longest row it can read; of a RoBERTa, two more
    vocab_size: int = 30522  # size of a trained vocabulary at most; a given vocabulary sets it
    dropout: float = 0.1  # hidden and attention dropout while training

    @property
    def origin(self) -> str:
        """The setting that names where the weights come from, and its value."""
        return f"model.path: {self.path}" if self.path else f"model.pretrained: {self.pretrained}"


@dataclass
class ImportanceConfig:
    """How heads and neurons are scored before reordering, and on which rows."""

    split: str = "train"  # train: a slice of the training rows; dev: all dev splits, as the published recipe
    rows: int | None = 2048  # rows read at most; null: all
    batch_size: int = 32  # rows scored at once
    method: str = added("gradient")  # gradient: |gradient x weight|; random: no order, a baseline for studies


@dataclass
class AugmentConfig:
    """Copies of the training rows with words replaced, for distillation alone (TinyBERT's augmentation)."""

    copies: int = 0  # of each row; 0: none. Words are replaced as the model's masked-language head says, if it has one
    share: float = 0.4  # probability with which a word is replaced; of a pair, in one of the texts
    candidates: int = 15  # words that one is drawn from, those that fit best


@dataclass
class OfaConfig:
    """The supernet: which widths and depths it serves and how they are distilled.

    Every width is served at every depth. Where there are depths below 1, a second stage distils all of them, starting
    from the supernet of the widths (DynaBERT's second stage).
    """

    widths: list[float] = setting([1.0, 5 / 6, 2 / 3, 1 / 2])  # shares of the heads and neurons kept in a layer
    depths: list[float] = added([1.0])  # shares of the layers kept
    hidden_weight: float = 0.1  # weight of the hidden states' MSE, summed over embeddings and layers
    logit_weight: float = 1.0  # weight of the soft cross-entropy (binary: multi_label; MSE: regression)
    hard_weight: float = added(0.0)  # weight of the loss on the true labels beside the teacher; 0: the teacher alone
    temperature: float = added(1.0)  # divides both logits in the soft cross-entropy, which counts its square times
    # all: every network on every batch; sandwich: largest, smallest, some between; layers: the same, but those between
    # have sizes (and, with depths, layers) drawn for each layer by itself, which a search needs.
    sampling: str = "all"
    sandwich_random: int = 2  # networks drawn besides the largest and the smallest
    dropout: float | None = None  # while distilling; null: model.dropout
    # MB of main memory for the teacher's outputs, computed once where several epochs read them; used by one process
    # on a CPU, and only if all of them fit. 0: the teacher runs on every batch.
    teacher_memory_mb: int = 1024
    # Which weights of each sub-network are kept: best_each (of its own best dev score), last (of the last step), or
    # best_shared (of the step whose dev scores have the best sum: one supernet for all).
    keep: str = added("best_each")
    # Of the second stage: who teaches (the finetuned teacher, or the widths' supernet at full size), loss weights.
    depth_teacher: str = added("teacher")
    depth_hidden_weight: float = added(1.0)
    depth_logit_weight: float = added(1.0)
    # full: the teacher's; seen: the networks keep the embeddings of tokens that training rows need, and of characters.
    vocabulary: str = added("full")
    vocabulary_files: list[str] = added([])  # files of rows, as task.unlabelled; how many read otherwise is reported
    importance: ImportanceConfig = setting(ImportanceConfig)
    augment: AugmentConfig = added(AugmentConfig)
    tolerance: float = collected(0.5)  # points of score a recommended width may lose against the teacher

    @property
    def has_depths(self) -> bool:
        """Whether layers are left out in any network: a job with a second stage of distillation."""
        return any(depth != 1 for depth in self.depths)

    @property
    def has_full(self) -> bool:
        """Whether the full network is among those served; a job for one target does without."""
        return 1.0 in self.widths and 1.0 in self.depths


@dataclass
class LoopConfig:
    """One training loop: finetuning, distillation of widths or of depths, or the final finetuning."""

    epochs: int = 3  # passes over the training rows
    max_steps: int | None = None  # optimizer steps; overrides epochs
    batch_size: int = 32  # rows per step, shared between the devices: results mean the same on any number
    learning_rate: float = 2e-5  # the highest: it rises in the warm-up, then falls to 0
    weight_decay: float = 0.0  # not applied to biases and layer norms
    warmup_ratio: float = 0.0  # share of the steps during which the rate rises
    max_grad_norm: float | None = 1.0  # null: gradients are not clipped
    adam_epsilon: float = added(1e-8)  # in the denominator of Adam's step
    log_steps: int = how(50)  # steps between two entries of loss and rate
    eval_steps: int | None = None  # null: after every epoch
    save_steps: int = how(500)  # checkpoint for resuming

    @property
    def runs(self) -> bool:
        """Whether it makes any step."""
        return bool(self.max_steps or self.epochs)


@dataclass
class TrainerConfig:
    max_seq_length: int = 128  # tokens, [CLS] and [SEP] included
    seed: int = 42  # of weights, order of rows and dropout
    eval_batch_size: int = how(128)  # rows scored at once
    precision: str = "fp32"  # of training: fp32; on GPUs that have them also bf16 or fp16
    finetune: LoopConfig = setting(LoopConfig)
    distill: LoopConfig = setting(lambda: LoopConfig(epochs=6))
    depth: LoopConfig = added(LoopConfig)  # the second distillation, of widths and depths
    # Finetunes each network on the true labels once it is distilled; 0 epochs: not at all.
    final: LoopConfig = added(lambda: LoopConfig(epochs=0, learning_rate=5e-6))
    # Share of the training rows held out from `final`: a network keeps what it learned there only if it helps on them.
    final_held_out: float = added(0.1)

    def loop(self, section: str, epochs: int | None = None) -> LoopConfig:
        """The settings in ``section``, for so many ``epochs`` instead of its own length if these are given."""
        own: LoopConfig = getattr(self, section)
        return own if epochs is None else replace(own, epochs=epochs, max_steps=None)


@dataclass
class LatencyConfig:
    """Latency measurements on this machine and estimates for the target.

    Engines and precisions that a machine lacks are skipped.
    """

    engines: list[str] = setting(["paddle", "onnxruntime"])  # to measure: paddle, onnxruntime, openvino, tensorrt
    precisions: list[str] = setting(["fp32", "bf16", "fp16", "int8"])  # to measure and to estimate
    batch_sizes: list[int] = setting([16, 1])  # rows at once
    seq_lengths: list[int] = setting([128])  # tokens of each row
    warmup: int = 5  # batches before the first that counts
    repeats: int = 30  # batches timed; the median counts
    # The target's engines that estimates are for; null: the one fitted on the most published rows.
    estimate_engines: list[str] | None = collected(None)


@dataclass
class Int8Config:
    """INT8 for ONNX Runtime, and OpenVINO if it is timed; offered if it scores on the dev rows as the network does."""

    enabled: bool = collected(True)  # false: no INT8 networks are made
    # dynamic: activations are scaled as they come; static: by their range over calibration rows.
    method: str = "dynamic"
    max_drop: float = 0.5  # points any metric may lose; beyond, further graphs are tried
    # Further graphs that are tried: first outliers of activations are moved into the weights, then one, two ... of the
    # most sensitive parts (a layer's attention, or one of its feed-forward products) stay in FP32, too.
    tries: int = 4
    calibration_rows: int | None = None  # training rows that ranges and sensitivity come from; null: 256, or all
    reduce_range: bool = False  # weights in 7 bits: for CPUs without VNNI, whose sums saturate
    # Further graphs, for GPUs, which are scored on the CPU by the same rule.
    gpu_graphs: list[str] = setting([])


@dataclass
class TrackingConfig:
    backend: str = "mlflow"  # mlflow or none
    uri: str | None = None  # MLFLOW_TRACKING_URI by default; null: SQLite under output_dir
    experiment: str = "ofa"  # the study this job belongs to; presets name their own
    run_name: str | None = None  # null: task, model and seed
    register_models: bool = True  # every exported width as a model that `mlflow models serve` answers with
    register_precision: str = "fp32"  # of these models; int8: FP32 where no INT8 network is offered
    system_metrics: bool = True  # CPU, memory and GPU on the job's run
    must_answer: bool = True  # refuse to start if the server does not answer and never did; false: send later


@dataclass
class SweepConfig:
    """What ties the jobs of one ``main.py -m`` together."""

    name: str | None = None  # of its folder under output_dir/sweeps and of its tag; null: made of the command
    stop_on_failure: bool = False  # leave the jobs out that have not begun when one fails
    parallel_jobs: int = 1  # jobs at once on one machine, which share its cores; launch=joblib starts so many


@dataclass
class ObjectiveConfig:
    """The value of a job, which a sweeper maximises: the score of a network."""

    width: float | None = None  # null: that of the smallest network, or the best within max_latency_ms
    depth: float | None = None  # beside width; null: 1, or the only one there is
    max_latency_ms: float | None = None  # of the widths this fast, the best score; a job with none has failed
    latency: str | None = None  # the figure compared, e.g. t4_fp32_b16_s128_estimated; null: the report's first


@dataclass
class Config:
    task: TaskConfig = setting(TaskConfig)
    model: ModelConfig = setting(ModelConfig)
    ofa: OfaConfig = setting(OfaConfig)
    trainer: TrainerConfig = setting(TrainerConfig)
    hardware: HardwareConfig = setting(HardwareConfig)
    search: SearchConfig = added(SearchConfig)
    int8: Int8Config = added(Int8Config)
    latency: LatencyConfig = setting(LatencyConfig)
    tracking: TrackingConfig = how(TrackingConfig)
    sweep: SweepConfig = how(SweepConfig)
    objective: ObjectiveConfig = how(ObjectiveConfig)
    stages: list[str] = how(list(STAGES))  # stages to run; they bring those that they need
    force: list[str] = how([])  # stages to run again even if the store has them
    output_dir: str = how("outputs")  # runs, store, tracking database; OFA_OUTPUT sets it for good
    cache_dir: str = how("~/.cache/ofa")  # downloads, encoded rows, vocabularies; OFA_CACHE sets it for good
    debug: bool = how(False)  # show tracebacks

    @property
    def name(self) -> str:
        """What a person calls this job: task, model and seed."""
        return job_name(self)

    @property
    def title(self) -> str:
        """The name of its run in MLflow."""
        return self.tracking.run_name or self.name


def job_name(config: Any) -> str:
    """Task, model and seed of a ``Config``, or of settings that are composed and not typed yet."""
    return f"{config.task.name}-{config.model.name}-s{config.trainer.seed}"

"""The rules that settings must keep, as far as their values alone can show.

Each function returns every broken rule in words, key first. ``jobs/preflight.py`` calls them all and adds what it
takes a folder, a file or this machine to see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec

from omegaconf import MISSING

from ofa.settings.bounds import above_zero, at_least, between, choice, file_name, once, per_cpu
from ofa.settings.schema import (
    DEPTH_TEACHERS,
    GPU_GRAPHS,
    IMPORTANCE,
    KEEP,
    METHODS,
    OPTIONAL_STAGES,
    STAGES,
    Config,
    HardwareConfig,
    Int8Config,
    LatencyConfig,
    LoopConfig,
    OfaConfig,
    TaskConfig,
    TrainerConfig,
)

ENGINES = ("paddle", "onnxruntime", "openvino", "tensorrt")  # what ofa.deploy.engines can time
EXTRAS = ("openvino",)  # of these, what comes with an extra of its name
TRAINING_PRECISIONS = ("fp32", "bf16", "fp16")
PRECISIONS = (*TRAINING_PRECISIONS, "int8")  # of engines
MAX_SEED = 2**32 - 1  # the largest that NumPy takes
FEWEST_TOKENS = 8  # of a row, [CLS] and [SEP] included
SAME_SHARE = 1e-3  # 0.6667 is 2/3


def ofa_problems(ofa: OfaConfig) -> Iterable[str]:
    """Loss weights and importance; widths and depths depend on the model's sizes and are checked with it."""
    weights = [f"{prefix}{part}_weight" for prefix in ("", "depth_") for part in ("hidden", "logit")]
    for key in (*weights, "tolerance", "sandwich_random", "teacher_memory_mb"):
        yield from at_least(f"ofa.{key}", getattr(ofa, key), 0)
    yield from choice("ofa.sampling", ofa.sampling, ("all", "sandwich", "layers"))
    if ofa.dropout is not None and not 0 <= ofa.dropout < 1:
        yield f"ofa.dropout: {ofa.dropout} is outside [0, 1)"
    for hidden, logit in (weights[:2], weights[2:]):
        if getattr(ofa, hidden) == getattr(ofa, logit) == ofa.hard_weight == 0:
            yield f"ofa.{logit}: 0 with ofa.{hidden} 0 leaves nothing to learn; one must be above 0"
    yield from choice("ofa.depth_teacher", ofa.depth_teacher, DEPTH_TEACHERS)
    yield from choice("ofa.keep", ofa.keep, KEEP)
    yield from choice("ofa.importance.method", ofa.importance.method, IMPORTANCE)
    yield from choice("ofa.importance.split", ofa.importance.split, ("train", "dev"))
    yield from at_least("ofa.importance.rows", ofa.importance.rows, 1)
    yield from at_least("ofa.importance.batch_size", ofa.importance.batch_size, 1)


def trainer_problems(trainer: TrainerConfig) -> Iterable[str]:
    for name in ("finetune", "distill", "depth", "final"):
        yield from _loop(f"trainer.{name}", getattr(trainer, name), least_epochs=0 if name == "final" else 1)
    yield from between("trainer.final_held_out", trainer.final_held_out, 0.01, 0.5)
    yield from choice("trainer.precision", trainer.precision, TRAINING_PRECISIONS)
    yield from at_least("trainer.max_seq_length", trainer.max_seq_length, FEWEST_TOKENS)
    yield from at_least("trainer.eval_batch_size", trainer.eval_batch_size, 1)
    yield from between("trainer.seed", trainer.seed, 0, MAX_SEED)


def _loop(key: str, loop: LoopConfig, least_epochs: int) -> Iterable[str]:
    yield from at_least(f"{key}.epochs", loop.epochs, least_epochs)
    for name in ("max_steps", "batch_size", "log_steps", "eval_steps", "save_steps"):
        yield from at_least(f"{key}.{name}", getattr(loop, name), 1)
    yield from above_zero(f"{key}.learning_rate", loop.learning_rate)
    if loop.max_grad_norm is not None:
        yield from above_zero(f"{key}.max_grad_norm", loop.max_grad_norm)
    yield from above_zero(f"{key}.adam_epsilon", loop.adam_epsilon)
    yield from between(f"{key}.weight_decay", loop.weight_decay, 0, 1)
    yield from between(f"{key}.warmup_ratio", loop.warmup_ratio, 0, 1)


def hardware_problems(hardware: HardwareConfig) -> list[str]:
    """Every value of the device or the described target that cannot be."""
    found = [*choice("hardware.device", hardware.device, ("auto", "cpu", "gpu"))]
    # An underscore parts the name of a figure.
    if hardware.name != MISSING and not re.fullmatch(r"[^\W_]+(-[^\W_]+)*", hardware.name):
        found.append(
            f"hardware.name: {hardware.name!r} cannot be in the name of a figure; allowed: letters, digits and -"
        )
    found += at_least("hardware.devices", hardware.devices, 1)
    if hardware.threads is not None and hardware.threads < 1:
        found.append(f"hardware.threads: {hardware.threads} is below 1; null means all cores")
    if hardware.engines:
        found += above_zero("hardware.memory_gb_s", hardware.memory_gb_s)
    times = [("launch_us", hardware.launch_us)]
    shares = [("memory_efficiency", hardware.memory_efficiency)]
    for name, profile in hardware.engines.items():
        times.append((f"engines.{name}.dispatch_us", profile.dispatch_us))
        shares += [(f"engines.{name}.efficiency.{key}", value) for key, value in profile.efficiency.items()]
        for precision in sorted(set(profile.efficiency) - set(hardware.peak_tops)):
            found.append(f"hardware.engines.{name}.efficiency.{precision}: hardware.peak_tops has no {precision}")
    for key, value in times:
        found += at_least(f"hardware.{key}", value, 0)
    found += [f"hardware.{key}: {value:g} is outside (0, 1]" for key, value in shares if not 0 < value <= 1]
    for key, value in hardware.peak_tops.items():
        found += above_zero(f"hardware.peak_tops.{key}", value)
    return found


def latency_problems(latency: LatencyConfig, hardware: HardwareConfig) -> Iterable[str]:
    """What cannot be timed anywhere, or not be estimated for this target."""
    for key, known in (("engines", ENGINES), ("precisions", PRECISIONS)):
        if not getattr(latency, key):
            yield f"latency.{key}: [] is empty; allowed: one or more names; stages=[evaluate,export] times nothing"
        for name in getattr(latency, key):
            yield from choice(f"latency.{key}", name, known)
    for key in ("batch_sizes", "seq_lengths"):
        if not getattr(latency, key):
            yield f"latency.{key}: [] is empty; allowed: one or more numbers from 1"
        for value in getattr(latency, key):
            yield from at_least(f"latency.{key}", value, 1)
    for key in ("engines", "precisions", "batch_sizes", "seq_lengths"):
        yield from once(f"latency.{key}", getattr(latency, key))
    yield from at_least("latency.warmup", latency.warmup, 0)
    yield from at_least("latency.repeats", latency.repeats, 1)
    if latency.estimate_engines and not hardware.engines:
        yield f"latency.estimate_engines: nothing is estimated for {hardware.name}, it has no engines; leave it out"
        return
    for engine in latency.estimate_engines or []:
        yield from choice("latency.estimate_engines", engine, sorted(hardware.engines))
    yield from once("latency.estimate_engines", latency.estimate_engines or [])


def extras_missing(key: str, engines: Iterable[str]) -> list[str]:
    """Engines that come with an extra of their name, which is not installed here."""
    return [
        f"{key}: {engine!r} is not installed; get it with pip install -e '.[{engine}]'"
        for engine in engines
        if engine in EXTRAS and find_spec(engine) is None
    ]


def int8_problems(config: Config) -> Iterable[str]:
    int8 = config.int8
    yield from choice("int8.method", int8.method, METHODS)
    yield from at_least("int8.max_drop", int8.max_drop, 0)
    yield from at_least("int8.tries", int8.tries, 0)
    yield from at_least("int8.calibration_rows", int8.calibration_rows, 1)
    for name in int8.gpu_graphs:
        yield from choice("int8.gpu_graphs", name, GPU_GRAPHS)
    yield from once("int8.gpu_graphs", int8.gpu_graphs)
    if int8.enabled:
        return
    if config.stages == ["quantize"]:
        yield "stages: [quantize] is left out by int8.enabled=false; allowed: further stages, or int8.enabled=true"
    if "latency" in config.stages and config.latency.precisions == ["int8"]:
        yield "latency.precisions: [int8] needs int8.enabled=true; without INT8 networks nothing is timed"


def calibration_problems(int8: Int8Config, rows: int) -> list[str]:
    """More calibration rows than the training split has."""
    if int8.enabled and (int8.calibration_rows or 0) > rows:
        return [f"int8.calibration_rows: {int8.calibration_rows} is more than the {rows} training rows; allowed: null"]
    return []


def position_problems(trainer: TrainerConfig, latency: LatencyConfig, positions: int, owner: str) -> list[str]:
    """Sequences longer than the ``positions`` of the model, which ``owner`` names."""
    lengths = [("trainer.max_seq_length", trainer.max_seq_length)]
    lengths += [("latency.seq_lengths", length) for length in latency.seq_lengths]
    return [
        f"{key}: {length} is more than the {positions} positions of {owner}"
        for key, length in lengths
        if length > positions
    ]


def pair_problems(task: TaskConfig, type_vocab_size: int, owner: str) -> list[str]:
    """Pairs of texts for a model, which ``owner`` names, whose tokens have one type."""
    if len(task.text) < 2 or type_vocab_size > 1:
        return []
    return [f"task.text: {', '.join(task.text)} are pairs, but {owner} has type_vocab_size 1: no type for second texts"]


def size_problems(config: Config) -> Iterable[str]:
    model = config.model
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    for name in (*sizes, "max_position_embeddings"):
        yield from at_least(f"model.{name}", getattr(model, name), 1)
    heads = model.num_attention_heads
    if heads > 0 and model.hidden_size % heads:
        yield f"model.hidden_size: {model.hidden_size} is not a multiple of model.num_attention_heads, {heads}"


def stage_problems(config: Config) -> Iterable[str]:
    for key in ("stages", "force"):
        for name in getattr(config, key):
            yield from choice(key, name, (*STAGES, *OPTIONAL_STAGES))
        yield from once(key, getattr(config, key))
    if not config.stages:
        yield f"stages: an empty list runs nothing; allowed: {', '.join(STAGES)}"


def sweep_problems(config: Config) -> Iterable[str]:
    sweep, objective = config.sweep, config.objective
    if sweep.name is not None:
        yield from file_name("sweep.name", sweep.name)
    yield from at_least("sweep.parallel_jobs", sweep.parallel_jobs, 1)
    yield from per_cpu("sweep.parallel_jobs", sweep.parallel_jobs)
    if sweep.parallel_jobs > 1 and "latency" in config.stages:
        yield (
            f"stages: latency would be measured while {sweep.parallel_jobs} jobs run at once (sweep.parallel_jobs); "
            "leave it out, e.g. stages=[evaluate,export], and time the exports with ofa time"
        )
    for key, served in (("width", config.ofa.widths), ("depth", config.ofa.depths)):
        share = getattr(objective, key)
        if share is not None and objective.max_latency_ms is not None:
            yield f"objective: {key} and max_latency_ms are both set; allowed: one of them"
        if share is not None and not any(abs(one - share) < SAME_SHARE for one in served):
            yield f"objective.{key}: {share:g} is not among ofa.{key}s, {served}"
    if objective.depth is not None and objective.width is None:
        yield f"objective.depth: {objective.depth:g} names no network without objective.width; set both"
    if objective.max_latency_ms is not None:
        yield from above_zero("objective.max_latency_ms", objective.max_latency_ms)
    elif objective.latency is not None:
        yield f"objective.latency: {objective.latency} limits nothing without objective.max_latency_ms; set both"

"""The rules that settings must keep beyond their types, checked all at once and without Paddle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ofa.config import STAGES, Config, LoopConfig, ModelConfig, task_problems
from ofa.errors import UserError
from ofa.folder import read_folder
from ofa.subnet import width_problem


def check(config: Config) -> None:
    """Refuse settings that contradict themselves or the model.

    Raises:
        UserError: with one line per broken rule: the key, its value and what is allowed.
    """
    found = [problem for problem in problems(config) if problem]
    if found:
        raise UserError("\n".join(found))


def problems(config: Config) -> Iterable[str]:
    """Every broken rule in words, key first."""
    yield from task_problems(config.task)
    yield from _model(config)
    yield from _widths(config)
    yield from _ofa(config)
    yield from _loop("trainer.finetune", config.trainer.finetune)
    yield from _loop("trainer.distill", config.trainer.distill)
    yield from _at_least("trainer.max_seq_length", config.trainer.max_seq_length, 8)
    yield from _at_least("trainer.eval_batch_size", config.trainer.eval_batch_size, 1)
    yield from _at_least("trainer.seed", config.trainer.seed, 0)
    yield from _run(config)


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> Iterable[str]:
    if value not in allowed:
        yield f"{key}: {value!r} is unknown; allowed: {', '.join(allowed)}"


def _at_least(key: str, value: float | None, least: float) -> Iterable[str]:
    if value is not None and value < least:
        yield f"{key}: {value} is too small; allowed: from {least}"


def _between(key: str, value: float, low: float, high: float) -> Iterable[str]:
    if not low <= value <= high:
        yield f"{key}: {value} is outside [{low:g}, {high:g}]"


def _loop(key: str, loop: LoopConfig) -> Iterable[str]:
    for name in ("epochs", "max_steps", "batch_size", "log_steps", "eval_steps", "save_steps"):
        yield from _at_least(f"{key}.{name}", getattr(loop, name), 1)
    if not loop.learning_rate > 0:
        yield f"{key}.learning_rate: {loop.learning_rate} is not above 0"
    if not loop.max_grad_norm > 0:
        yield f"{key}.max_grad_norm: {loop.max_grad_norm} is not above 0"
    yield from _between(f"{key}.weight_decay", loop.weight_decay, 0, 1)
    yield from _between(f"{key}.warmup_ratio", loop.warmup_ratio, 0, 1)


def _model(config: Config) -> Iterable[str]:
    model = config.model
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    small = [problem for name in sizes for problem in _at_least(f"model.{name}", getattr(model, name), 1)]
    yield from small
    if not small and model.hidden_size % model.num_attention_heads:
        yield (
            f"model.hidden_size: {model.hidden_size} is not a multiple of "
            f"model.num_attention_heads, {model.num_attention_heads}"
        )
    if not 0 <= model.dropout < 1:
        yield f"model.dropout: {model.dropout} is outside [0, 1)"
    if model.finetuned and not model.path:
        yield "model.finetuned: true needs model.path, the folder of the finetuned model"
    scratch = not model.path and not model.pretrained
    if scratch and config.trainer.max_seq_length > model.max_position_embeddings:
        yield (
            f"trainer.max_seq_length: {config.trainer.max_seq_length} is more than "
            f"model.max_position_embeddings, {model.max_position_embeddings}"
        )


def _widths(config: Config) -> Iterable[str]:
    widths = config.ofa.widths
    try:
        heads = num_heads(config.model)
    except UserError as error:
        yield str(error)
        return
    if heads < 1:
        return  # named already
    found = [problem for problem in (width_problem(width, heads) for width in widths) if problem]
    yield from found
    if 1.0 not in widths:
        yield f"ofa.widths: {list(widths)} lacks 1.0, the full network that the others are cut from"
    kept = [round(width * heads) for width in widths]
    if not found and len(set(kept)) < len(kept):
        yield f"ofa.widths: {list(widths)} names the same sub-network twice"


def num_heads(model: ModelConfig) -> int:
    """Heads per layer of the model the settings name; a folder's are read from its config.json."""
    return read_folder(model.path).shape.num_attention_heads if model.path else model.num_attention_heads


def _ofa(config: Config) -> Iterable[str]:
    ofa = config.ofa
    yield from _at_least("ofa.hidden_weight", ofa.hidden_weight, 0)
    yield from _at_least("ofa.logit_weight", ofa.logit_weight, 0)
    yield from _at_least("ofa.tolerance", ofa.tolerance, 0)
    if ofa.hidden_weight == 0 and ofa.logit_weight == 0:
        yield "ofa.logit_weight: 0 with ofa.hidden_weight 0 leaves nothing to learn; one must be above 0"
    yield from _choice("ofa.importance.split", ofa.importance.split, ("train", "dev"))
    yield from _at_least("ofa.importance.rows", ofa.importance.rows, 1)
    yield from _at_least("ofa.importance.batch_size", ofa.importance.batch_size, 1)


def _run(config: Config) -> Iterable[str]:
    for key in ("stages", "force"):
        for name in getattr(config, key):
            yield from _choice(key, name, STAGES)
    if not config.stages:
        yield f"stages: an empty list runs nothing; allowed: {', '.join(STAGES)}"
    yield from _choice("hardware.device", config.hardware.device, ("auto", "cpu", "gpu"))
    yield from _at_least("hardware.devices", config.hardware.devices, 1)
    yield from _at_least("hardware.threads", config.hardware.threads, 1)
    yield from _choice("tracking.backend", config.tracking.backend, ("mlflow", "none"))
    output = Path(config.output_dir).expanduser()
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    if not existing.is_dir():
        yield f"output_dir: {existing} is a file, not a folder"

"""The model card of each deployable folder: what it is, what it scores and costs, and how to load it elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import yaml

from ofa.errors import UserError
from ofa.results.advice import not_a_headline
from ofa.results.record import NetworkResult, Results
from ofa.results.reduced import ON_CPU, Reduced
from ofa.results.report import human
from ofa.settings.schema import Config, ModelConfig
from ofa.system.files import expanded, read_json, write_whole
from ofa.system.redact import without_secrets

log = logging.getLogger(__name__)
CARD, LICENCE, MADE_BY = "README.md", "## Licence", "Made by ofa"
PIPELINE_TAG = "text-classification"


def write_cards(config: Config, export: Path, results: Results) -> None:
    """Write ``README.md`` into the folder of each network under ``export``.

    It is no part of what its stage made, and written anew whenever results are: a job that shares the folder, and has
    other figures, puts its own there.
    """
    for network in results.exported:
        try:
            write_whole(export / network.name / CARD, text(config, export / network.name, network, results))
        except (UserError, OSError) as error:  # a disk that is read-only, or networks that were not copied along
            log.warning("%s: no model card is written (%s)", export / network.name, error)


def text(config: Config, folder: Path, network: NetworkResult, results: Results) -> str:
    """The card of ``network`` in ``folder`` as Markdown under a YAML header, as model hubs read it."""
    licence, words = _licence(config.model)
    kind = read_json(folder / "config.json").get("model_type", "bert")
    header = {
        **({"license": licence} if licence else {}),
        "library_name": "transformers",
        "pipeline_tag": PIPELINE_TAG,
        "tags": [kind, "pruned", "distilled", "onnx", "paddlepaddle"],
        "metrics": list(network.metrics),
    }
    parts = [
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---",
        f"# {results.task}: {results.model}, {network.label}",
        "\n".join(f"- {line}" for line in _facts(config, network, results)),
        "## Load it",
        *_ways(folder, config, network),
        LICENCE,
        words,
    ]
    return "\n\n".join(parts) + "\n"


def _facts(config: Config, network: NetworkResult, results: Results) -> Iterator[str]:
    task, teacher = config.task, results.teacher
    assert teacher is not None
    if not results.learned and results.recommended:
        yield f"**{results.recommended.words}**"
    classes = f"{'any of the' if task.multi_label else 'one of the'} classes {', '.join(task.labels)}"
    what = classes if task.labels else f"a score, {task.score_range}"
    yield f"Task: {task.name}; {' and '.join(task.text)} to {what}."
    trained = results.rows.get("train", {}).get("used", 0) - config.search.held_out_of_finetuning
    rows = f"; trained on {trained:,} rows" if trained > 0 else ""
    yield f"Data: scored on {results.dev_rows:,} dev rows{rows}, cut at {config.trainer.max_seq_length} tokens."
    yield "Scores: " + ", ".join(f"{name} {value:.4f}" for name, value in network.metrics.items()) + "."
    lost = f"Points lost against its teacher ({teacher.score:.4f}): {100 * (teacher.score - network.score):.2f}"
    if network.lost is not None:
        lost += f" (90% interval {network.lost[0]:.1f} to {network.lost[1]:.1f}, paired bootstrap over the dev rows)"
    yield lost + "."
    if network.test is not None:
        yield "Test rows: " + ", ".join(f"{name} {value:.4f}" for name, value in network.test.items()) + "."
    size = f", model.onnx {human(network.bytes)}B" if network.bytes is not None else ""
    yield f"Size: {human(network.params)} parameters, {human(network.macs)} MACs per row{size}."
    yield f"Heads in each layer: {network.heads}; neurons: {network.neurons}."
    for way, file in ON_CPU.items():
        if small := network.in_precision(*way):
            yield f"INT8 ({file}): {_of_int8(small)}."
    advised = results.recommended.figure if results.recommended and results.recommended.name == network.name else None
    for latency in filter(None, (*results.headlines, not_a_headline(results))):
        name = latency.name(results.unnamed_engine)
        if (ms := results.ms(network, name)) is not None:
            where = f"{latency.where}, {latency.setting}, {latency.seq_length} tokens per row"
            best = ", as it is recommended to run" if name == advised else ""
            yield f"Latency{best}: {ms:.2f} ms per batch ({where}; {latency.basis})."
    yield f"{MADE_BY}, run {results.run}, seed {results.seed}."


def _of_int8(small: Reduced) -> str:
    """Its size, and the most that it loses: its score is a mean over batches, and at one of them it may lose more."""
    worst = max(0.0, small.drop, *small.drop_in_batches.values())
    sizes = ", ".join(small.drop_in_batches)
    where = f", at the worst of batches {sizes}" if len(small.drop_in_batches) > 1 else ""
    return f"{human(small.bytes)}B, loses at most {worst:.2f} points in a metric{where}"


def _ways(folder: Path, config: Config, network: NetworkResult) -> Iterator[str]:
    """How each library loads the folder; what the folder's config.json asks for decides what it takes."""
    described = read_json(folder / "config.json")
    code = ", trust_remote_code=True"
    four = code if "layer_intermediate_sizes" in described else ""
    five = code if "auto_map" in described else ""
    load = 'AutoModelForSequenceClassification.from_pretrained("FOLDER"{})'
    loads = [f"model = {load.format(four)}  # Transformers 4"]
    loads += [f"model = {load.format(five)}  # Transformers 5"] if five != four else []
    tokenizer = 'tokenizer = AutoTokenizer.from_pretrained("FOLDER")'
    imports = "from transformers import AutoModelForSequenceClassification, AutoTokenizer"
    yield "Transformers:\n\n" + _block("python", imports, tokenizer, *(loads[:1] if five == four else loads))
    if five:
        yield (
            "The code that is trusted is `modeling_ofa_bert.py` in this folder: Transformers "
            f"{'has no layers that differ in neurons' if four else '5 no longer prunes heads'}."
        )
    yield "optimum, and its `pipeline`:\n\n" + _block(
        "python",
        "from optimum.onnxruntime import ORTModelForSequenceClassification",
        'model = ORTModelForSequenceClassification.from_pretrained("FOLDER", file_name="model.onnx")',
    )
    yield (
        "The graph masks what has the padding token's id, and takes no attention mask. PaddleNLP reads plain models; "
        "`ofa export FOLDER --padded TARGET` writes one of the same function, with zeros for what was cut:"
    )
    yield _block(
        "python",
        "from paddlenlp.transformers import AutoModelForSequenceClassification",
        'model = AutoModelForSequenceClassification.from_pretrained("TARGET", convert_from_torch=True)',
    )
    pair = ' --pair "and a second"' if config.task.pair else ""
    yield "This project:\n\n" + _block("bash", f'ofa predict FOLDER "a text"{pair}')


def _block(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _licence(model: ModelConfig) -> tuple[str | None, str]:
    """The licence that the origin's own card names, and a sentence."""
    if model.path is None and model.pretrained is None:
        return (
            None,
            "Its weights were trained from random ones on the data of the task; no other model's licence applies.",
        )
    origin = Path(model.path).name if model.path else without_secrets(str(model.pretrained))
    header, body = _parts(expanded(model.path) / CARD) if model.path else ({}, "")
    found, (_, _, said) = header.get("license"), body.partition(f"\n{LICENCE}\n\n")
    said = said.partition("\n## ")[0].strip()
    if said and MADE_BY in body and str(found or "") in said:  # of a network of a job: it goes on to hold
        return found, said
    if isinstance(found, str) and found:
        return found, f"That of {origin}, which it was made from: {found}."
    return "other", f"That of {origin}, which it was made from; its folder does not say which."


def _parts(card: Path) -> tuple[dict, str]:
    """The YAML header of a model card, and its text; empty where there is none."""
    try:
        _, header, body = card.read_text(encoding="utf-8").split("---\n", 2)
        values = yaml.safe_load(header)
    except (OSError, ValueError, yaml.YAMLError):
        return {}, ""
    return (values, body) if isinstance(values, dict) else ({}, "")

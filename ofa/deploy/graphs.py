"""Names of the files that engines read, and of their inputs."""

from __future__ import annotations

from pathlib import Path

from ofa.settings.schema import Int8Config

PADDLE_GRAPH = "inference"  # inference.json (the program) and inference.pdiparams (the weights)
ONNX_GRAPH = "model.onnx"
INPUTS = ("input_ids", "token_type_ids")
OUTPUT = "logits"  # of ONNX graphs; as optimum and others look for it
# Engine and precision -> the graph it reads. Where nothing stands here it is Paddle's, in every precision.
GRAPHS = {
    ("onnxruntime", "fp32"): ONNX_GRAPH,
    ("onnxruntime", "int8"): "model.int8.onnx",
    ("onnxruntime", "fp16"): "model.fp16.onnx",  # on GPUs
    ("tensorrt", "int8"): "model.int8.qdq.onnx",  # scales of activations are part of the graph
}


def graph(folder: Path, engine: str, precision: str) -> Path:
    """The file of an exported ``folder`` that ``engine`` reads for ``precision``; it may not be there."""
    return folder / GRAPHS.get((engine, precision), f"{PADDLE_GRAPH}.json")


def reduced(settings: Int8Config) -> dict[tuple[str, str], str]:
    """Engine and precision of each graph that is written anew from ONNX -> a key of ``ofa.deploy.quantize.METHODS``."""
    if not settings.enabled:
        return {}
    found = {("onnxruntime", "int8"): settings.method}
    for name in settings.gpu_graphs:
        engine, _, precision = name.partition("_")
        found[engine, precision] = name
    return found

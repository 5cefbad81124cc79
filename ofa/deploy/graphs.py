"""Names of the files that engines read and of their inputs, and what of ONNX Runtime a CPU does without."""

from __future__ import annotations

from pathlib import Path

from ofa.settings.schema import Config

PADDLE_GRAPH = "inference"  # inference.json (the program) and inference.pdiparams (the weights)
ONNX_GRAPH = "model.onnx"
INPUTS = ("input_ids", "token_type_ids")
# ONNX Runtime's fused residual + layer norm is not vectorised on CPU: as long as four matrix products.
SLOW_FUSIONS = ["SkipLayerNormFusion"]
OUTPUT = "logits"  # of ONNX graphs; as optimum and others look for it
# Engine and precision -> the graph it reads. Where nothing stands here it is Paddle's, in every precision.
GRAPHS = {
    ("onnxruntime", "fp32"): ONNX_GRAPH,
    ("onnxruntime", "int8"): "model.int8.onnx",
    ("onnxruntime", "fp16"): "model.fp16.onnx",  # on GPUs
    ("openvino", "fp32"): ONNX_GRAPH,
    ("openvino", "bf16"): ONNX_GRAPH,
    ("openvino", "int8"): "model.int8.openvino.onnx",  # model.int8.onnx runs there in FP32, slower than model.onnx
    ("tensorrt", "int8"): "model.int8.qdq.onnx",  # scales of activations are part of the graph
}


def graph(folder: Path, engine: str, precision: str) -> Path:
    """The file of an exported ``folder`` that ``engine`` reads for ``precision``; it may not be there."""
    return folder / GRAPHS.get((engine, precision), f"{PADDLE_GRAPH}.json")


def missing(folder: Path, engine: str, precision: str) -> list[str]:
    """Names of the files that ``engine`` needs for ``precision`` and an exported ``folder`` lacks.

    Paddle Inference runs a program without its weights, and answers NaN.
    """
    path = graph(folder, engine, precision)
    needed = [path, path.with_suffix(".pdiparams")] if path.stem == PADDLE_GRAPH else [path]
    return [one.name for one in needed if not one.is_file()]


def reduced(config: Config) -> dict[tuple[str, str], str]:
    """Engine and precision of each graph that is written anew from ONNX -> a key of ``ofa.deploy.quantize.METHODS``."""
    if not config.int8.enabled:
        return {}
    found = {("onnxruntime", "int8"): config.int8.method}
    if "openvino" in config.latency.engines:
        found["openvino", "int8"] = "openvino_int8"
    for name in config.int8.gpu_graphs:
        engine, _, precision = name.partition("_")
        found[engine, precision] = name
    return found

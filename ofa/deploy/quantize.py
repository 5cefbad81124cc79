"""Write an exported ONNX graph anew in INT8 (or FP16), all of it or without the parts that must stay FP32.

Weights are quantised symmetrically, per output channel. ``dynamic``: the ranges of activations are found as the graph
runs (Q8BERT, arXiv:1910.06188, without its training); ``static``: they are fixed, as seen on calibration rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path

import numpy as np
import onnx

from ofa.data.batches import Batch
from ofa.deploy.engines import run_onnx
from ofa.deploy.graphs import INPUTS
from ofa.errors import UserError

# How many products with weights each part of a layer has, in their order: query, key, value and output; the two of the
# feed-forward part. As the second of these suffers most by far, its first and attention need not stay in FP32 with it.
IN_LAYER = {"attention": 4, "intermediate": 1, "output": 1}


@dataclass(frozen=True)
class Source:
    """An exported graph, ready to be quantised.

    Attributes:
        parts: the nodes with weights by what a person calls them: ``embeddings``, ``head`` and, of each layer,
            ``layer 0 attention``, ``layer 0 intermediate`` and ``layer 0 output`` (the feed-forward products, as BERT
            names its modules).
        batches: training rows, for ranges of activations and for sensitivity.
        reduce_range: weights in 7 bits.
        work: a folder for temporary files.
    """

    path: Path
    parts: Mapping[str, list[str]]
    batches: list[Batch]
    reduce_range: bool
    work: Path
    threads: int

    @classmethod
    def prepare(
        cls, graph: Path, layers: int, batches: list[Batch], reduce_range: bool, work: Path, threads: int
    ) -> Source:
        """Infer the shapes of ``graph``, which has so many layers, into ``work``, and find its parts."""
        from onnxruntime.quantization.shape_inference import quant_pre_process

        path = work / "inferred.onnx"
        with _quiet():
            quant_pre_process(graph, path, skip_optimization=True, skip_symbolic_shape=True)
        return cls(path, parts_of(onnx.load(path), layers), batches, reduce_range, work, threads)

    def logits(self, path: Path) -> np.ndarray:
        """Logits ``[N, C]`` of the training rows through the graph at ``path``."""
        forward = run_onnx(path, threads=self.threads)
        return np.concatenate([forward(batch.input_ids, batch.token_type_ids) for batch in self.batches])


def most_sensitive(source: Source, method: str) -> list[str]:
    """The parts by how far each moves the logits if it alone is quantised: the mean absolute change, downwards.

    The embeddings come last: they are half the file of a small BERT, and quantised they gain bytes and no time.
    """
    expected, alone = source.logits(source.path), source.work / "alone.onnx"
    moved = {}
    for part in source.parts:
        write(source, alone, method, [other for other in source.parts if other != part])
        moved[part] = np.nan_to_num(np.abs(source.logits(alone) - expected).mean(), nan=np.inf)
    return sorted(source.parts, key=lambda part: (part == "embeddings", -moved[part]))


def parts_of(model: onnx.ModelProto, layers: int) -> dict[str, list[str]]:
    """The nodes that read weights, by part. The products of attention read none and stay as they are.

    Embeddings that are projected to the hidden size, as an ELECTRA-small's, have the first product with weights, which
    reads more or fewer numbers than the others: it is part of them.

    Raises:
        UserError: if there are fewer products with weights than so many layers have.
    """
    reads = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    products = {n.name: reads[n.input[1]] for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in reads}
    sizes = list(products.values())
    projected = int(sizes[:1] != sizes[1:2])
    least = projected + layers * sum(IN_LAYER.values())
    if len(products) <= least:
        raise UserError(
            f"quantize: model.onnx has {len(products)} matrix products with weights; {layers} layers and a classifier "
            f"have more than {least}"
        )
    gathers, rest = [node.name for node in model.graph.node if node.op_type == "Gather"], iter(products)
    found = {"embeddings": gathers + list(islice(rest, projected))}
    for layer, (part, count) in product(range(layers), IN_LAYER.items()):
        found[f"layer {layer} {part}"] = list(islice(rest, count))
    return {**found, "head": list(rest)}


def write(source: Source, target: Path, method: str, kept: Iterable[str] = ()) -> None:
    """Write the graph of ``source`` to ``target`` by a key of ``METHODS``, with the ``kept`` parts in FP32."""
    with _quiet():
        METHODS[method](source, target, [node for part in kept for node in source.parts[part]])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the quantizer logs of every node: it takes the root logger for its own."""
    root = logging.getLogger()

    def warns(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    root.addFilter(warns)  # of records that are logged there; those of other loggers do not pass it
    try:
        yield
    finally:
        root.removeFilter(warns)


def _dynamic(source: Source, target: Path, excluded: list[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source.path,
        target,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=source.reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
    )


def _static(
    source: Source,
    target: Path,
    excluded: list[str],
    symmetric: bool = False,
    embeddings: bool = True,
    **options: bool,
) -> None:
    """Ranges of activations, ``symmetric`` or not, are part of the graph; TensorRT wants ``embeddings`` as they are."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        source.path,
        target,
        _reader(source.batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Gather"] if embeddings else ["MatMul"],
        per_channel=True,
        reduce_range=source.reduce_range,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
        extra_options={
            "MatMulConstBOnly": True,
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            "ActivationSymmetric": symmetric,
            **options,
        },
    )


def _reader(batches: list[Batch]):
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.rest, None)
            return dict(zip(INPUTS, (batch.input_ids, batch.token_type_ids), strict=True)) if batch else None

    return Reader()


def _half(source: Source, target: Path, excluded: list[str]) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(source.path), keep_io_types=True, node_block_list=excluded)
    onnx.save(model, target)


METHODS: dict[str, Callable[[Source, Path, list[str]], None]] = {
    "dynamic": _dynamic,
    "static": _static,
    "openvino_int8": partial(_static, symmetric=True),
    "tensorrt_int8": partial(_static, symmetric=True, embeddings=False, DedicatedQDQPair=True, QuantizeBias=False),
    "onnxruntime_fp16": _half,
}

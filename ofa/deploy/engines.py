"""Run exported folders: Paddle Inference, ONNX Runtime, OpenVINO and TensorRT, in the precisions a machine has."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa.deploy.graphs import INPUTS, PADDLE_GRAPH, SLOW_FUSIONS, graph, missing
from ofa.errors import UserError
from ofa.model.folder import read_folder
from ofa.system.machine import cpu_flags

if TYPE_CHECKING:
    from ofa.model.network import Forward

# TensorRT optimisation profile: optimal batch and length (those of the published measurements) and the largest batch
# that is taken unless a larger one is asked for.
TENSORRT_BATCH, TENSORRT_LENGTH = (16, 64), 128


@dataclass(frozen=True)
class Engine:
    """A library that runs exported folders.

    Attributes:
        precisions: those it has on ``cpu`` or ``gpu``; empty: it is not on this machine.
        load: from folder, precision, device, threads and the most rows of a batch to a function of token ids.
    """

    name: str
    precisions: Callable[[str], tuple[str, ...]]
    load: Callable[[Path, str, str, int, int], Forward]


def available(device: str) -> dict[str, tuple[str, ...]]:
    """Engines of this machine and the precisions each has, for ``cpu`` or ``gpu``."""
    kind = device.partition(":")[0]
    found = {name: engine.precisions(kind) for name, engine in ENGINES.items()}
    return {name: precisions for name, precisions in found.items() if precisions}


def runnable(folder: Path, device: str) -> list[tuple[str, str]]:
    """The engines and precisions of this machine that ``folder`` has a graph for."""
    pairs = [(engine, precision) for engine, precisions in available(device).items() for precision in precisions]
    return [pair for pair in pairs if not missing(folder, *pair)]


def load_engine(
    folder: Path, engine: str, precision: str = "fp32", device: str = "cpu", threads: int = 1, rows: int = 1
) -> Forward:
    """An exported ``folder`` as a function from token ids ``[B, S]`` to logits ``[B, C]``.

    Args:
        rows: the most of a batch, as far as that is above what TensorRT is made ready for anyway.

    Raises:
        UserError: if this machine lacks the engine or the precision (the message lists what it has), the folder
            lacks the file of that precision, or the engine cannot read it.
    """
    has = available(device)
    if engine not in has:
        raise UserError(f"latency.engines: {engine!r} is not on this {device}; it has {', '.join(has)}")
    if precision not in has[engine]:
        raise UserError(
            f"latency.precisions: {engine} on this {device} has no {precision!r}; it has {', '.join(has[engine])}"
        )
    if lacking := missing(folder, engine, precision):
        raise UserError(f"{folder}: no {' and no '.join(lacking)}, which {engine} reads for {precision}")
    try:
        return ENGINES[engine].load(folder, precision, device, threads, rows)
    except Exception as error:  # each engine has its own exceptions for a file it cannot read
        raise UserError(f"{folder}: {engine} cannot load it ({str(error).strip().splitlines()[-1][:200]})") from None


def _providers() -> list[str]:
    import onnxruntime

    return onnxruntime.get_available_providers()


def _onnxruntime_precisions(kind: str) -> tuple[str, ...]:
    if kind == "cpu":
        return ("fp32", "int8")
    return ("fp32", "fp16") if "CUDAExecutionProvider" in _providers() else ()


def _paddle_precisions(kind: str) -> tuple[str, ...]:
    if kind == "gpu":
        return ("fp32", "fp16")
    return ("fp32", *_bf16())


def _bf16() -> tuple[str, ...]:
    return ("bf16",) if cpu_flags() & {"avx512_bf16", "amx_bf16"} else ()


def _openvino_precisions(kind: str) -> tuple[str, ...]:
    return ("fp32", *_bf16(), "int8") if kind == "cpu" and importlib.util.find_spec("openvino") else ()


def _tensorrt_precisions(kind: str) -> tuple[str, ...]:
    """Paddle's own TensorRT, and ONNX Runtime's for the graph that holds its own scales."""
    if kind == "cpu":
        return ()
    own = all(importlib.util.find_spec(name) for name in ("tensorrt", "paddle.tensorrt"))
    return (("fp32", "fp16") if own else ()) + (("int8",) if "TensorrtExecutionProvider" in _providers() else ())


def run_onnx(path: Path, providers: Sequence[Any] = ("CPUExecutionProvider",), threads: int = 1) -> Forward:
    """An ONNX graph as a function from token ids ``[B, S]`` to logits ``[B, C]``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Waiting threads of one session would spin on the cores that the next width is timed on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    slow = SLOW_FUSIONS if providers[0] == "CPUExecutionProvider" else []
    session = onnxruntime.InferenceSession(str(path), options, list(providers), disabled_optimizers=slow)
    wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != wanted:  # it falls back to the CPU and says nothing
        raise RuntimeError(f"{wanted} did not start")

    def forward(input_ids: np.ndarray, token_type_ids: np.ndarray) -> np.ndarray:
        return session.run(None, dict(zip(INPUTS, (input_ids, token_type_ids), strict=True)))[0]

    return forward


def run_openvino(path: Path, precision: str = "fp32", threads: int = 1) -> Forward:
    """The same by OpenVINO on the CPU: what the graph has in INT8 as that, the rest in FP32 or BF16."""
    # As if it were not installed: with this package, OpenVINO's import tells its makers over the network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",  # left to itself it takes BF16
        "ENABLE_CPU_PINNING": False,  # jobs beside each other would be bound to the same cores
    }
    request = openvino.Core().compile_model(str(path), "CPU", options).create_infer_request()

    def forward(input_ids: np.ndarray, token_type_ids: np.ndarray) -> np.ndarray:
        return request.infer(dict(zip(INPUTS, (input_ids, token_type_ids), strict=True)), share_inputs=True)[0]

    return forward


def _openvino(folder: Path, precision: str, device: str, threads: int, rows: int) -> Forward:
    return run_openvino(graph(folder, "openvino", precision), precision, threads)


def _onnxruntime(folder: Path, precision: str, device: str, threads: int, rows: int) -> Forward:
    on_gpu = ("CUDAExecutionProvider", {"device_id": _number(device)})
    provider = "CPUExecutionProvider" if device == "cpu" else on_gpu
    return run_onnx(graph(folder, "onnxruntime", precision), [provider], threads)


def _tensorrt(folder: Path, precision: str, device: str, threads: int, rows: int) -> Forward:
    if precision == "int8":
        return run_onnx(graph(folder, "tensorrt", precision), [_int8_provider(folder, device, rows)])
    place = tempfile.TemporaryDirectory(prefix="ofa-tensorrt-")
    forward = _paddle_graph(_converted(folder, precision, Path(place.name), rows), precision, device, threads)
    weakref.finalize(forward, place.cleanup)  # a converted graph stays for as long as it may be read
    return forward


def _number(device: str) -> int:
    """Of a GPU: 2 of ``gpu:2``, 0 of ``gpu``."""
    return int(device.partition(":")[2] or 0)


def _int8_provider(folder: Path, device: str, rows: int) -> tuple[str, dict[str, Any]]:
    """TensorRT's through ONNX Runtime: INT8 by the graph's own scales, FP16 for the rest, one profile for all sizes."""
    sizes = dict(zip(("min", "opt", "max"), _sizes(folder, rows), strict=True))
    profiles = {
        f"trt_profile_{which}_shapes": ",".join(f"{name}:{batch}x{length}" for name in INPUTS)
        for which, (batch, length) in sizes.items()
    }
    options = {"device_id": _number(device), "trt_int8_enable": "1", "trt_fp16_enable": "1", **profiles}
    return "TensorrtExecutionProvider", options


def _paddle(folder: Path, precision: str, device: str, threads: int, rows: int) -> Forward:
    return _paddle_graph(folder / PADDLE_GRAPH, precision, device, threads)


def _paddle_graph(path: Path, precision: str, device: str, threads: int) -> Forward:
    from paddle import inference

    config = inference.Config(f"{path}.json", f"{path}.pdiparams")
    config.disable_glog_info()
    if device.startswith("gpu"):
        half = inference.PrecisionType.Half if precision == "fp16" else inference.PrecisionType.Float32
        config.enable_use_gpu(256, _number(device), half)
    else:
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(threads)
        config.enable_mkldnn()
        if precision == "bf16":
            config.enable_mkldnn_bfloat16()
    predictor = inference.create_predictor(config)
    inputs = [predictor.get_input_handle(name) for name in INPUTS]
    output = predictor.get_output_handle(predictor.get_output_names()[0])

    def forward(input_ids: np.ndarray, token_type_ids: np.ndarray) -> np.ndarray:
        for handle, value in zip(inputs, (input_ids, token_type_ids), strict=True):
            handle.reshape(value.shape)
            handle.copy_from_cpu(np.ascontiguousarray(value))
        predictor.run()
        return output.copy_to_cpu().astype(np.float32)

    return forward


def _sizes(folder: Path, rows: int) -> tuple[tuple[int, int], ...]:
    """The least, the usual and the largest batch and length that TensorRT is to take."""
    length = read_folder(folder).shape.max_tokens
    usual, most = TENSORRT_BATCH
    return (1, 1), (usual, min(TENSORRT_LENGTH, length)), (max(most, rows), length)


def _converted(folder: Path, precision: str, target: Path, rows: int) -> Path:
    """The graph in ``folder`` with TensorRT engines for all it can run, written to ``target``.

    Paddle 3's own way for graphs it has saved as JSON; ``Config.enable_tensorrt_engine`` is for the older format.
    """
    from paddle import tensorrt  # type: ignore[attr-defined]  # of GPU wheels only

    inputs = [
        tensorrt.Input(warmup_data=tuple(np.full(size, value, "int64") for size in _sizes(folder, rows)), name=name)
        for name, value in zip(INPUTS, (1, 0), strict=True)  # any tokens, all of the first text
    ]
    mode = tensorrt.PrecisionMode.FP16 if precision == "fp16" else tensorrt.PrecisionMode.FP32
    converted = target / PADDLE_GRAPH
    settings = tensorrt.TensorRTConfig(inputs=inputs, precision_mode=mode, save_model_dir=str(converted))
    tensorrt.convert(str(folder / PADDLE_GRAPH), settings)
    return converted


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("paddle", _paddle_precisions, _paddle),
        Engine("onnxruntime", _onnxruntime_precisions, _onnxruntime),
        Engine("openvino", _openvino_precisions, _openvino),
        Engine("tensorrt", _tensorrt_precisions, _tensorrt),
    )
}

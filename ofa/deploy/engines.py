"""Run exported folders: Paddle Inference and ONNX Runtime, in the precisions a machine has."""

from __future__ import annotations

import importlib.util
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ofa.deploy.export import INPUTS, ONNX_GRAPH, PADDLE_GRAPH
from ofa.errors import UserError
from ofa.model.folder import read_folder
from ofa.model.network import Forward
from ofa.system.machine import cpu_flags

# TensorRT optimisation profile: optimal batch and length (those of the published measurements) and the largest allowed.
TENSORRT_BATCH, TENSORRT_LENGTH = (16, 64), 128
# ONNX Runtime's fused residual + layer norm is not vectorised on CPU: as long as four matrix products.
SLOW_FUSIONS = ["SkipLayerNormFusion"]


def available(device: str) -> dict[str, tuple[str, ...]]:
    """Engines of this machine and the precisions each has, for ``cpu`` or ``gpu``."""
    if device.startswith("gpu"):
        import onnxruntime

        engines: dict[str, tuple[str, ...]] = {"paddle": ("fp32", "fp16")}
        if all(importlib.util.find_spec(name) for name in ("tensorrt", "paddle.tensorrt")):
            engines["tensorrt"] = ("fp32", "fp16")
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            engines["onnxruntime"] = ("fp32",)
        return engines
    bf16 = ("bf16",) if cpu_flags() & {"avx512_bf16", "amx_bf16"} else ()
    return {"paddle": ("fp32", *bf16), "onnxruntime": ("fp32",)}


def load_engine(folder: Path, engine: str, precision: str = "fp32", device: str = "cpu", threads: int = 1) -> Forward:
    """An exported ``folder`` as a function from token ids ``[B, S]`` to logits ``[B, C]``.

    Raises:
        UserError: if this machine lacks the engine or the precision (the message lists what it has),
            or the engine cannot read the folder's files.
    """
    has = available(device)
    if engine not in has:
        raise UserError(f"latency.engines: {engine!r} is not on this {device}; it has {', '.join(has)}")
    if precision not in has[engine]:
        raise UserError(
            f"latency.precisions: {engine} on this {device} has no {precision!r}; it has {', '.join(has[engine])}"
        )
    make: Callable[..., Forward] = _onnxruntime if engine == "onnxruntime" else _paddle
    try:
        return make(folder, engine, precision, device, threads)
    except Exception as error:  # each engine has its own exceptions for a file it cannot read
        raise UserError(f"{folder}: {engine} cannot load it ({str(error).strip().splitlines()[-1][:200]})") from None


def _onnxruntime(folder: Path, engine: str, precision: str, device: str, threads: int) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Waiting threads of one session would spin on the cores that the next width is timed on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    gpu = device.startswith("gpu")
    provider = "CUDAExecutionProvider" if gpu else "CPUExecutionProvider"
    session = onnxruntime.InferenceSession(
        str(folder / ONNX_GRAPH), options, [provider], disabled_optimizers=[] if gpu else SLOW_FUSIONS
    )

    def forward(input_ids: np.ndarray, token_type_ids: np.ndarray) -> np.ndarray:
        return session.run(None, dict(zip(INPUTS, (input_ids, token_type_ids), strict=True)))[0]

    return forward


def _paddle(folder: Path, engine: str, precision: str, device: str, threads: int) -> Forward:
    from paddle import inference

    graph, place = folder / PADDLE_GRAPH, None
    if engine == "tensorrt":
        place = tempfile.TemporaryDirectory(prefix="ofa-tensorrt-")
        graph = _converted(folder, precision, Path(place.name))
    config = inference.Config(f"{graph}.json", f"{graph}.pdiparams")
    config.disable_glog_info()
    if device.startswith("gpu"):
        half = inference.PrecisionType.Half if precision == "fp16" else inference.PrecisionType.Float32
        config.enable_use_gpu(256, int(device.partition(":")[2] or 0), half)
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

    if place:
        weakref.finalize(forward, place.cleanup)  # a converted graph stays for as long as it may be read
    return forward


def _converted(folder: Path, precision: str, target: Path) -> Path:
    """The graph in ``folder`` with TensorRT engines for all it can run, written to ``target``.

    Paddle 3's own way for graphs it has saved as JSON; ``Config.enable_tensorrt_engine`` is for the older format.
    """
    from paddle import tensorrt  # type: ignore[attr-defined]  # of GPU wheels only

    length = read_folder(folder).shape.max_position_embeddings
    usual, most = TENSORRT_BATCH
    sizes = ((1, 1), (usual, min(TENSORRT_LENGTH, length)), (most, length))
    inputs = [
        tensorrt.Input(warmup_data=tuple(np.full(size, value, "int64") for size in sizes), name=name)
        for name, value in zip(INPUTS, (1, 0), strict=True)  # any tokens, all of the first text
    ]
    mode = tensorrt.PrecisionMode.FP16 if precision == "fp16" else tensorrt.PrecisionMode.FP32
    converted = target / PADDLE_GRAPH
    settings = tensorrt.TensorRTConfig(inputs=inputs, precision_mode=mode, save_model_dir=str(converted))
    tensorrt.convert(str(folder / PADDLE_GRAPH), settings)
    return converted

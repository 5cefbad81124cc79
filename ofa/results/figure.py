"""One latency figure: what it is of, and the name that says so wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ENGINES = {
    "paddle": "Paddle Inference",
    "paddle_tensorrt": "Paddle's TensorRT",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime_optimized": "optimized ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
    "torchscript": "TorchScript",
    "pytorch_eager": "eager PyTorch",
}  # in words


@dataclass(frozen=True)
class Latency:
    """One latency of one network.

    Attributes:
        where: the device or target, e.g. ``t4``, ``cpu``; without an underscore.
        kind: ``measured`` or ``estimated``; the one is never named as the other.
        ms: milliseconds per batch.
        evidence: what an estimate rests on, e.g. ``fitted on 4 rows``.
    """

    where: str
    engine: str
    precision: str
    batch_size: int
    seq_length: int
    kind: str
    ms: float
    evidence: str = ""

    def name(self, unnamed: Mapping[str, str]) -> str:
        """``cpu_onnxruntime_fp32_b16_s128_measured``.

        Args:
            unnamed: kind -> the engine that the names of its figures leave out.
        """
        engine = [] if self.engine == unnamed.get(self.kind) else [self.engine]
        parts = [self.where, *engine, self.precision, f"b{self.batch_size}", f"s{self.seq_length}", self.kind]
        return "_".join(parts)

    @classmethod
    def parse(cls, name: str, ms: float, unnamed: Mapping[str, str]) -> Latency:
        """The figure of a name made by :meth:`name`."""
        where, *engine, precision, batch, length, kind = name.split("_")
        return cls(where, "_".join(engine) or unnamed[kind], precision, int(batch[1:]), int(length[1:]), kind, ms)

    @property
    def basis(self) -> str:
        """What it rests on: ``measured on t4``, or ``estimated for t4, fitted on 4 rows``."""
        if self.kind == "measured":
            return f"measured on {self.where}"
        return f"estimated for {self.where}" + (f", {self.evidence}" if self.evidence else "")

    @property
    def setting(self) -> str:
        """How the network runs, in words: ``ONNX Runtime fp32, batch 16``."""
        return f"{ENGINES.get(self.engine, self.engine)} {self.precision}, batch {self.batch_size}"

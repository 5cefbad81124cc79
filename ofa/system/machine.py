"""Facts about this machine: processor, GPU, library versions, and how busy they are."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = (
    *("paddlepaddle", "paddlepaddle-gpu", "paddlenlp", "paddleslim", "mlflow", "hydra-core", "numpy"),
    *("onnxruntime", "openvino"),
)


@lru_cache(maxsize=1)
def cpu_facts() -> dict[str, str]:
    """What Linux says of the first processor; empty on other systems."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def cpu_name() -> str:
    """The processor's own name, e.g. ``AMD EPYC``; the architecture where it has none."""
    return cpu_facts().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction sets the processor names, e.g. ``avx512_bf16``; empty where it cannot be asked."""
    return frozenset(cpu_facts().get("flags", "").split())


def multiplies_int8() -> bool:
    """Whether the processor has instructions for products of INT8 (VNNI, AMX); also if it cannot be asked."""
    flags = cpu_flags()
    return not flags or bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8"})


def cpus() -> int:
    """CPUs of this machine, whether this process may use them or not."""
    return os.cpu_count() or 1


def cores() -> int:
    """Cores this process may use (its affinity, not the machine's total)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus()


def device_name(device: str) -> str:
    """What a figure measured on ``device`` is named by: ``cpu``, or the GPU's own name, e.g. ``t4``."""
    if device == "cpu":
        return device
    import paddle

    name = paddle.device.cuda.get_device_name(int(device.partition(":")[2] or 0)).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word not in {"nvidia", "tesla", "geforce", ""}]
    return "-".join(words)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries a result depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def paddle_for_cpu() -> bool:
    """Whether the Paddle of this machine is the one that has no GPUs, as far as its package's name says; not loaded."""
    found = versions()
    return "paddlepaddle" in found and "paddlepaddle-gpu" not in found


def machine() -> dict[str, str | int]:
    """The class of machine a figure was measured on: processor, cores, memory in GiB, GPU."""
    facts: dict[str, str | int] = {"cpu": cpu_name(), "cores": cores()}
    if hasattr(os, "sysconf"):
        facts["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    # Not by whether Paddle is loaded: the same machine must have the same name before and after.
    if "paddlepaddle-gpu" in versions():
        import paddle

        if paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count():
            facts["gpu"] = paddle.device.cuda.get_device_name()
    return facts


class SystemMetrics:
    """Reads CPU, memory and GPU under the names MLflow's page of system metrics knows."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the first reading only sets the mark the next is measured from
        self._nvml: Any = None
        try:
            import pynvml  # of the package nvidia-ml-py, which the GPU extra brings

            pynvml.nvmlInit()
            self._nvml = pynvml
        except Exception:  # no package, no driver, no GPU
            pass

    def read(self) -> dict[str, float]:
        """The present values; the CPU's is its mean since the last reading."""
        memory = psutil.virtual_memory()
        found = {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": round(memory.used / 1e6, 1),
            "system/system_memory_usage_percentage": memory.percent,
            "system/process_memory_megabytes": round(psutil.Process().memory_info().rss / 1e6, 1),
        }
        for index in range(self._nvml.nvmlDeviceGetCount() if self._nvml else 0):
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
            found[f"system/gpu_{index}_utilization_percentage"] = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            found[f"system/gpu_{index}_memory_usage_megabytes"] = round(memory.used / 1e6, 1)
            found[f"system/gpu_{index}_memory_usage_percentage"] = round(100 * memory.used / memory.total, 1)
        return found

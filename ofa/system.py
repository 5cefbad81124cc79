"""This process and its machine: who is running, and how busy CPU, memory and GPU are."""

from __future__ import annotations

import os
import socket
from typing import Any

import psutil

BOOT_S = 60.0  # boot times closer than this are one boot: the clock may have been set since


def process_tag() -> str:
    """Names this process among all that run or ran, so that a later start can tell whether it lives."""
    started = psutil.Process().create_time()
    return f"{socket.gethostname()} {psutil.boot_time():.0f} {os.getpid()} {started:.2f}"


def is_dead(tag: str) -> bool:
    """Whether the process a tag names is of this machine, and gone."""
    host, boot, pid, started = tag.split()
    if host != socket.gethostname():
        return False
    if abs(float(boot) - psutil.boot_time()) > BOOT_S:
        return True
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.Error:
        return True


class Meter:
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

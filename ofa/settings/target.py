"""The settings of ``hardware``: the device to run on, and the target whose latency is estimated."""

from __future__ import annotations

from dataclasses import dataclass

from ofa.settings.fields import collected, setting


@dataclass
class EngineProfile:
    """What one inference engine sustains on a target; see :mod:`ofa.hardware` for the estimate made of it."""

    fused: bool = False  # q, k and v in one product; scale, mask, residual and layout merged into neighbours
    dispatch_us: float = 0.0  # host time to issue one operation, while the device works on earlier ones
    efficiency: dict[str, float] = setting({})  # precision -> share of the peak rate sustained
    fitted_rows: dict[str, int] = setting({})  # precision -> published rows fitted; none: assumed


@dataclass
class HardwareConfig:
    """The device to run on (device, devices, threads), and the target whose latency is estimated (the rest)."""

    name: str = collected("???")  # of the target, in the names of figures
    device: str = "auto"  # auto, cpu or gpu; independent of the target described below
    devices: int | None = None  # processes, one per GPU or a share of the cores; null: 1, or a launcher's number
    threads: int | None = None  # CPU threads of each process; null: all cores, divided between processes
    description: str = collected("")  # of the target, in words
    peak_tops: dict[str, float] = collected({})  # precision -> dense peak, TFLOP/s (int8: TOP/s)
    memory_gb_s: float = collected(0.0)  # peak bandwidth of the memory that holds weights and activations, GB/s
    memory_efficiency: float = collected(1.0)  # share of that bandwidth sustained
    launch_us: float = collected(0.0)  # least time of one operation on the device: launch, ramp up and drain
    engines: dict[str, EngineProfile] = collected({})  # tensorrt, paddle, ... -> profile

"""The claims of this study: times fall as MACs do, with some room, and what users have already is slower."""

from __future__ import annotations

from typing import Any

from claiming import claim

ALLOWED = 1.10  # of the share of MACs
SUMS = 0.10  # relative error of a network's latency as the sum of its layers
CHEAPEST = 3.5  # width 1/2 in INT8 over the full network in FP32


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = [
        claim(f"{engine}, width {width}: share of time over share of MACs", "<=", ALLOWED, entry["ratio"])
        for engine, widths in record["engines"].items()
        for width, entry in widths.items()
        if width != "1.0"
    ]
    sums = record.get("layer_sums", {}).get("figures", {})
    found += [claim(f"sums over layers, {name}: worst error", "<=", SUMS, one["worst"]) for name, one in sums.items()]
    return found + _against_pytorch(record.get("against_pytorch", {}).get("ms", {}))


def _against_pytorch(ms: dict[str, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Ratios of times; what is not measured meets no aim."""
    found = []
    for batch in ("b16", "b1"):
        full, half = (ms.get(name, {}).get(batch, {}) for name in ("w1", "w0.5"))
        for engine in ("onnxruntime", "openvino"):
            way = f"{engine}_int8"
            for base in (f"{engine}_fp32", "pytorch_fp32"):
                name = f"{batch}: time of {base} at width 1 over that of {way} at width 1/2"
                found.append(claim(name, ">=", CHEAPEST, _over(full.get(base), half.get(way))))
            for width, of_width in (("1", full), ("1/2", half)):
                name = f"{batch}: time of pytorch_int8 over that of {way}, width {width}"
                found.append(claim(name, ">", 1, _over(of_width.get("pytorch_int8"), of_width.get(way))))
        name = f"{batch}: time of onnxruntime_int8 over that of openvino_int8, width 1"
        found.append(claim(name, ">", 1, _over(full.get("onnxruntime_int8"), full.get("openvino_int8"))))
    return found


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other

"""The claims of this study: how small files of width 1/2 are, and that rows whose tokens stay are answered alike."""

from __future__ import annotations

from typing import Any

from claiming import claim

TASKS = ["cola", "mrpc", "sst2"]
# By deployed file: its share of the original's bytes, and the aim for it.
SHARES = {"model.onnx": ("fp32_share", 0.40), "model.int8.onnx": ("int8_share", 0.12)}


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for task in TASKS:
        part = record["parts"].get(task, {"sizes": {"w0.5": {}}, "rows": {}})
        for file, (key, most) in SHARES.items():
            name = f"{task}: {file} at width 1/2, share of the original's model.onnx"
            found.append(claim(name, "<", most, part["sizes"]["w0.5"].get(key)))
        rows = part["rows"].values()
        compared, differ = (sum(split[key] for split in rows) for key in ("compared", "answered_otherwise"))
        name = f"{task}: rows whose tokens all stay and that are answered otherwise in any bit, of {compared:,}"
        found.append(claim(name, "=", 0, differ if compared else None))
    return found

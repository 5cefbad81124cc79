"""The claims of this study: the time of every width falls as its MACs do, with some room."""

from __future__ import annotations

from typing import Any

from claiming import claim

ALLOWED = 1.10  # of the share of MACs


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        claim(f"{engine}, width {width}: share of time over share of MACs", "<=", ALLOWED, entry["ratio"])
        for engine, widths in record["engines"].items()
        for width, entry in widths.items()
        if width != "1.0"
    ]

"""The claims of this study, of the results.json of the one run it consists of."""

from __future__ import annotations

from typing import Any

from claiming import claim

TEACHER = 0.78  # accuracy on dev
CLOSE = 2  # points


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    teacher = record["teacher"]["score"]
    lost = {entry["width"]: 100 * (teacher - entry["score"]) for entry in record["widths"]}
    found = [claim("accuracy of the teacher on dev", ">=", TEACHER, teacher)]
    return found + [claim(f"width {width:g}: points below its teacher", "<=", CLOSE, lost[width]) for width in lost]

"""The claims of this study: what was asked of the grid's cost, speed and scores, against what its parts show.

Of the scores, DynaBERT's own losses (which start from 12 layers) and one point more; no such claim is met before all
nine jobs were run.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from claiming import claim

WIDTHS, DEPTHS = (1.0, 0.75, 0.5, 0.25), (1.0, 2 / 3, 0.5)
JOBS = 9  # three tasks, three seeds
# Points that DynaBERT (from 12 layers) loses by width at depths 1, .75 and .5: mean of SST-2, QNLI and MNLI-m, and
# SST-2 alone; read off figures/main_results.png of princeton-nlp/CoFiPruning, +- 0.1.
DYNABERT = {
    "mean": {1.0: (0.17, 0.93, 3.17), 0.75: (0.17, 1.33, 3.60), 0.5: (1.33, 2.27, 4.40), 0.25: (3.33, 4.53, 6.53)},
    "sst2": {1.0: (0.5, 0.8, 2.0), 0.75: (0.8, 1.0, 2.3), 0.5: (1.2, 1.2, 2.6), 0.25: (2.8, 2.6, 3.6)},
}
ALLOWED_MORE = 1.0  # points


def dynabert(of: str, width: float, depth: float) -> float:
    """Its loss at any depth from .5 to 1, on the line between its neighbours: 6 layers have no 3/4."""
    full, quarters, half = DYNABERT[of][width]
    if depth >= 0.75:
        return quarters + (full - quarters) * (depth - 0.75) / 0.25
    return half + (quarters - half) * (depth - 0.5) / 0.25


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    parts = record["parts"]
    speedup = parts["estimate"]["w1-d0.5"]["speedup"]
    found = [
        claim("a step over 3 x 3 networks, in steps over 3 widths", "<=", 2.5, parts["step"]["ratio"]),
        claim("T4 estimate, BERT-base, FP16, batch 1: times faster at half depth", ">=", 1.9, speedup),
    ]
    for figure, shares in parts["cpu"]["figures"].items():
        name = f"CPU, random weights, {figure}: share of time at half depth"
        found.append(claim(name, "<=", 0.55, shares["w1-d0.5"]["time_share"]))
    study = parts.get("study", {"jobs": [], "points_lost": {}})
    jobs = len(study["jobs"])
    found.append(claim("jobs of the study", ">=", JOBS, jobs))
    for width, depth in product(WIDTHS, DEPTHS):
        name = f"w{width:.4g}" + (f"-d{depth:.4g}" if depth < 1 else "")
        for of in DYNABERT:
            aim = round(dynabert(of, width, depth) + ALLOWED_MORE, 2)
            got = study["points_lost"].get(name, {}).get(of)
            found.append(claim(f"{name}: points lost at the last step, {of}", "<=", aim, got, jobs >= JOBS))
    return found

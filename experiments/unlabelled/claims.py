"""The claims of this study, for every width: of the model that the aim is for, and of those that were tried."""

from __future__ import annotations

from typing import Any

from claiming import claim

AIMED_AT = "minilm_6x384"  # the model that the aim is for
LABELLED, UNLABELLED = 4_000, 60_000  # rows
WIDTHS, RECOVERED = (0.5, 0.25), 0.8
SEEDS = 3  # before which no share counts as met
NOT_RUN = {"seeds": [], "rows": {"few": {"train": LABELLED}, "more": {"unlabelled": UNLABELLED}}, "recovered": {}}


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    parts = record["parts"]
    found = []
    for model in dict.fromkeys([AIMED_AT, *parts]):
        one = parts.get(model, NOT_RUN)
        seeds = len(one["seeds"])
        found.append(claim(f"{model}: seeds", ">=", SEEDS, seeds))
        few, more = one["rows"]["few"]["train"], one["rows"]["more"]["unlabelled"]
        for width in WIDTHS:
            name = f"{model}, SST-2: share recovered at width {width:g} with {more:,} rows beside {few:,} labelled ones"
            got = one["recovered"].get(f"w{width}")
            said = {"got": "all rows gained nothing"} if model in parts and got is None else {}
            found.append(claim(name, ">=", RECOVERED, got, seeds >= SEEDS) | said)
    return found

"""What was measured on a device, in a run's results: by its own stage, or later by ``ofa time``, here or elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ofa.results.figure import Latency
from ofa.results.record import NetworkResult, Results
from ofa.system.files import read_json, write_whole

UNSTEADY = 1.5  # a 90th percentile this many times the median is of a busy machine
TIMINGS = "timings"  # in a run's folder: what ``ofa.timing`` measured, a file for each device and settings


def with_timings(results: Results, record: Mapping[str, Any]) -> Results:
    """``results`` with the medians that were measured on one device, which replace earlier ones of the same name.

    Where that device was another machine before, all its earlier figures go: every CPU is called ``cpu``, and no one
    machine has taken the times of two.

    Args:
        record: what :func:`ofa.deploy.latency.time_folders` returned.
    """
    before = results.measured_on.get(record["where"])
    if before is not None and not _same_machine(before, record):
        results = _without(results, record["where"])
    unnamed = results.unnamed_engine
    timings = [(row["network"], _measured(record, row), row) for row in record["timings"]]
    steady: dict[str, bool] = {}
    for _, latency, row in timings:
        calm, name = row["p90_ms"] <= UNSTEADY * row["median_ms"], latency.name(unnamed)
        steady[name] = calm and steady.get(name, True)

    def timed(network: NetworkResult) -> NetworkResult:
        found = {latency.name(unnamed): latency for latency in network.latencies if latency.kind == "measured"}
        found |= {latency.name(unnamed): latency for name, latency, _ in timings if name == network.name}
        estimated = [latency for latency in network.latencies if latency.kind == "estimated"]
        return replace(network, latencies=(*found.values(), *estimated))

    about = {key: record[key] for key in ("device", "threads", "machine", "versions")}
    about["times"] = sorted({*(before or {}).get("times", ()), when(record)})
    tokenized = results.measured_on.get(record["where"], {}).get("tokenizer_ms", {})
    if tokenizing := {**tokenized, **record.get("tokenizer_ms", {})}:  # records of earlier versions have none
        about["tokenizer_ms"] = tokenizing
    unsteady = {name for name in results.unsteady if name not in steady} | {n for n, calm in steady.items() if not calm}
    return replace(
        results,
        networks=tuple(map(timed, results.networks)),
        reference=timed(results.reference) if results.reference else None,
        measured_on={**results.measured_on, record["where"]: about},
        unsteady=tuple(sorted(unsteady)),
    )


def _same_machine(before: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether figures of both may stand beside each other: of one kind of GPU, or of one CPU with as many threads."""
    if record["device"] != "cpu":
        return before["machine"].get("gpu") == record["machine"].get("gpu")
    return (before["machine"], before["threads"]) == (record["machine"], record["threads"])


def _without(results: Results, where: str) -> Results:
    """``results`` without what was measured on the device ``where``."""

    def other(latency: Latency) -> bool:
        return latency.kind != "measured" or latency.where != where

    def kept(network: NetworkResult) -> NetworkResult:
        return replace(network, latencies=tuple(filter(other, network.latencies)))

    gone = {name for name, latency in results.figures.items() if not other(latency)}
    return replace(
        results,
        networks=tuple(map(kept, results.networks)),
        reference=kept(results.reference) if results.reference else None,
        measured_on={name: about for name, about in results.measured_on.items() if name != where},
        unsteady=tuple(name for name in results.unsteady if name not in gone),
    )


def _measured(record: Mapping[str, Any], row: Mapping[str, Any]) -> Latency:
    setting = (row["engine"], row["precision"], row["batch_size"], row["seq_length"])
    return Latency(record["where"], *setting, "measured", row["median_ms"])


def kept_timings(run_folder: Path) -> list[dict[str, Any]]:
    """What ``ofa.timing`` has measured of a run, the oldest first."""
    return sorted(map(read_json, (run_folder / TIMINGS).glob("*.json")), key=when)


def when(record: Mapping[str, Any]) -> float:
    """Seconds since the epoch; 0 of a record of the stage from before it had them, which goes before all others."""
    return record.get("time", 0.0)


def has_timings(results: Results, run_folder: Path) -> bool:
    """Whether ``results`` hold all that lies in the run's folder: a file may have been copied there from elsewhere."""
    merged = {where: about.get("times", ()) for where, about in results.measured_on.items()}
    return all(when(record) in merged.get(record["where"], ()) for record in kept_timings(run_folder))


def keep_timings(run_folder: Path, record: dict[str, Any]) -> None:
    """Keep what was timed beside the results, so that it is there whenever these are collected anew."""
    settings = [[row[key] for key in ("engine", "precision", "batch_size", "seq_length")] for row in record["timings"]]
    digest = hashlib.sha256(json.dumps([record["machine"], settings]).encode()).hexdigest()[:8]
    (run_folder / TIMINGS).mkdir(exist_ok=True)
    content = json.dumps(record, indent=1) + "\n"
    write_whole(run_folder / TIMINGS / f"{record['where']}-{digest}.json", content)

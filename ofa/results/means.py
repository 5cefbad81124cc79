"""What to take of several jobs that differ in their seed alone: the rule of one run, on the means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from ofa.results import advice
from ofa.results.record import NetworkResult, Results, Scored


def to_take(jobs: Sequence[Results]) -> dict[str, Any]:
    """The recommendation for the mean of ``jobs``.

    Returns:
        ``words``; ``name`` and ``label`` of the network and its ``speedup`` (:func:`ofa.results.advice.speedup`): None
        where there is none; ``run``, the folder of the
        job whose network of that name scores best; ``folder``, the network's, from that of all runs: None where the
        jobs exported nothing.
    """
    averaged = mean_of(jobs)
    tolerance = next((job.recommended.tolerance for job in jobs if job.recommended), 0.0)
    advised = advice.recommend(averaged, tolerance)
    chosen = averaged.network(advised.name)
    if chosen is None:
        words = _unlearned(jobs) or advised.words
        return {"words": words, "name": None, "label": None, "speedup": None, "run": None, "folder": None}
    best = max(jobs, key=lambda job: next(one.score for one in job.networks if one.name == chosen.name))
    return {
        "words": advised.words + " Each seed's search found another network of that name." * _differ(jobs, chosen.name),
        "name": chosen.name,
        "label": chosen.label,
        "speedup": advice.speedup(averaged, advised),
        "run": best.run,
        "folder": f"{best.run}/{chosen.name}" if best.export else None,
    }


def _differ(jobs: Sequence[Results], name: str) -> bool:
    """Whether the searches of ``jobs`` gave one name to networks that differ in any layer."""
    found = [entry["subnet"] for job in jobs for entry in (job.search or {}).get("front", ()) if entry["name"] == name]
    return any(subnet != found[0] for subnet in found)


def _unlearned(jobs: Sequence[Results]) -> str:
    """Whose teachers are no better than a constant answer, with their own scores: the mean's may look well."""
    found = {job.seed: job.teacher.score for job in jobs if job.teacher and not job.learned}
    if not found:
        return ""
    who = "the teachers of seeds" if len(found) > 1 else "the teacher of seed"
    seeds, scores = ", ".join(map(str, found)), ", ".join(f"{score:.4f}" for score in found.values())
    verb = "are" if len(found) > 1 else "is"
    return f"Nothing to recommend: {who} {seeds} ({scores}) {verb} no better than always giving the same answer."


def mean_of(jobs: Sequence[Results]) -> Results:
    """One job's results with the means of scores and latencies; networks and figures that all of ``jobs`` have."""
    first = jobs[0]
    of_jobs = [[one for job in jobs if (one := job.network(network.name))] for network in first.networks]
    references = [job.reference for job in jobs if job.reference]
    return replace(
        first,
        learned=all(job.learned for job in jobs),
        teacher=_scored([job.teacher for job in jobs if job.teacher]),
        networks=tuple(_mean(found, jobs) for found in of_jobs if len(found) == len(jobs)),
        reference=_mean(references, jobs) if len(references) == len(jobs) else None,
    )


def _scored(found: Sequence[Scored]) -> Scored:
    return replace(found[0], score=mean(one.score for one in found))


def _mean(found: Sequence[NetworkResult], jobs: Sequence[Results]) -> NetworkResult:
    """The mean of one network over the jobs; an interval is of one job's rows, and is left out."""
    times = [
        {one.name(job.unnamed_engine): one.ms for one in network.latencies}
        for network, job in zip(found, jobs, strict=True)
    ]
    latencies = [(latency, latency.name(jobs[0].unnamed_engine)) for latency in found[0].latencies]
    files = [{one.what: one for one in network.reduced} for network in found]
    shared = [what for what in files[0] if all(what in of_job for of_job in files)]
    lacking = {what for of_job in files for what in of_job} - {*shared}  # of the mean there is no such file
    sizes = [one.bytes for one in found if one.bytes is not None]
    return replace(
        found[0],
        score=mean(network.score for network in found),
        params=round(mean(network.params for network in found)),
        macs=round(mean(network.macs for network in found)),
        bytes=round(mean(sizes)) if len(sizes) == len(found) else None,
        lost=None,
        latencies=tuple(
            replace(latency, ms=mean(of_job[name] for of_job in times))
            for latency, name in latencies
            if all(name in of_job for of_job in times)
        ),
        reduced=tuple(replace(files[0][what], score=mean(of_job[what].score for of_job in files)) for what in shared),
        parity=tuple(
            parity
            for network in found
            for parity in network.parity
            if (parity["engine"], parity["precision"]) not in lacking
        ),
    )

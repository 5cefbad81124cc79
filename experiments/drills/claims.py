"""The claims of the drills: nothing is lost, nothing is doubled, and the results are those of an undisturbed job."""

from __future__ import annotations

from typing import Any

from claiming import claim

AMISS = ("lost", "doubled", "not_finished")


def claims(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for drill, of_drill in record.items():
        found += [claim(f"{drill}: {name}", "=", aim, got) for name, aim, got in CHECKS[drill](of_drill)]
    return found


Checks = list[tuple[str, int, int]]


def _kill(found: dict[str, Any]) -> Checks:
    return [
        ("runs with the same results to the byte", found["runs"], found["identical"]),
        ("runs sound in MLflow", found["runs"], found["tracked_once"]),
    ]


def _kill_quantize(found: dict[str, Any]) -> Checks:
    return [("runs with the same deployed files to the byte", found["runs"], found["identical"])]


def _disk_full(found: dict[str, Any]) -> Checks:
    parts = [part for part in found.values() if isinstance(part, dict)]
    whole = sum(part["whole"] == part["checkpoints"] and not part["traceback"] for part in parts)
    return [
        ("fillings that end with the same results", len(parts), sum(part["identical"] for part in parts)),
        ("fillings with every checkpoint whole and no traceback", len(parts), whole),
        ("lost, doubled or not finished in MLflow", 0, sum(map(_amiss, parts))),
    ]


def _tracking_server_down(found: dict[str, Any]) -> Checks:
    jobs = [found["comes_back"], found["stays_away"]]
    return [
        ("jobs that finished", len(jobs), sum(job["exit_status"] == 0 for job in jobs)),
        ("same results as without tracking (1: yes)", 1, int(found["same_results_as_without_tracking"])),
        ("lost, doubled or not finished in MLflow", 0, sum(map(_amiss, jobs))),
    ]


def _eight_jobs_one_store(found: dict[str, Any]) -> Checks:
    finished = sum(status == 0 for status in found["exit_statuses"])
    return [
        ("jobs that finished", found["jobs"], finished),
        ("lost, doubled or not finished in MLflow", 0, _amiss(found)),
        ("a sound database (1: yes)", 1, int(found["database_sound"])),
    ]


def _damage(found: dict[str, Any]) -> Checks:
    kinds = [*found["store"].values(), *found["checkpoints"].values()]
    return [("kinds of damage that were said and made good", len(kinds), sum(kinds))]


def _same_seed(found: dict[str, Any]) -> Checks:
    same = {key: value for key, value in found.items() if key.startswith("identical_with_")}
    return [("numbers of threads with the same bits twice", len(same), sum(same.values()))]


def _amiss(found: dict[str, Any]) -> int:
    return sum(found[key] for key in AMISS)


CHECKS = {
    "kill": _kill,
    "kill_quantize": _kill_quantize,
    "disk_full": _disk_full,
    "tracking_server_down": _tracking_server_down,
    "eight_jobs_one_store": _eight_jobs_one_store,
    "damage": _damage,
    "same_seed": _same_seed,
}

"""What to take of jobs that differ in their seed: the rule of one run, on the means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.results import results, timed

from ofa.results.means import mean_of, to_take
from ofa.results.record import Results
from ofa.results.reduced import Reduced


def seed(number: int, half: float, times: tuple[float, float] = (4.0, 2.0), **more) -> Results:
    found = results("sst2", number, {1.0: 0.93, 0.5: half}, run=f"r{number}", target="t4", **more)
    return timed(found, list(times), engine="tensorrt", evidence="fitted on 4 rows")


def test_the_mean_decides_and_not_one_lucky_seed() -> None:
    """Width 1/2 loses 0.2 points at one seed, and 0.9 in the mean of both."""
    lucky, other = seed(1, 0.928), seed(2, 0.914)
    assert to_take([lucky])["name"] == "w0.5"
    found = to_take([lucky, other])
    assert found["name"] == "w1" and found["run"] == "r1" and found["speedup"] == 1.0
    assert "width 1" in found["words"]


def test_the_best_seed_of_the_chosen_network_is_named() -> None:
    found = to_take([seed(1, 0.926), seed(2, 0.930), seed(3, 0.928)])
    assert (found["name"], found["run"], found["label"], found["speedup"]) == ("w0.5", "r2", "width 0.5", 2.0)
    assert "2.00x the full network's speed (estimated for t4, fitted on 4 rows); loses 0.20 points" in found["words"]


def test_a_search_that_finds_another_network_at_each_seed_is_said_and_its_sizes_are_means() -> None:
    """Whichever seed comes first."""
    fronts = [[{"name": "w0.5", "subnet": {"heads": [4], "layers": [kept]}}] for kept in (0, 1)]
    search = {"limits": {}, "figure": None}
    jobs = [seed(number, 0.93, search={**search, "front": front}) for number, front in enumerate(fronts, 1)]
    other = replace(jobs[1].networks[1], params=30_000_000)
    jobs[1] = replace(jobs[1], networks=(jobs[1].networks[0], other))
    for both in (jobs, jobs[::-1]):
        words = to_take(both)["words"]
        assert "60% fewer parameters" in words and words.endswith(
            "Each seed's search found another network of that name."
        )
    same = replace(jobs[1], search=jobs[0].search)
    assert "Each seed" not in to_take([jobs[0], same])["words"]


def test_a_folder_is_named_where_the_jobs_exported_one() -> None:
    """Of ``stages=[evaluate]`` there are scores, and nothing to deploy."""
    assert to_take([seed(1, 0.93)])["folder"] is None
    assert to_take([seed(1, 0.93, export="export-1")])["folder"] == "r1/w0.5"
    assert to_take([seed(1, 0.5, teacher=0.99)])["folder"] is None


def test_figures_that_one_job_lacks_are_left_out() -> None:
    first = timed(seed(1, 0.93), [9.0, 1.0], "measured", where="cpu")
    averaged = mean_of([first, seed(2, 0.93, (6.0, 4.0))])
    assert [(one.where, one.ms) for one in averaged.networks[1].latencies] == [("t4", pytest.approx(3.0))]


def in_int8(found: Results, drifts: dict[str, float]) -> Results:
    """``found`` timed on a CPU in FP32 and, of the networks whose score drifts so far in INT8, in that."""
    way = {"where": "cpu", "engine": "onnxruntime"}
    found = timed(replace(found, target="cpu"), [9.0, 5.0], "measured", **way)
    times = timed(found, [4.0, 2.0], "measured", precision="int8", **way).networks
    networks = list(found.networks)
    for place, one in enumerate(times):
        if one.name in drifts:
            parity = {"engine": way["engine"], "precision": "int8", "score_drift": drifts[one.name]}
            small = Reduced("onnxruntime", "int8", one.score, {}, 0.1, 9, (), parity)
            networks[place] = replace(one, parity=(parity,), reduced=(small,))
    return replace(found, networks=tuple(networks))


def test_an_int8_file_that_one_seed_lacks_says_nothing_of_the_other_networks_files() -> None:
    """Whatever the score of the file drifts by at the seeds that have it: of the mean, there is no such file."""
    jobs = [in_int8(seed(1, 0.929), {"w1": 0.8, "w0.5": 0.1}), in_int8(seed(2, 0.929), {"w0.5": 0.1})]
    found = to_take(jobs)
    assert "width 0.5 with ONNX Runtime int8" in found["words"]
    assert "4.50x the full network's speed" in found["words"] and found["speedup"] == 4.5, "FP32 is all that it has"


def test_a_teacher_that_learned_nothing_at_one_seed_is_not_recommended() -> None:
    """Its own score is named: the mean of all seeds may well be better than a constant answer."""
    lost = [replace(seed(number, 0.5, teacher=0.5), learned=False) for number in (2, 3)]
    found = to_take([seed(1, 0.93), lost[0]])
    assert found["name"] is None and found["run"] is None
    same = "no better than always giving the same answer."
    assert found["words"] == f"Nothing to recommend: the teacher of seed 2 (0.5000) is {same}"
    words = to_take([seed(1, 0.93), *lost])["words"]
    assert words == f"Nothing to recommend: the teachers of seeds 2, 3 (0.5000, 0.5000) are {same}"

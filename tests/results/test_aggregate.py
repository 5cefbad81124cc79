"""Many runs as one table: what is averaged, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.results import results

from ofa.results import aggregate
from ofa.results.report import table


def test_jobs_that_differ_in_more_than_the_seed_are_not_averaged() -> None:
    jobs = [
        ["task=cola", f"trainer.seed={seed}", f"ofa.tolerance={x}", "debug=true"] for seed in (1, 2) for x in (1, 2)
    ]
    names = aggregate.variants([(job, "cola") for job in jobs], ["debug=true"])
    assert names == ["ofa.tolerance=1", "ofa.tolerance=2"] * 2
    rows = aggregate.summarise([(v, results("cola", 1, {1.0: 0.5})) for v in names])["rows"]
    assert [(row["variant"], len(row["seeds"])) for row in rows] == [("ofa.tolerance=1", 2), ("ofa.tolerance=2", 2)]


def test_two_tasks_of_one_name_are_two_rows() -> None:
    """A file under conf/task/ that was copied from custom.yaml, and whose ``name`` is still custom."""
    jobs = [(["task=mails", "debug=true"], "custom"), (["task=tickets", "debug=true"], "custom"), (["task=rte"], "rte")]
    assert aggregate.variants(jobs, []) == ["task=mails debug=true", "task=tickets debug=true", ""]
    assert aggregate.variants(jobs[:2], ["debug=true"]) == ["task=mails", "task=tickets"]


def test_long_numbers_of_a_search_are_short_in_the_table_and_still_apart() -> None:
    rates = [f"trainer.finetune.learning_rate=2.36886395036407{digit}e-05" for digit in (1, 2)]
    found = aggregate.summarise([(rate, results("sst2", 1, {1.0: 0.8})) for rate in rates])
    assert [row[1] for row in aggregate.table(found)[1:]] == ["trainer.finetune.learning_rate=2.369e-05"] * 2


def test_mean_deviation_and_average_by_hand() -> None:
    jobs = [
        ("", results("sst2", 1, {1.0: 0.80, 0.5: 0.70})),
        ("", results("sst2", 2, {1.0: 0.84, 0.5: 0.72})),
        ("", results("rte", 1, {1.0: 0.60, 0.5: 0.50})),
        ("", results("rte", 2, {1.0: 0.50, 0.5: 0.52})),
        ("", results("rte", 3, {1.0: 0.58, 0.5: 0.54})),  # the third seed of SST-2 failed
    ]
    found = aggregate.summarise(jobs)
    sst2, rte = found["rows"]
    assert sst2["seeds"] == [1, 2] and sst2["scores"]["w1"] == pytest.approx({"mean": 0.82, "std": 0.0282843}, abs=1e-6)
    assert sst2["metrics"]["f1"]["w1"]["mean"] == pytest.approx(0.72)
    (average,) = found["averages"]
    assert average["tasks"] == ["sst2", "rte"]
    assert average["scores"]["w1"]["mean"] == pytest.approx((0.82 + 0.56) / 2)
    assert average["scores"]["w1"]["std"] == pytest.approx(0.0212132, abs=1e-6)  # of 0.70 and 0.67, seeds 1 and 2
    rows = aggregate.table(found)
    assert rows[0] == ["task", "metric", "seeds", "teacher", "width 1", "width 0.5"]
    assert rows[1] == ["sst2", "accuracy", "2", "0.9300 ± 0.0000", "0.8200 ± 0.0283", "0.7100 ± 0.0141"]
    assert rows[-1][:3] == ["average", "2 tasks", ""]


def test_one_seed_has_no_deviation_and_one_task_no_average() -> None:
    found = aggregate.summarise([("", results("sst2", 1, {1.0: 0.8}))])
    assert found["averages"] == [] and aggregate.table(found)[1][-1] == "0.8000"


def test_equal_alarms_are_one_line_with_the_variants_and_seeds_that_they_are_of() -> None:
    jobs = [(name, results("rte", seed, alarms=["odd"])) for name in ("", "ofa.widths=[1,0.5]") for seed in (1, 2, 2)]
    assert aggregate.merged(jobs) == ["rte, seeds 1, 2; rte ofa.widths=[1,0.5], seeds 1, 2: odd"]


def test_a_job_that_is_given_twice_is_no_second_seed() -> None:
    """``trainer.seed=1,2,2``, or a trial that a search draws again: one run, whose score is no sample of its own."""
    jobs = [("", results("sst2", seed, {1.0: 0.8 + seed / 100}, run=f"sst2-s{seed}")) for seed in (1, 2, 2)]
    (row,) = aggregate.summarise(jobs)["rows"]
    assert row["seeds"] == [1, 2]
    assert row["scores"]["w1"] == pytest.approx({"mean": 0.815, "std": 0.00707107})


def test_scores_on_test_rows_have_a_table_of_their_own() -> None:
    jobs = []
    for seed, tested in ((1, 0.7), (2, 0.8)):
        found = results("rte", seed, {1.0: 0.6})
        (network,) = (replace(one, test={"accuracy": tested, "f1": 0.1}) for one in found.networks)
        teacher = replace(found.teacher, test={"accuracy": 0.9, "f1": 0.1})
        jobs.append(("", replace(found, teacher=teacher, networks=(network,))))
    found = aggregate.summarise([*jobs, ("", results("cola", 1, {1.0: 0.5}))])
    assert found["rows"][0]["test"]["w1"] == pytest.approx({"mean": 0.75, "std": 0.0707107}, abs=1e-6)
    assert found["rows"][1]["test"] == {}
    assert aggregate.tested_table(found)[1:] == [["rte", "accuracy", "2", "0.9000 ± 0.0000", "0.7500 ± 0.0707"]]
    assert "The same on the test rows" in aggregate.text("all", found, [], [])


def test_test_rows_of_a_task_with_several_dev_splits_have_their_own_names_of_metrics() -> None:
    """MNLI's score is ``dev_matched/accuracy``; of its one test split it is ``accuracy``."""
    found = results("mnli", 1, {1.0: 0.8})
    splits = {"metrics": {"dev_matched/accuracy": 0.8, "dev_mismatched/accuracy": 0.7}, "test": {"accuracy": 0.75}}
    (network,) = (replace(one, **splits) for one in found.networks)
    found = replace(found, teacher=replace(found.teacher, **splits), networks=(network,))
    (row,) = aggregate.summarise([("", found)])["rows"]
    assert row["test"]["w1"] == {"mean": 0.75, "std": None}
    (header, teacher, own) = table(found)
    column = header.index("test accuracy")
    assert teacher[column] == own[column] == "0.7500"

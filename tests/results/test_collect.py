"""The files of a run's results."""

import json
from dataclasses import replace

from helpers.results import results, timed

from ofa.results import advice, collect


def test_a_start_that_scores_nothing_leaves_what_an_earlier_one_scored(tmp_path):
    found = timed(results(), [4.0, 3.0, 2.0])
    found = replace(found, recommended=advice.recommend(found, 0.5))
    unscored = replace(found, teacher=None, networks=())
    assert [path.name for path in collect.write(tmp_path, unscored)] == ["results.json"]
    files = collect.write(tmp_path, found)
    before = {path.name: path.read_bytes() for path in files}
    assert collect.write(tmp_path, unscored) == files
    assert {path.name: path.read_bytes() for path in files} == before and len(before) == 4
    assert json.loads(before["results.json"])["recommended"]["name"] == "w0.75"

"""Results as types, and as the text of results.json."""

import json

import pytest
from helpers.results import network, results, timed

from ofa.results.figure import Latency
from ofa.results.record import Results


def test_results_survive_their_text():
    found = timed(timed(results(), [4.0, 3.0, 2.0]), [9.0, 8.0, 7.0], "measured", where="cpu", engine="onnxruntime")
    found = Results(**{**vars(found), "networks": (*found.networks, network(0.75, 0.9, depth=0.5, bytes=7))})
    assert Results.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_results_of_a_run_that_scored_nothing():
    found = Results("sst2", "toy", 1, "a-run")
    assert found.to_json() == {"run": "a-run", "task": "sst2", "model": "toy", "seed": 1}
    assert Results.from_json(found.to_json()) == found


def test_results_from_before_networks_had_names():
    old = results().to_json()
    del old["unnamed_engine"], old["recommended"]["name"]
    for entry in old["widths"]:
        del entry["name"], entry["depth"]
    found = Results.from_json(old)
    assert [one.name for one in found.networks] == ["w1", "w0.75", "w0.5"]
    assert found.recommended is not None and found.recommended.name == "w1"


def test_a_figure_that_only_some_networks_have_makes_no_speed_up_elsewhere():
    found = timed(results(), [4.0, 3.0, 2.0])
    (first, *rest) = found.networks
    alone = Latency("cpu", "paddle", "int8", 1, 128, "measured", 1.0)
    rest[0] = network(0.75, 0.9, latencies=(*rest[0].latencies, alone))
    found = Results(**{**vars(found), "networks": (first, *rest)})
    assert list(found.speedups(rest[0])) == ["t4_fp32_b16_s128_estimated"]
    assert found.ms(rest[0], "cpu_int8_b1_s128_measured") == pytest.approx(1.0)


def test_what_an_estimate_rests_on_is_kept_where_the_full_network_has_no_such_graph():
    found = timed(results(), [4.0, 3.0, 2.0], evidence="fitted on 12 rows")
    (first, *rest) = found.networks
    small = Latency("t4", "tensorrt", "int8", 16, 128, "estimated", 1.0, "fitted on 3 rows")
    rest[0] = network(0.75, 0.926, latencies=(*rest[0].latencies, small))
    found = Results(**{**vars(found), "networks": (first, *rest)})
    again = Results.from_json(json.loads(json.dumps(found.to_json())))
    assert again.networks == found.networks

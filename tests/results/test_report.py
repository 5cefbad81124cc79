"""What the user reads: the table, the figure and the report."""

from dataclasses import replace

import pytest
from helpers.results import network, results, timed

from ofa.results import report


def test_the_table_has_a_row_for_the_teacher_and_each_network():
    rows = report.table(results())
    assert rows[0] == ["network", "heads", "neurons", "params", "MACs", "accuracy", "f1", "vs teacher"]
    assert rows[2][0] == "★ width 1", "recommended"
    assert rows[1] == ["teacher", "", "", "100M", "1k", "0.9300", "0.8300", ""]
    assert rows[3] == ["width 0.75", "9", "2304", "75M", "750", "0.9260", "0.8260", "-0.40"]
    lines = report.markdown(rows).splitlines()
    assert len({len(line) for line in lines}) == 1, "aligned"


def test_scores_on_test_rows_have_a_column_and_say_how_many_rows_they_are_of():
    found = results()
    of_test = [{"accuracy": score, "f1": 0.1} for score in (0.91, 0.9, 0.89)]
    networks = tuple(replace(one, test=test) for one, test in zip(found.networks, of_test, strict=True))
    teacher = replace(found.teacher, test={"accuracy": 0.92, "f1": 0.1})
    rows = {"train": {"used": 900, "left_out": 0}, "test": {"used": 1821, "left_out": 0}}
    found = replace(found, teacher=teacher, networks=networks, rows=rows)
    table = report.table(found)
    assert table[0][5:] == ["accuracy", "f1", "test accuracy", "vs teacher"]
    assert [row[7] for row in table[1:]] == ["0.9200", "0.9100", "0.9000", "0.8900"]
    assert "Test: the score on 1,821 rows that decide nothing." in report.legend(found)
    assert not any(line.startswith("Test:") for line in report.legend(results()))


def test_sizes_and_latencies_have_columns():
    found = timed(timed(results(target="t4"), [4.0, 3.0, 2.0]), [40.0, 30.0, 25.0], "measured", where="cpu")
    found = replace(found, networks=tuple(replace(one, bytes=one.params * 4) for one in found.networks))
    rows = report.table(found)
    assert rows[0][5] == "size" and rows[0][-4:] == ["ms t4 est.", "speed-up", "ms cpu", "speed-up"]
    assert rows[4][5] == "200MB" and rows[4][-4:] == ["2.00", "2.00x", "25.00", "1.60x"]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_every_latency_has_a_row_that_says_what_it_rests_on():
    found = timed(results(target="t4"), [4.0, 3.0, 2.0], engine="tensorrt", evidence="fitted on 4 rows")
    found = timed(found, [40.0, 30.0, 25.0], "measured", where="cpu", batch_size=1)
    rows = report.latencies(found)
    assert rows[0] == ["figure", "engine", "width 1", "width 0.75", "width 0.5", "rests on"]
    name = "t4_tensorrt_fp32_b16_s128_estimated"
    assert rows[1] == [name, "tensorrt", "4.00", "3.00", "2.00", "estimated for t4, fitted on 4 rows"]
    assert rows[2][0] == "cpu_fp32_b1_s128_measured" and rows[2][-1] == "measured on cpu"
    assert name in report.text(found)


def test_the_teacher_has_the_size_and_the_times_that_speed_ups_are_against():
    """Where no network of the job is the full one."""
    found = timed(results(scores={0.75: 0.926, 0.5: 0.91}, target="t4"), [3.0, 2.0])
    teacher = network(1.0, 0.93, name="teacher", bytes=400_000_000)
    teacher = replace(teacher, latencies=(replace(found.networks[0].latencies[0], ms=4.0),))
    networks = tuple(replace(one, bytes=200_000_000) for one in found.networks)
    found = replace(found, reference=teacher, networks=networks)
    header, first, *rows = report.table(found)
    assert first[header.index("size")] == "400MB" and first[-2:] == ["4.00", "1.00x"]
    assert rows[1][-2:] == ["2.00", "2.00x"] and len(first) == len(header)
    assert report.latencies(found)[0][2:4] == ["teacher", "width 0.75"]
    assert report.latencies(found)[1][2:5] == ["4.00", "3.00", "2.00"]


def test_a_latency_that_the_full_network_lacks_has_a_row_too():
    """As of INT8 files, where the full network's lost too much and smaller ones are offered."""
    found = timed(results(), [4.0, 3.0, 2.0])
    small = replace(found.networks[0].latencies[0], precision="int8", ms=1.5)
    networks = [replace(one, latencies=(*one.latencies, small)) for one in found.networks[1:]]
    rows = report.latencies(replace(found, networks=(found.networks[0], *networks)))
    assert rows[-1][:5] == ["t4_int8_b16_s128_estimated", "paddle", "", "1.50", "1.50"] and len(rows) == 3


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (999, "999"),
        (4_733_570, "4.73M"),
        (11_174_000_000, "11.2G"),
        (1500, "1.5k"),
        (999_500, "1M"),
        (999_999_999, "1G"),
    ],
)
def test_counts_for_people(count, text):
    assert report.human(count) == text


def test_the_figure_that_is_advised_has_a_column_where_no_headline_is_of_it():
    found = timed(results(target="cpu"), [4.0, 3.0, 2.0], "measured", where="cpu")
    found = timed(found, [9.0, 8.0, 1.0], "measured", where="cpu", precision="int8", batch_size=1)
    assert report.table(found)[0][-2:] == ["ms cpu", "speed-up"]
    found = replace(found, recommended=replace(found.recommended, name="w0.5", figure="cpu_int8_b1_s128_measured"))
    assert [row[-1] for row in report.table(found)] == ["★ ms cpu", "", "9.00", "8.00", "1.00"]
    assert any(line.startswith("★ ms cpu, as the recommended network is to run: ") for line in report.legend(found))
    found = replace(found, recommended=replace(found.recommended, figure="cpu_fp32_b16_s128_measured"))
    assert report.table(found)[0][-2:] == ["ms cpu", "speed-up"]

"""A run's folder leads to its deployable networks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import network, results

from ofa.results.links import link_networks, link_recommended
from ofa.results.record import Recommendation


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    run, export = tmp_path / "runs" / "a", tmp_path / "store" / "export-1"
    run.mkdir(parents=True)
    for name in ("w1", "w0.75", "w0.5"):
        (export / name).mkdir(parents=True)
        (export / name / "model.onnx").write_text(name)
    return run, export


def test_links_are_relative_and_follow_the_recommendation(places, tmp_path):
    run, export = places
    found = results()
    link_networks(run, export, found)
    assert (run / "w0.5" / "model.onnx").read_text() == "w0.5"
    assert (run / "recommended" / "model.onnx").read_text() == "w1"
    assert not os.path.isabs(os.readlink(run / "w0.5"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("runs", "store"):
        (tmp_path / name).rename(moved / name)
    assert (moved / "runs" / "a" / "recommended" / "model.onnx").read_text() == "w1"
    link_networks(
        moved / "runs" / "a", moved / "store" / "export-1", replace(found, recommended=Recommendation("", 0.5))
    )
    assert not (moved / "runs" / "a" / "recommended").exists()


def test_the_teacher_is_among_them_where_it_is_exported(places):
    run, export = places
    (export / "teacher").mkdir()
    found = replace(results(), reference=network(1.0, 0.93, name="teacher"))
    link_networks(run, export, found)
    assert (run / "teacher").resolve() == export / "teacher" and found.network("teacher") == found.reference


def test_copies_where_links_fail(places, monkeypatch):
    run, export = places
    monkeypatch.setattr(Path, "symlink_to", lambda *_, **__: (_ for _ in ()).throw(OSError("no links here")))
    for _ in range(2):  # the second time over the first's copies
        link_networks(run, export, results())
        assert (run / "recommended" / "model.onnx").read_text() == "w1" and not (run / "w1").is_symlink()


def test_results_of_a_job_that_exports_nothing_move_the_recommendation(places):
    run, export = places
    link_recommended(run, results())
    assert not (run / "recommended").exists(), "nothing was exported"
    link_networks(run, export, results())
    link_recommended(run, replace(results(), recommended=Recommendation("", 0.5, "w0.5")))
    assert (run / "recommended").resolve() == export / "w0.5"
    link_recommended(run, replace(results(), recommended=Recommendation("", 0.5, "w0.25")))
    assert not (run / "recommended").is_symlink(), "which was not exported"

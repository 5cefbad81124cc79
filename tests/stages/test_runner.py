"""What a stage is made of: when it is made again, and from which checkpoints it goes on."""

import hashlib
import json
from dataclasses import replace

import pytest
from helpers.jobs import config_path, made, stages_of

from ofa.errors import Interrupted
from ofa.jobs import job
from ofa.jobs.job import run_job
from ofa.stages import runner
from ofa.stages.context import StageContext
from ofa.stages.inputs import load_inputs
from ofa.stages.runner import run_stages
from ofa.store import Store
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job


def test_force_runs_a_stage_again(config):
    run_job(config, "")
    before = made(config)
    run_job(replace(config, force=["distill"]), "")
    after = made(config)
    assert set(after) == set(before)
    assert stages_of(name for name in after if after[name] != before[name]) == ["distill"]


def test_what_was_made_from_another_content_is_made_again(config, tmp_path):
    """As after a forced search that found other networks, by this job or another one of the same store."""
    run_job(config, "")
    before = made(config)
    (folder,) = (config_path(config) / "store").glob("reorder-*")
    record = json.loads((folder / "stage.json").read_text())
    order = folder / "importance.npz"
    order.write_bytes(order.read_bytes() + b"other")
    record["files"][order.name] = {
        "size": order.stat().st_size,
        "sha256": hashlib.sha256(order.read_bytes()).hexdigest(),
    }
    (folder / "stage.json").write_text(json.dumps(record))
    run_job(replace(config, ofa=replace(config.ofa, tolerance=3.0)), "")
    after = made(config)
    assert set(after) == set(before)
    assert "distill" in stages_of(name for name in after if after[name] != before[name])
    again = made(config)
    run_job(replace(config, ofa=replace(config.ofa, tolerance=4.0)), "")
    assert made(config) == again


def test_checkpoints_of_another_content_are_not_gone_on_from(config, monkeypatch):
    run_job(config, "")
    (folder,) = (config_path(config) / "store").glob("distill-*")
    part = folder.with_name(f"{folder.name}.part")
    context = StageContext(config, None, {"finetune": next(folder.parent.glob("finetune-*"))}, None, None, None, None)
    for content, kept in (("same", True), ("other", False)):
        context.folder, context.work = part / "result", part / "work"
        monkeypatch.setattr(Store, "content", lambda folder, content=content: content)
        if content == "same":
            runner._make_room(part, context, folder)
            (part / "work" / "step-00000001").mkdir()
        runner._make_room(part, context, folder)
        assert (part / "work" / "step-00000001").exists() == kept


def test_all_ranks_wait_until_a_stage_is_where_finished_work_is(config, monkeypatch):
    """What reads its folder next would fail on a rank that is ahead."""
    order = []
    complete = runner._complete
    monkeypatch.setattr(runner, "_complete", lambda *given: (complete(*given), order.append("complete")))
    monkeypatch.setattr(runner.ranks, "barrier", lambda: order.append("wait"))
    run_job(replace(config, stages=["finetune"]), "")
    assert order[-2:] == ["complete", "wait"]


def test_a_forced_stage_that_was_stopped_goes_on_and_once_made_is_made_anew(config):
    loop = replace(config.trainer.distill, max_steps=20, save_steps=1)
    config = replace(config, stages=["distill"], trainer=replace(config.trainer, distill=loop))

    def run(config, asked=1000):
        times = iter(range(asked))
        store = Store(config_path(config) / "store")
        return run_stages(config, load_inputs(config), NullMonitor(), store, lambda: next(times, None) is None)

    def stopped():
        with pytest.raises(Interrupted):
            run(forced, asked=6)  # between stages, and in the first steps of distillation
        return max(path.name for path in folder.with_name(f"{folder.name}.part").glob("work/step-*"))

    folder, forced = run(config)["distill"], replace(config, force=["distill"])
    before = stopped()
    assert stopped() > before, "it goes on from the last checkpoint"
    run(forced)
    assert stopped() == before


def test_a_finished_job_whose_stage_another_job_has_made_again_is_not_taken_for_finished(config, monkeypatch):
    run_job(config, "")
    collected = []
    monkeypatch.setattr(job.collect, "read", lambda folder, read=job.collect.read: collected.append(1) or read(folder))
    run_job(config, "")
    assert collected == [1]
    monkeypatch.setattr(Store, "content", lambda folder: "another")
    run_job(config, "")
    assert collected == [1], "its results were made anew"

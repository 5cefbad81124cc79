"""A short fake job that reports to MLflow, and what must then be there."""

from __future__ import annotations

import os
from pathlib import Path

from ofa.settings.schema import TrackingConfig
from ofa.tracking.server import ENVIRONMENT
from ofa.tracking.tracker import Tracker

os.environ.update(ENVIRONMENT)
from mlflow import MlflowClient  # noqa: E402

WIDTHS = {"w1": 1.0, "w0.5": 0.5}


def settings(uri: str | None = None, **more) -> TrackingConfig:
    return TrackingConfig(uri=uri, **{"system_metrics": False, **more})


def begin(out: Path, name: str = "job", **more) -> Tracker:
    """A short fake job's tracker, with its runs open."""
    tracker = Tracker(settings(**more), out, out / "runs" / name)
    tracker.start(name, {"kind": "job"}, {"task.name": "toy", "trainer.seed": 42})
    for network, width in WIDTHS.items():
        tracker.network(network, f"{network} {name}", {"kind": "width"}, {"width": width, "heads": int(4 * width)})
    return tracker


def train(tracker: Tracker, steps: range) -> None:
    for step in steps:
        tracker.metrics({"distill/loss": 1 / (step + 1)}, step)
        for network, width in WIDTHS.items():
            tracker.metrics({"dev/accuracy": width * step / 10}, step, network)


def conclude(tracker: Tracker, out: Path) -> None:
    for network, width in WIDTHS.items():
        tracker.metrics({"eval/score": width, "latency_ms/cpu_fp32_b16_s128_measured": 9 * width}, 0, network)
    report = out / "report.md"
    report.write_text("# it went well\n")
    tracker.artifacts([report])


def runs_of(uri: str, experiment: str = "ofa") -> dict:
    """Runs by name; no name twice."""
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def history(uri: str, run, key: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def assert_whole(uri: str, name: str = "job", steps: int = 5, status: str = "FINISHED") -> None:
    """All that ``train`` and ``conclude`` report is there, once."""
    runs = runs_of(uri)
    job = runs[name]
    assert job.data.params == {"task.name": "toy", "trainer.seed": "42"}
    assert history(uri, job, "distill/loss") == [(step, 1 / (step + 1)) for step in range(steps)]
    artifacts = MlflowClient(uri).list_artifacts(job.info.run_id)
    assert [item.path for item in artifacts] == ["report.md"]
    for network, width in WIDTHS.items():
        child = runs[f"{network} {name}"]
        assert child.data.tags["mlflow.parentRunId"] == job.info.run_id
        assert float(child.data.params["width"]) == width
        assert child.data.metrics["eval/score"] == width
        assert child.data.metrics["latency_ms/cpu_fp32_b16_s128_measured"] == 9 * width
        assert history(uri, child, "dev/accuracy") == [(step, width * step / 10) for step in range(steps)]
    assert {run.info.status for run in runs.values() if run.info.run_name.endswith(name)} == {status}


def sqlite(out: Path) -> str:
    return f"sqlite:///{out / 'mlflow.db'}"


def kill(tracker: Tracker) -> None:
    """What is left of a job's tracker after SIGKILL: its files, and a lock that the system frees."""
    tracker.sender.send(now=True)
    tracker._stop.set()
    tracker._thread.join()
    tracker.journal.close()

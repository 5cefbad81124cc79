"""Time the exported folder of every sub-network on this machine."""

from __future__ import annotations

import json

import paddle

from ofa.deploy.latency import time_folders
from ofa.stages.pipeline import Job


def run(job: Job) -> None:
    """Writes ``latency.json``: every timing, and the machine it was measured on."""
    folders = {name: job.needs["export"] / name for name in job.inputs.networks}
    record = time_folders(folders, job.config.latency, str(paddle.get_device()), job.config.hardware.threads)
    (job.folder / "latency.json").write_text(json.dumps(record, indent=1) + "\n")

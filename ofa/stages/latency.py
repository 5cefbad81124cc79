"""Time the exported folders of every width on this machine."""

from __future__ import annotations

import json

import paddle

from ofa.deploy.latency import time_folders
from ofa.stages.pipeline import Job
from ofa.supernet.space import width_name


def run(job: Job) -> None:
    """Writes ``latency.json``: every timing by width and name, and the machine it was measured on."""
    folders = {width: job.needs["export"] / width_name(width) for width in job.config.ofa.widths}
    record = time_folders(folders, job.config.latency, str(paddle.get_device()), job.config.hardware.threads)
    (job.folder / "latency.json").write_text(json.dumps(record, indent=1) + "\n")

"""Time every exported folder on this machine."""

from __future__ import annotations

import json

import paddle

from ofa.deploy.latency import time_folders
from ofa.stages.context import StageContext


def run(context: StageContext) -> None:
    """Writes ``latency.json``: every timing, and the machine it was measured on."""
    export = context.needs["export"]
    deployed = context.needs.get("quantize", export)
    folders = {name: deployed / name for name in json.loads((export / "parity.json").read_text())}
    record = time_folders(folders, context.config.latency, str(paddle.get_device()), context.config.hardware.threads)
    (context.folder / "latency.json").write_text(json.dumps(record, indent=1) + "\n")

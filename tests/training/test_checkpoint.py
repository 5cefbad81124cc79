"""A checkpoint that cannot be written leaves the last one whole; what training makes of them is in test_loop.py."""

import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest
from helpers.toys import REPO

from ofa.settings.explain import explain
from ofa.system import files
from ofa.training import checkpoint
from ofa.training.checkpoint import Checkpoint

WEIGHTS = {"w": np.ones((300, 1000), np.float32)}


Usage = namedtuple("Usage", "total used free")


def test_a_checkpoint_that_does_not_fit_is_refused_and_the_last_one_stays(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, Checkpoint(1, WEIGHTS, WEIGHTS, {"best": {}}))
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: Usage(10**9, 10**9 - 2_300_000, 2_300_000))
    with pytest.raises(OSError) as caught, files.watched(tmp_path):
        checkpoint.save(tmp_path, Checkpoint(2, WEIGHTS, WEIGHTS, {"best": {}}))
    assert f"The disk is full: {tmp_path} (2.4 MB needed, 2.3 MB left)" in explain(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    monkeypatch.undo()
    assert checkpoint.latest(tmp_path).step == 1


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from ofa.training import checkpoint
weights = {"w": np.ones((300, 1000), np.float32)}
folder = Path(sys.argv[1])
checkpoint.save(folder, checkpoint.Checkpoint(1, weights, weights, {}))
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    checkpoint.save(folder, checkpoint.Checkpoint(2, weights, weights, {}))
except Exception as error:
    print(type(error).__name__)
print(sorted(path.name for path in folder.iterdir()), checkpoint.latest(folder).step)
"""


@pytest.mark.process
def test_a_write_that_breaks_off_leaves_the_last_checkpoint_alone(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["SafetensorError", "['step-00000001'] 1"], done.stderr

"""SIGTERM reaches the job's own handler, although two libraries take it for themselves as they load."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.toys import REPO

CODE = """
import os, signal, time
from ofa.system import process
process.prepare()
process.set_device("cpu")
signal.signal(signal.SIGTERM, lambda *_: print("saved"))
import paddlenlp
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.1)
print("went on")
"""


@pytest.mark.process
def test_a_handler_set_before_paddlenlp_loads_stays():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-2:] == ["saved", "went on"], done.stderr

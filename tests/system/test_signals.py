"""Signals reach the job's own handlers, and nothing that waits for another process takes one for a failure."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.toys import REPO

from ofa.jobs import spawn

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


MEETING = """
import os, signal, threading, time
from ofa.system import process, ranks

process.prepare()
ranks.init("cpu")
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))


def ask():
    for _ in range(100):
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)


asking = threading.Thread(target=ask)
asking.start()
while any(ranks.gather(asking.is_alive())):
    time.sleep(0.002 * ranks.rank())
print("met", len(asked) > 10)
"""


@pytest.mark.process
def test_ranks_that_wait_for_each_other_outlast_signals():
    """A signal used to break the connection over which they meet: no checkpoint, and a traceback."""
    addresses = spawn.free_addresses(2)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MEETING],
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **spawn.environment(number, addresses)},
        )
        for number in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [text.splitlines()[-1] for text in said] == ["met True", "met True"], "\n".join(said)

"""The words of a job on the terminal: in one form, whether a command or Python started it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# As conf/config.yaml has them: a job's log file, and the terminal.
FORMAT = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"
SHORT = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


@contextmanager
def shown() -> Iterator[None]:
    """Print what this package logs, as its command does, unless the caller has set logging up.

    Paddle gives the root logger a handler as it loads, in whose form the rest would follow: it is taken off again.
    """
    own, root = logging.getLogger("ofa"), logging.getLogger()
    if own.hasHandlers():
        yield
        return
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setFormatter(SHORT)
    before, level = own.level, root.level
    own.addHandler(terminal)
    own.setLevel(logging.INFO)
    own.propagate = False
    try:
        yield
    finally:
        own.removeHandler(terminal)
        own.setLevel(before)
        own.propagate = True
        root.handlers.clear()
        root.setLevel(level)

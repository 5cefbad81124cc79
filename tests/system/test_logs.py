"""What a job says in Python: once, in the command's form, and only where nobody has set logging up."""

from __future__ import annotations

import logging
import re

import pytest

from ofa.system.logs import shown


def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging as it is in a new interpreter; in the test itself, as pytest has handlers of its own there."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)


def _job() -> None:
    logging.getLogger("ofa.jobs.job").info("before")
    logging.root.addHandler(logging.StreamHandler())  # as Paddle does while it loads
    logging.root.setLevel(logging.INFO)
    logging.getLogger("ofa.stages.runner").info("after")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_line_is_printed_once_and_nothing_stays(
    jobs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    bare(monkeypatch)
    for _ in range(jobs):
        with shown():
            _job()
    said, errors = capsys.readouterr()
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in said.splitlines()]
    assert lines == ["before", "after"] * jobs and errors == ""
    own = logging.getLogger("ofa")
    assert not own.handlers and own.level == logging.NOTSET and own.propagate
    assert not logging.root.handlers and logging.root.level == logging.WARNING


def test_what_the_caller_set_up_stays(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    bare(monkeypatch)
    logging.basicConfig(level=logging.INFO, format="mine: %(message)s")
    mine = list(logging.root.handlers)
    with shown():
        logging.getLogger("ofa.jobs.job").info("before")
    assert capsys.readouterr() == ("", "mine: before\n") and logging.root.handlers == mine

"""Whatever a command meets that its user can mend is said in a line; a reader that has seen enough is no mistake."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO

from ofa.errors import UserError
from ofa.system.command import as_command


def opens(arguments: list[str]) -> int:
    Path(arguments[0]).write_text("x")
    return 3


def refuses(arguments: list[str]) -> int:
    raise UserError("--port: 0; allowed: 1 up")


def stops(arguments: list[str]) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("main", "argument", "status", "said"),
    [
        (opens, "{tmp}/x", 3, ""),
        (opens, "{tmp}/none/x", 1, "{tmp}/none/x: No such file or directory\n"),
        (opens, "{tmp}", 1, "{tmp}: Is a directory\n"),
        (opens, "{tmp}/\udcff", 1, "'{tmp}/\\udcff': not UTF-8; allowed: text in UTF-8, names of files included\n"),
        (refuses, "x", 1, "--port: 0; allowed: 1 up\n"),
        (stops, "x", 130, ""),
    ],
)
def test_a_mistake_is_a_line(main, argument: str, status: int, said: str, tmp_path: Path, capsys) -> None:
    assert as_command(main)([argument.format(tmp=tmp_path)]) == status
    assert capsys.readouterr().err == said.format(tmp=tmp_path)


def test_what_is_no_mistake_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        as_command(lambda arguments: 1 // 0)([])
    with pytest.raises(UserError):
        as_command(refuses, mistakes=())([])


@pytest.mark.parametrize(("terminal", "seconds"), [(True, None), (False, "30")])
def test_progress_bars_are_short_in_a_log(terminal: bool, seconds: str | None, monkeypatch) -> None:
    monkeypatch.setenv("TQDM_MININTERVAL", "")  # restored afterwards
    monkeypatch.delenv("TQDM_MININTERVAL")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    as_command(lambda arguments: 0)([])
    assert os.environ.get("TQDM_MININTERVAL") == seconds


@pytest.mark.process
@pytest.mark.parametrize(
    "given", [["ofa.hardware"], ["ofa.commands.store", "list"], ["ofa", "settings"], ["ofa", "--help"]]
)
def test_a_reader_that_has_seen_enough_is_no_mistake(given: list[str]) -> None:
    """As ``| head`` leaves, here before the first line."""
    command = [sys.executable, "-m", *given]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        started.stdout.close()
        assert started.stderr.read() == "" and started.wait() in (0, 1)


def test_letters_that_the_locale_lacks_end_nothing(monkeypatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert as_command(lambda arguments: print("★ é") or 0)([]) == 0
    assert written.getvalue() == b"\\u2605 \xe9\n"


def test_every_text_file_is_of_utf_8_whatever_the_locale() -> None:
    """JSON is written in ASCII, so that it may be left out there."""
    opens = re.compile(r"\b(?:write_text|read_text|FileHandler)\(|\bopen\((?:\"[rwa]\")?\)")
    found = [
        f"{path.relative_to(REPO)}:{number}"
        for path in sorted((REPO / "ofa").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if opens.search(line) and "encoding=" not in line and "json." not in line
    ]
    assert not found

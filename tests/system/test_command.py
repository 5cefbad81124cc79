"""Whatever a command meets that its user can mend is said in a line; a reader that has seen enough is no mistake."""

from __future__ import annotations

import ast
import io
import os
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


def test_a_table_that_the_output_cannot_hold_ends_in_a_line(monkeypatch, capsys) -> None:
    def writes(arguments: list[str]) -> int:
        sys.stdout.reconfigure(errors="strict")
        print("好评")
        return 0

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert as_command(writes)([]) == 1
    said = "the output is in latin-1, which lacks '\\u597d'; allowed: PYTHONIOENCODING=utf-8 in the environment\n"
    assert capsys.readouterr().err == said


def test_letters_that_the_locale_lacks_end_nothing(monkeypatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert as_command(lambda arguments: print("★ é") or 0)([]) == 0
    assert written.getvalue() == b"\\u2605 \xe9\n"


def _is_of_the_locale(call: ast.Call) -> bool:
    """Whether it opens a file as text and does not say in which encoding."""
    method, words = isinstance(call.func, ast.Attribute), ast.unparse(call)
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if any(word.arg == "encoding" for word in call.keywords):
        return False
    if name in ("write_text", "read_text", "FileHandler"):
        return "json.dumps" not in words
    place = 1 if name == "open" and not method else 0
    mode = [*(word.value for word in call.keywords if word.arg == "mode"), *call.args[place : place + 1]]
    said = mode[0].value if mode and isinstance(mode[0], ast.Constant) else None
    if name == "open":  # others' methods of that name take something else than a mode
        return (said is None and (not method or not mode)) or (isinstance(said, str) and "b" not in said)
    return name.endswith("TemporaryFile") and said is not None and "b" not in str(said)


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('w', newline='')", True),
        ("path.open(mode='x')", True),
        ("open(path)", True),
        ("tempfile.TemporaryFile('w+')", True),
        ("logging.FileHandler(path)", True),
        ("path.write_text(json.dumps(found))", False),
        ("path.read_text(encoding='utf-8')", False),
        ("path.open('rb')", False),
        ("os.open(path, os.O_WRONLY)", False),
        ("tempfile.TemporaryFile()", False),
    ],
)
def test_what_opens_a_file_in_the_locale_s_encoding_is_told(code: str, is_one: bool) -> None:
    assert _is_of_the_locale(ast.parse(code, mode="eval").body) is is_one


def test_every_text_file_is_of_utf_8_whatever_the_locale() -> None:
    """JSON is written in ASCII, so that it may be left out there."""
    found = []
    for path in sorted((REPO / "ofa").rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        of_json = {id(one) for call in calls if ast.unparse(call.func) == "json.loads" for one in call.args}
        opened = (call for call in calls if _is_of_the_locale(call) and id(call) not in of_json)
        found += [f"{path.relative_to(REPO)}:{call.lineno}: {ast.unparse(call)}" for call in opened]
    assert not found

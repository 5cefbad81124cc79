"""``ofa WORD``: which word starts what, how fast, and what a wrong one is answered."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO

from ofa.commands import store, table
from ofa.errors import UserError
from ofa.system.output import output_dir, run_folder

LIGHT = {"predict", "ui", "store", "resend", "settings", "time"}  # compose no settings


@pytest.mark.parametrize("name", table.COMMANDS)
def test_every_command_is_there(name: str) -> None:
    module = importlib.import_module(table.COMMANDS[name].module)
    assert inspect.signature(module.main).parameters.keys() == {"arguments"}
    assert f"  {name} " in table.usage()


@pytest.mark.process
def test_commands_load_no_framework_before_they_need_it() -> None:
    code = """
import importlib, json, sys
from ofa.commands.table import COMMANDS
heavy = {"first": [], "all": []}
for name in sys.argv[1:]:
    importlib.import_module(COMMANDS[name].module)
    heavy[name] = [m for m in ("hydra", "paddle", "mlflow", "pandas", "matplotlib") if m in sys.modules]
print(json.dumps(heavy))
"""
    command = [sys.executable, "-c", code, *sorted(LIGHT), "plan", "run"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    heavy = json.loads(done.stdout)
    assert [heavy[name] for name in LIGHT] == [[]] * len(LIGHT)
    assert set(heavy["run"]) <= {"hydra"}


def test_what_is_no_command_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    from ofa.commands import run

    monkeypatch.setattr(run, "main", lambda arguments: given.append(arguments) or 0)
    for arguments in (["task=sst2"], ["run", "task=sst2"], ["-m", "task=a,b"], ["sweep", "task=a,b"], ["~task"]):
        assert table.start(arguments) == 0
    assert given == [["task=sst2"], ["task=sst2"], ["-m", "task=a,b"], ["-m", "task=a,b"], ["~task"]]


def test_a_slip_and_help_are_answered(capsys: pytest.CaptureFixture) -> None:
    assert table.start(["predcit"]) == 2
    err = capsys.readouterr().err
    assert err == "predcit: no such command; did you mean predict? See ofa --help\n"
    for arguments in ([], ["--help"], ["help"]):
        assert table.start(arguments) == 0
        said = capsys.readouterr().out
        assert "ofa settings [KEY]" in said and max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("words", [["\udcff"], ["predict", "/m\udcff", "x"], ["run", "model.path=/m\udcff"]])
def test_bytes_that_are_no_text_are_refused(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert table.start(words) == 1
    assert capsys.readouterr().err.endswith("\\udcff': not UTF-8; allowed: text in UTF-8, names of files included\n")


def test_a_mistake_is_said_and_a_stop_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def raises(error: BaseException) -> int:
        raise error

    monkeypatch.setattr(store, "main", lambda arguments: raises(UserError("no: allowed: yes")))
    assert table.start(["store"]) == 1 and capsys.readouterr().err == "no: allowed: yes\n"
    monkeypatch.setattr(store, "main", lambda arguments: raises(KeyboardInterrupt()))
    assert table.start(["store"]) == 130


def test_commands_look_into_the_output_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("OFA_OUTPUT", raising=False)
    assert output_dir() == Path("outputs")
    monkeypatch.setenv("OFA_OUTPUT", str(tmp_path))
    (tmp_path / "runs" / "a-run").mkdir(parents=True)
    assert run_folder(Path("a-run")) == tmp_path / "runs" / "a-run"
    assert run_folder(Path("x/a-run")) == Path("x/a-run") and run_folder(Path("none")) == Path("none")
    assert table.start(["store", "list"]) == 0
    assert f"0 folders of {tmp_path / 'store'}" in capsys.readouterr().out
    assert table.start(["ui"]) == 1
    assert f"{tmp_path}: no mlflow.db here" in capsys.readouterr().err
    assert table.start(["resend", "a-run"]) == 1
    assert f"{tmp_path / 'runs' / 'a-run'}: no tracking.jsonl here" in capsys.readouterr().err

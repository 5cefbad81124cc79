"""``ofa export``: a network for another program; mistakes are a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ofa.commands import export


def test_a_triton_repository(served_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = [str(served_folder), "--triton", str(tmp_path / "models"), "--name", "toy"]
    assert export.main(command) == 0
    assert (tmp_path / "models" / "toy" / "1" / "model.onnx").is_file()
    out = capsys.readouterr().out
    assert f"--model-repository={tmp_path / 'models'}" in out and "It runs in ONNX Runtime, fp32, whichever" in out
    assert export.main(command) == 1
    err = capsys.readouterr().err
    assert "is there already" in err and err.count("\n") == 1


def test_the_home_folder_may_be_written_short(
    served_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").symlink_to(served_folder)
    assert export.main(["~/x", "--padded", "~/plain"]) == 0
    assert export.main(["~/x", "--triton", "~/models", "--name", "toy"]) == 0
    assert (tmp_path / "plain" / "config.json").is_file() and (tmp_path / "models" / "toy").is_dir()
    assert "~" not in capsys.readouterr().out


def test_a_padded_copy_is_not_in_int8(served_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert export.main([str(served_folder), "--padded", str(tmp_path / "plain"), "--precision", "int8"]) == 1
    assert capsys.readouterr().err.startswith("--precision: int8 is a graph, a padded copy has weights; allowed")
    assert not (tmp_path / "plain").exists()

"""A Triton model repository: its layout, and a config of the graph's own tensors."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime
import pytest

from ofa.deploy import triton
from ofa.errors import UserError


def test_the_repository_is_of_the_graph_s_tensors(served_folder: Path, tmp_path: Path) -> None:
    place = triton.write(served_folder, tmp_path / "models", "toy")
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == [
        "1/model.onnx",
        "config.pbtxt",
        "labels.txt",
    ]
    assert (place / "labels.txt").read_text().split() == ["no", "maybe", "yes"]
    session = onnxruntime.InferenceSession(str(place / "1" / "model.onnx"))
    text = (place / "config.pbtxt").read_text()
    of_kind = {kind: re.findall(rf'^{kind} {{\n  name: "(\w+|[^"]+)"', text, re.M) for kind in ("input", "output")}
    assert of_kind["input"] == [given.name for given in session.get_inputs()]
    assert of_kind["output"] == [given.name for given in session.get_outputs()]
    assert text.count("TYPE_INT64") == 2 and "dims: [ -1 ]" in text and "dims: [ 3 ]" in text


def test_the_config_is_what_triton_s_own_schema_reads(served_folder: Path, tmp_path: Path) -> None:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient[grpc] is not installed")
    from google.protobuf import text_format

    place = triton.write(served_folder, tmp_path, "toy")
    config = text_format.Parse((place / "config.pbtxt").read_text(), schema.ModelConfig())
    assert config.name == "toy" and config.max_batch_size == triton.MOST_ROWS
    assert [list(given.dims) for given in config.input] == [[-1], [-1]] and list(config.output[0].dims) == [3]


def test_nothing_is_overwritten_and_no_graph_is_made_up(served_folder: Path, tmp_path: Path) -> None:
    triton.write(served_folder, tmp_path, "toy")
    with pytest.raises(UserError, match="toy is there already; give another folder"):
        triton.write(served_folder, tmp_path, "toy")
    with pytest.raises(UserError, match="not offered in int8"):
        triton.write(served_folder, tmp_path, "other", "int8")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["../toy", 'a"b', "a/b", "", ".", "-x", "a\n"])
def test_a_name_stays_in_the_repository_and_its_config(served_folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="--name: .*; allowed: letters"):
        triton.write(served_folder, tmp_path / "models", name)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_a_line(
    served_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--triton: .*toy cannot be written \(Not a directory\)"):
        triton.write(served_folder, tmp_path / "file", "toy")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(triton.shutil, "copyfile", full)
    with pytest.raises(UserError, match="No space left"):
        triton.write(served_folder, tmp_path, "toy")
    assert not (tmp_path / "toy").exists()  # Triton would try to serve half a model

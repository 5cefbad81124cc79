"""A padded copy computes what the cut network does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.toys import TOY
from safetensors import SafetensorError

from ofa.commands import export
from ofa.data.tokenizer import plain, read_tokenizer
from ofa.model import network as models
from ofa.model.padded import write_padded
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet


@pytest.mark.parametrize("subnet", [SubNet.at(0.5, 1.0, TOY), SubNet((3, 1, 2), (50, 10, 33))])
def test_zeros_add_nothing(toy, toy_folder: Path, tmp_path: Path, tokens, subnet: SubNet) -> None:
    network = elastic.cut(toy, subnet)
    models.save(network, tmp_path / "cut", ("no", "maybe", "yes"), plain(toy_folder / "vocab.txt"))
    written = write_padded(tmp_path / "cut", tmp_path / "padded")
    padded, folder = models.load(tmp_path / "padded")
    assert folder.subnet is None and written.shape == folder.shape
    assert folder.shape.num_attention_heads == 4 and folder.shape.intermediate_size == max(subnet.neurons)
    padded.eval()
    with paddle.no_grad():
        expected, found = (models.forward(model, *tokens)[0].numpy() for model in (network, padded))
    assert np.abs(found - expected).max() < 1e-5
    assert read_tokenizer(tmp_path / "padded").key == read_tokenizer(toy_folder).key


@pytest.mark.parametrize("refuses", ["safetensors.numpy.save_file", "ofa.model.padded.shutil.copyfile"])
def test_a_target_that_cannot_be_written_is_a_line_and_leaves_nothing(
    refuses: str, served_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(_: object, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: I/O error: File too large (os error 27)")

    command = [str(served_folder), "--padded", str(tmp_path / "padded")]
    with monkeypatch.context() as patch:
        patch.setattr(refuses, full)
        assert export.main(command) == 1
    said = f"--padded: {tmp_path / 'padded'} cannot be written (Error while serializing: I/O error: File too large"
    err = capsys.readouterr().err
    assert err.startswith(said) and err.count("\n") == 1 and list(tmp_path.iterdir()) == []
    (tmp_path / "padded.part").mkdir()  # of one that was killed
    (tmp_path / "padded.part" / "old").write_text("")
    assert export.main(command) == 0 and not (tmp_path / "padded" / "old").exists()


def test_the_command(served_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = [str(served_folder), "--padded", str(tmp_path / "padded")]
    assert export.main(command) == 0
    assert (tmp_path / "padded" / "model.safetensors").is_file()
    assert export.main(command) == 1
    assert f"--padded: {tmp_path / 'padded'} exists; allowed" in capsys.readouterr().err

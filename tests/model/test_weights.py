"""Weights in one file or several, under wrapped names too; a config.json that lies about them is refused unbuilt."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.toys import TOY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import Folder, read_folder, tensor_names
from ofa.model.weights import INDEX, WEIGHTS

Tokens = tuple[paddle.Tensor, paddle.Tensor]


def logits(model: paddle.nn.Layer, tokens: Tokens) -> np.ndarray:
    model.eval()
    return models.forward(model, *tokens)[0].numpy()


def shard(folder: Path) -> list[str]:
    """Spread the weights over three files with an index, as Transformers does with large ones."""
    whole = load_file(folder / WEIGHTS)
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    places = {tensor: names[number % 3] for number, tensor in enumerate(whole)}
    for name in names:
        save_file({tensor: whole[tensor] for tensor, place in places.items() if place == name}, folder / name)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    (folder / WEIGHTS).unlink()
    return names


def test_weights_in_several_files_are_the_same_network(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    shard(toy_folder)
    assert tensor_names(read_folder(toy_folder)) == set(toy.state_dict())
    assert (logits(models.load(toy_folder)[0], tokens) == logits(toy, tokens)).all()


def test_what_an_index_names_must_be_there(toy_folder: Path) -> None:
    first, second, _ = shard(toy_folder)
    (toy_folder / second).unlink()
    with pytest.raises(UserError, match=rf"{INDEX}: {second} missing in .*; the weights are in 3 files"):
        read_folder(toy_folder)
    for wrong in ({"weight_map": {"a": f"../{first}"}}, {"weight_map": [first]}, {}):
        (toy_folder / INDEX).write_text(json.dumps(wrong))
        with pytest.raises(UserError, match="weight_map names no files of its folder"):
            read_folder(toy_folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_from_within_a_wrapper(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens, prefix: str) -> None:
    whole = load_file(toy_folder / WEIGHTS)
    save_file({prefix + name: value for name, value in whole.items()}, toy_folder / WEIGHTS)
    assert (logits(models.load(toy_folder)[0], tokens) == logits(toy, tokens)).all()


def test_names_of_another_kind_are_shown(toy_folder: Path) -> None:
    whole = load_file(toy_folder / WEIGHTS)
    save_file({f"net.{name}": value for name, value in whole.items()}, toy_folder / WEIGHTS)
    with pytest.raises(UserError, match=r"no tensor 'bert.embeddings.word.* which have 'net\.bert\.[^']+', for inst"):
        read_folder(toy_folder)


LIES = {
    "hidden_size": TOY.hidden_size * 1000,
    "num_hidden_layers": 10**6,
    "max_position_embeddings": 10**10,
    "num_labels": 10**9,
    "vocab_size": 2**31 - 1,
    "intermediate_size": 2**30,
    "type_vocab_size": 4096,
}


@pytest.mark.parametrize("key", LIES)
@pytest.mark.parametrize("value", ["lie", "one more", 10**30])
def test_a_config_that_lies_about_sizes_is_refused_before_anything_is_built(
    toy_folder: Path, key: str, value: int | str
) -> None:
    config = json.loads((toy_folder / "config.json").read_text())
    true = {**config, "num_labels": 3}[key]
    told = {"lie": LIES[key], "one more": true + (4 if key == "hidden_size" else 1)}.get(value, value)
    config |= {key: told} | ({"id2label": None} if key == "num_labels" else {})
    (toy_folder / "config.json").write_text(json.dumps(config))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as refused:
        models.load(toy_folder)
    said = str(refused.value)
    assert "\n" not in said and f"{key} is {told}" in said
    assert f"the weights have {true}" in said or "allowed: a whole number from 1" in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("name", ["config.json", "subnet.json", WEIGHTS])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nested"])
def test_what_is_no_file_is_refused_at_once(toy_folder: Path, name: str, kind: str) -> None:
    path = toy_folder / name
    path.unlink(missing_ok=True)
    make = {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": os.mkdir,
        "nested": lambda path: path.write_text('{"a":' * 100_000),
    }
    make[kind](path)
    with pytest.raises(UserError) as refused:
        read_folder(toy_folder)
    words = "not a regular file" if kind != "nested" else "not a whole saf" if name == WEIGHTS else "nested too deeply"
    assert f"{path}: " in str(refused.value) and words in str(refused.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**30, 10**9, -1, 0, 1, 4]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers(0, 5) | VALUES
KEYS = [*TOY.__dataclass_fields__, "id2label", "num_labels", "model_type", "layer_norm_eps", "hidden_act", "is_decoder"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    subnet=st.none() | VALUES | st.fixed_dictionaries({"heads": st.lists(NUMBERS), "neurons": st.lists(NUMBERS)}),
)
def test_any_json_is_a_folder_or_is_refused_in_a_line(toy_folder: Path, changes: dict, subnet: object) -> None:
    original = (toy_folder / "config.json").read_text()
    try:
        (toy_folder / "config.json").write_text(json.dumps(json.loads(original) | changes))
        (toy_folder / "subnet.json").write_text(json.dumps(subnet))
        try:
            assert isinstance(read_folder(toy_folder), Folder)
        except UserError as error:
            said = str(error)
            said.encode()
            assert len(said.splitlines()) == 1 and len(said) < 1000
    finally:
        (toy_folder / "config.json").write_text(original)
        (toy_folder / "subnet.json").unlink()

"""What config.json says of a cut network, and that we read what others write of one."""

from __future__ import annotations

import json
from pathlib import Path

import paddle
import pytest
from helpers.toys import TOY

from ofa.data.tokenizer import plain
from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet, count_params

UNEVEN = SubNet((4, 1, 2), (64, 10, 33))
CODE = {"AutoModelForSequenceClassification": "modeling_ofa_bert.OfaBertForSequenceClassification"}


def saved(toy: paddle.nn.Layer, folder: Path, subnet: SubNet) -> dict:
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    models.save(elastic.cut(toy, subnet), folder / "cut", ("no", "maybe", "yes"), plain(folder / "vocab.txt"))
    return json.loads((folder / "cut" / "config.json").read_text())


def test_the_config_of_a_width(toy: paddle.nn.Layer, tmp_path: Path) -> None:
    assert saved(toy, tmp_path, SubNet.at(0.5, 2 / 3, TOY)) == {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "num_hidden_layers": 2,
        "hidden_size": 48,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "vocab_size": 97,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "id2label": {"0": "no", "1": "maybe", "2": "yes"},
        "label2id": {"no": 0, "maybe": 1, "yes": 2},
        "pruned_heads": {"0": [2, 3], "1": [2, 3]},
        "auto_map": CODE,
    }
    assert (tmp_path / "cut" / "modeling_ofa_bert.py").is_file()


def test_layers_that_differ_and_a_full_network(toy: paddle.nn.Layer, tmp_path: Path, toy_folder: Path) -> None:
    config = saved(toy, tmp_path, UNEVEN)
    assert config["pruned_heads"] == {"1": [1, 2, 3], "2": [2, 3]} and config["intermediate_size"] == 64
    assert config["layer_intermediate_sizes"] == [64, 10, 33] and config["auto_map"] == CODE
    assert not {"pruned_heads", "auto_map"} & json.loads((toy_folder / "config.json").read_text()).keys()
    assert not (toy_folder / "modeling_ofa_bert.py").exists()


@pytest.mark.parametrize("subnet", [SubNet.at(0.5, 1.0, TOY), UNEVEN])
def test_config_alone_tells_the_sizes(toy: paddle.nn.Layer, tmp_path: Path, subnet: SubNet) -> None:
    """As of a folder that Transformers 4 saved, which has no subnet.json."""
    saved(toy, tmp_path, subnet)
    (tmp_path / "cut" / "subnet.json").unlink()
    assert read_folder(tmp_path / "cut").subnet == subnet
    assert elastic.full(models.load(tmp_path / "cut")[0]) == subnet


def test_a_folder_of_an_earlier_version_is_read_as_it_was(toy: paddle.nn.Layer, tmp_path: Path) -> None:
    config = saved(toy, tmp_path, SubNet.at(0.5, 1.0, TOY))
    older = {key: value for key, value in config.items() if key not in ("pruned_heads", "auto_map")}
    (tmp_path / "cut" / "config.json").write_text(json.dumps(older | {"intermediate_size": 64}))
    folder = read_folder(tmp_path / "cut")
    assert folder.shape == TOY and folder.subnet == SubNet.at(0.5, 1.0, TOY)
    assert folder.own_shape.intermediate_size == 32


def test_a_cut_network_s_own_sizes_count_its_own_parameters(toy: paddle.nn.Layer, tmp_path: Path) -> None:
    subnet = SubNet.at(0.5, 1.0, TOY)
    saved(toy, tmp_path, subnet)
    own = read_folder(tmp_path / "cut").own_shape
    assert (own.num_attention_heads, own.intermediate_size, own.head_size) == (2, 32, 12)
    assert count_params(own) == count_params(TOY, subnet)
    assert SubNet.at(0.5, 1.0, own) == SubNet((1, 1, 1), (16, 16, 16))
    saved(toy, tmp_path, SubNet((2, 1, 2), (32, 10, 32)))
    with pytest.raises(UserError, match="layers of .* differ in heads or neurons .*; give a network whose layers are"):
        _ = read_folder(tmp_path / "cut").own_shape


@pytest.mark.parametrize(
    "values",
    [
        {"pruned_heads": {"0": [0, 1, 2, 3]}},
        {"pruned_heads": {"9": [0]}},
        {"pruned_heads": {"0": [4]}},
        {"pruned_heads": [1]},
        {"layer_intermediate_sizes": [64, 64]},
        {"layer_intermediate_sizes": [64, 64, 65]},
        {"layer_intermediate_sizes": "64"},
        {"layer_intermediate_sizes": 7},
    ],
)
def test_sizes_that_cannot_be_are_refused_in_a_line(toy_folder: Path, values: dict) -> None:
    config = json.loads((toy_folder / "config.json").read_text())
    (toy_folder / "config.json").write_text(json.dumps(config | values))
    with pytest.raises(UserError, match="config.json: .*; allowed: ") as refused:
        read_folder(toy_folder)
    assert "\n" not in str(refused.value) and next(iter(values)) in str(refused.value)

"""Kinds of encoders besides BERT, from the folder to the cut network."""

import json

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, noisy
from paddlenlp import transformers

from ofa.data.tokenizer import plain
from ofa.data.vocab import SPECIAL
from ofa.deploy.export import export
from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet, count_params

SMALL = SubNet((4, 1), (64, 9), layers=(0, 2))
CONFIGS = {
    "ernie-1.0": {"hidden_act": "relu"},
    "ernie-3.0": {"hidden_act": "gelu", "use_task_id": True, "task_type_vocab_size": 3},
}


@pytest.fixture(params=CONFIGS)
def library(request):
    """PaddleNLP's own ERNIE with random weights."""
    sizes = {key: value for key, value in vars(TOY).items() if key != "task_type_vocab_size"}
    config = transformers.ErnieConfig(**sizes, **CONFIGS[request.param], hidden_dropout_prob=0.0)
    paddle.seed(3)
    return noisy(transformers.ErnieForSequenceClassification(config))


@pytest.fixture
def folder(library, tmp_path):
    vocab = tmp_path / "words.txt"
    vocab.write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), TOY.vocab_size))]) + "\n")
    models.save(library, tmp_path / "ernie", ("no", "maybe", "yes"), plain(vocab))
    return tmp_path / "ernie"


def logits(model, tokens):
    with paddle.no_grad():
        return models.forward(model, *tokens)[0].numpy()


def test_a_folder_read_gives_the_library_s_own_logits(library, folder, tokens):
    model, found = models.load(folder, dropout=0.0)
    model.eval()
    assert found.architecture.name == "ernie"
    with paddle.no_grad():
        np.testing.assert_array_equal(logits(model, tokens), library(*tokens).numpy())
    assert count_params(found.shape) == sum(p.size for p in model.parameters())


def test_the_library_s_own_folder_is_read(library, tokens, tmp_path):
    library.save_pretrained(str(tmp_path / "own"))
    model, _ = models.load(tmp_path / "own", dropout=0.0, allow_pickle=True)
    model.eval()
    with paddle.no_grad():
        np.testing.assert_array_equal(logits(model, tokens), library(*tokens).numpy())


def test_the_epsilon_of_the_folder_holds(library, folder, tokens):
    """PaddleNLP's ERNIE takes 1e-12 whatever config.json says; Transformers' takes what it says."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    model, _ = models.load(folder, dropout=0.0)
    model.eval()
    assert np.abs(logits(model, tokens) - logits(library, tokens)).max() > 1e-6


def test_full_size_is_the_plain_model_and_cut_is_selected(folder, tokens, tmp_path):
    model, found = models.load(folder, dropout=0.0)
    model.eval()
    plain_logits = logits(model, tokens)
    elastic.make_elastic(model)
    model.eval()
    np.testing.assert_array_equal(logits(model, tokens), plain_logits)
    elastic.select(model, SMALL)
    selected = logits(model, tokens)
    network = elastic.extract(model, SMALL)
    network.eval()
    np.testing.assert_allclose(logits(network, tokens), selected, atol=1e-6)
    assert count_params(found.shape, SMALL) == sum(p.size for p in network.parameters())


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [("hidden_act", "silu", '"gelu" or "relu"'), ("use_task_id", 1, "false or true"), ("task_id", 2, "0")],
)
def test_what_would_be_another_network_is_refused(folder, key, value, allowed):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(UserError, match=rf"{key} is .*; allowed: {allowed}"):
        read_folder(folder)


@pytest.mark.parametrize("library", ["ernie-3.0"], indirect=True)
def test_a_wrong_number_of_task_types_is_refused_before_it_is_built(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"task_type_vocab_size": 10**9}))
    with pytest.raises(UserError, match="task_type_vocab_size is 1000000000 in config.json, but the weights have 3"):
        read_folder(folder)


def test_an_export_computes_the_same(folder, tokens, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    model, _ = models.load(folder, dropout=0.0)
    model.eval()
    export(model, tmp_path / "graph")
    session = ort.InferenceSession(str(next((tmp_path / "graph").glob("*.onnx"))))
    feed = {name.name: value.numpy() for name, value in zip(session.get_inputs(), tokens, strict=True)}
    np.testing.assert_allclose(session.run(None, feed)[0], logits(model, tokens), atol=1e-4)

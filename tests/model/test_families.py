"""Every family of encoders, from the folder to the cut network: one table entry each, and the same invariants."""

import json
import re

import numpy as np
import paddle
import pytest
from helpers.families import FAMILIES, SHAPE, library, tokenizer
from safetensors.numpy import load_file, save_file

from ofa.deploy.export import export
from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.model.padded import write_padded
from ofa.supernet import elastic
from ofa.supernet.operations import operations
from ofa.supernet.reorder import reorder
from ofa.supernet.subnet import SubNet, count_macs, count_params

SMALL = SubNet((4, 1), (64, 9), layers=(0, 2))


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def toy(name):
    """PaddleNLP's own classifier with random weights."""
    return library(name)


@pytest.fixture
def folder(name, toy, tmp_path):
    models.save(toy, tmp_path / "model", ("no", "maybe", "yes"), tokenizer(name, tmp_path / "tokenizer"))
    return tmp_path / "model"


@pytest.fixture
def tokens(toy):
    """``input_ids`` and ``token_type_ids`` ``[5, 9]``, two of the rows padded."""
    rng = np.random.default_rng(0)
    input_ids = rng.integers(5, SHAPE.vocab_size, (5, 9))
    input_ids[1, 6:] = input_ids[3, 4:] = models.base(toy).pad_token_id
    types = (rng.random((5, 9)) < 0.3) & (models.base(toy).config.type_vocab_size > 1)
    return paddle.to_tensor(input_ids), paddle.to_tensor(types.astype("int64"))


def loaded(folder):
    model, _ = models.load(folder, dropout=0.0)
    model.eval()
    return model


def logits(model, tokens):
    with paddle.no_grad():
        return models.forward(model, *tokens)[0].numpy()


def test_a_folder_read_gives_the_library_s_own_logits(name, toy, folder, tokens):
    model, found = loaded(folder), read_folder(folder)
    assert found.architecture.name == name.split("-")[0] and found.shape == models.shape_of(toy)
    with paddle.no_grad():
        np.testing.assert_array_equal(logits(model, tokens), toy(*tokens).numpy())
    assert count_params(found.shape) == sum(p.size for p in model.parameters())


def test_the_library_s_own_folder_is_read(toy, tokens, tmp_path):
    toy.save_pretrained(str(tmp_path / "own"))
    model, _ = models.load(tmp_path / "own", dropout=0.0, allow_pickle=True)
    model.eval()
    with paddle.no_grad():
        np.testing.assert_array_equal(logits(model, tokens), toy(*tokens).numpy())


def test_full_size_is_the_plain_model_and_cut_is_selected(toy, folder, tokens):
    model, shape = loaded(folder), models.shape_of(toy)
    plain_logits = logits(model, tokens)
    elastic.make_elastic(model)
    model.eval()
    np.testing.assert_array_equal(logits(model, tokens), plain_logits)
    elastic.select(model, SMALL)
    selected = logits(model, tokens)
    network = elastic.extract(model, SMALL)
    network.eval()
    np.testing.assert_allclose(logits(network, tokens), selected, atol=1e-6)
    assert count_params(shape, SMALL) == sum(p.size for p in network.parameters())


def test_macs_are_those_of_the_products_that_run(toy, tokens):
    """One row of 9 tokens; attention's own products have no layer to watch: two for each pair of tokens."""
    found, network = [], elastic.cut(toy, SMALL)
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.Linear):
            layer.register_forward_post_hook(lambda one, given, _: found.append(given[0].size * one.weight.shape[1]))
    logits(network, [part[:1] for part in tokens])
    attention = 2 * 9 * 9 * sum(SMALL.heads) * SHAPE.head_size
    assert sum(found) + attention == count_macs(models.shape_of(toy), SMALL, 9)


def test_a_permutation_changes_nothing(toy, tokens):
    before, rng = logits(toy, tokens), np.random.default_rng(1)
    orders = [np.stack([rng.permutation(count) for _ in range(3)]) for count in (4, 64)]
    reorder(toy, *orders)
    np.testing.assert_allclose(logits(toy, tokens), before, atol=1e-4)


def test_classes_are_brought_into_another_order(toy, tokens):
    before = logits(toy, tokens)
    models.permute_classes(toy, [2, 0, 1])
    np.testing.assert_allclose(logits(toy, tokens), before[:, [2, 0, 1]], atol=1e-6)


def test_a_cut_network_is_written_read_and_padded(folder, tokens, tmp_path):
    """Zeros stand for what was cut; the code that Transformers needs is of the family."""
    network, words = elastic.cut(loaded(folder), SubNet((2, 1, 3), (20, 64, 9))), models.read_folder(folder)
    network.eval()
    models.save(network, tmp_path / "cut", words.labels, tokenizer("bert", tmp_path / "words"))
    described = json.loads((tmp_path / "cut" / "config.json").read_text())
    kind = words.architecture.classes[1]
    assert described["auto_map"] == {"AutoModelForSequenceClassification": f"modeling_ofa_bert.Ofa{kind}"}
    assert f"class Ofa{kind}(Cut, {kind})" in (tmp_path / "cut" / "modeling_ofa_bert.py").read_text()
    np.testing.assert_array_equal(logits(loaded(tmp_path / "cut"), tokens), logits(network, tokens))
    write_padded(tmp_path / "cut", tmp_path / "padded")
    np.testing.assert_allclose(logits(loaded(tmp_path / "padded"), tokens), logits(network, tokens), atol=1e-5)


@pytest.mark.job
def test_an_export_computes_the_same(folder, tokens, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    model = loaded(folder)
    export(model, tmp_path / "graph")
    session = ort.InferenceSession(str(next((tmp_path / "graph").glob("*.onnx"))))
    feed = {name.name: value.numpy() for name, value in zip(session.get_inputs(), tokens, strict=True)}
    np.testing.assert_allclose(session.run(None, feed)[0], logits(model, tokens), atol=1e-4)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("name", ["bert", "roberta", "electra-small"], indirect=True)
def test_a_pretrained_checkpoint_in_shards_and_wrapped_gives_its_encoder(name, folder, tokens, wrapper):
    """Heads of the pretraining and a pooler that no classifier has are left out; a classifier is new."""
    whole = load_file(folder / "model.safetensors")
    expected = loaded(folder)
    heads = {
        "bert": ["cls.predictions.transform.dense", "cls.seq_relationship"],  # of a Chinese RoBERTa, too
        "roberta": ["lm_head.dense", "lm_head.layer_norm", "roberta.pooler.dense"],
        "electra-small": ["discriminator_predictions.dense", "generator_predictions.dense"],
    }
    more = {f"{head}.bias": np.ones(3, np.float32) for head in heads[name]}
    kept = {key: value for key, value in whole.items() if not key.startswith("classifier.")} | more
    shards, index = [{}, {}], {}
    for number, (key, value) in enumerate(kept.items()):
        shards[number % 2][wrapper + key] = value
        index[wrapper + key] = f"model-{number % 2 + 1:05}-of-00002.safetensors"
    (folder / "model.safetensors").unlink()
    for number, shard in enumerate(shards):
        save_file(shard, folder / f"model-{number + 1:05}-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    model = models.load_encoder(folder, 5, dropout=0.0)
    model.eval()
    with paddle.no_grad():
        found, wanted = (models.forward(one, *tokens) for one in (model, expected))
    assert found[0].shape == [5, 5]
    np.testing.assert_array_equal(found[1][-1].numpy(), wanted[1][-1].numpy())


@pytest.mark.parametrize("name", ["ernie-3.0"], indirect=True)
def test_the_epsilon_of_the_folder_holds(toy, folder, tokens):
    """PaddleNLP's ERNIE takes 1e-12 whatever config.json says; Transformers' takes what it says."""
    set_config(folder, layer_norm_eps=1e-3)
    assert np.abs(logits(loaded(folder), tokens) - logits(toy, tokens)).max() > 1e-6


def set_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


REFUSED = [
    ("ernie-3.0", "hidden_act", "silu", 'hidden_act is \'silu\'; allowed: "gelu" or "relu"'),
    ("ernie-3.0", "use_task_id", 1, "use_task_id is 1; allowed: false or true"),
    ("ernie-3.0", "task_id", 2, "task_id is 2; allowed: 0"),
    ("ernie-3.0", "task_type_vocab_size", 10**9, "task_type_vocab_size is 1000000000 in config.json, but the weights"),
    ("roberta", "is_decoder", True, "is_decoder is True; allowed: False"),
    ("roberta", "pad_token_id", 31, "max_position_embeddings is 32; allowed: 33 up"),
    ("electra-small", "embedding_size", 48, "embedding_size is 48 in config.json, but the weights have 24"),
    ("electra-small", "embedding_size", "24", "embedding_size is '24'; allowed: a whole number from 1"),
]


@pytest.mark.parametrize(("name", "key", "value", "words"), REFUSED, indirect=["name"])
def test_what_would_be_another_network_is_refused_before_it_is_built(folder, key, value, words):
    set_config(folder, **{key: value})
    with pytest.raises(UserError, match=re.escape(words)):
        read_folder(folder)


@pytest.mark.parametrize("name", ["roberta"], indirect=True)
def test_positions_that_start_after_padding_leave_room_for_fewer_tokens(toy, folder):
    shape = read_folder(folder).shape
    assert (shape.max_position_embeddings, shape.max_tokens) == (32, 30)
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 30
    with pytest.raises(UserError, match="the tokenizer pads with 0, but positions are counted from pad_token_id 1"):
        models.set_pad(toy, 0)


@pytest.mark.parametrize("name", ["electra-small"], indirect=True)
def test_what_a_projection_costs_is_counted(toy):
    """Of the embeddings ``[B, S, 24]`` to 48."""
    shape = models.shape_of(toy)
    full = SubNet.full(shape)
    cost = sum(op.flops for op in operations(shape, full, 1, 16, "fp32", False))
    assert cost == 2 * count_macs(shape, seq_length=16)
    assert count_macs(shape, seq_length=16) - count_macs(SHAPE, seq_length=16) == 16 * 24 * 48

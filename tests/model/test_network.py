"""PaddleNLP's classifiers as we run, cut and save them."""

import json

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, noisy
from paddlenlp import transformers

from ofa.data.tokenizer import plain
from ofa.data.vocab import SPECIAL
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet

SHALLOW = SubNet((4, 1), (64, 9), layers=(0, 2))
SIZES = {key: value for key, value in vars(TOY).items() if key != "task_type_vocab_size"}
# Random weights are all it takes: name -> (what PaddleNLP's configuration needs besides the sizes)
FAMILIES = {
    "Bert": {},
    "Ernie": {"hidden_act": "relu", "use_task_id": True, "task_type_vocab_size": 3},
    "Roberta": {"pad_token_id": 1},
    "Electra": {"embedding_size": 24},
}


@pytest.fixture(params=FAMILIES)
def family(request):
    """A classifier of another kind of encoder, and rows of which one is padded."""
    config = getattr(transformers, f"{request.param}Config")(
        **(SIZES | FAMILIES[request.param]), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    paddle.seed(3)
    model = noisy(getattr(transformers, f"{request.param}ForSequenceClassification")(config))
    ids = np.random.default_rng(0).integers(5, TOY.vocab_size, (4, 9))
    ids[1, 6:] = config.pad_token_id
    return model, (paddle.to_tensor(ids), paddle.zeros([4, 9], "int64"))


def logits(model, tokens):
    with paddle.no_grad():
        return models.forward(model, *tokens)[0].numpy()


def test_our_forward_is_paddlenlps_bit_for_bit(family):
    model, tokens = family
    with paddle.no_grad():
        theirs, hidden = model(*tokens, output_hidden_states=True)
        plain, plain_hidden = models.forward(model, *tokens)
        elastic.make_elastic(model)
        ours, ours_hidden = models.forward(model, *tokens)
    assert (theirs.numpy() == plain.numpy()).all() and (theirs.numpy() == ours.numpy()).all()
    assert len(hidden) == len(plain_hidden) == len(ours_hidden) == TOY.num_hidden_layers + 1
    for a, b, c in zip(hidden, plain_hidden, ours_hidden, strict=True):
        assert (a.numpy() == b.numpy()).all() and (a.numpy() == c.numpy()).all()


@pytest.mark.parametrize("subnet", [SubNet.at(0.5, 1.0, TOY), SubNet((4, 1, 2), (64, 7, 33)), SHALLOW])
def test_any_encoder_is_a_supernet(family, subnet):
    model, tokens = family
    full = logits(model, tokens)
    elastic.make_elastic(model)
    with elastic.selected(model, subnet):
        expected = logits(model, tokens)
    network = elastic.extract(model, subnet)
    np.testing.assert_allclose(logits(network, tokens), expected, atol=1e-6)
    with paddle.no_grad():
        np.testing.assert_allclose(network(*tokens).numpy(), expected, atol=1e-6)
    assert np.abs(expected - full).max() > 1e-3
    assert models.shape_of(network).num_hidden_layers == subnet.depth


def test_padding_is_what_the_network_calls_so(family):
    model, (ids, types) = family
    assert (models.padding(model, ids).numpy() == (np.arange(9) >= np.array([9, 6, 9, 9])[:, None])).all()
    longer = paddle.concat([ids, paddle.full([4, 3], model.config.pad_token_id, "int64")], axis=1)
    np.testing.assert_allclose(
        logits(model, (longer, paddle.zeros([4, 12], "int64"))), logits(model, (ids, types)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("subnet", "described"),
    [(SubNet.at(1.0, 2 / 3, TOY), None), (SHALLOW, {"heads": [4, 1], "neurons": [64, 9]})],
)
def test_a_network_with_layers_left_out_is_a_shorter_network_on_disk(toy, tokens, tmp_path, subnet, described):
    """Which layers they were, only its supernet has to know: any reader of BERTs takes the folder as it is."""
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL))
    network = elastic.extract(elastic.make_elastic(toy), subnet)
    models.save(network, tmp_path / "cut", ("no", "maybe", "yes"), plain(tmp_path / "vocab.txt"))
    assert json.loads((tmp_path / "cut" / "config.json").read_text())["num_hidden_layers"] == 2
    cut_to = tmp_path / "cut" / "subnet.json"
    assert (json.loads(cut_to.read_text()) if cut_to.exists() else None) == described
    loaded, folder = models.load(tmp_path / "cut")
    assert folder.shape.num_hidden_layers == 2 and elastic.full(loaded) == SubNet(subnet.heads, subnet.neurons)
    loaded.eval()
    assert (logits(loaded, tokens) == logits(network, tokens)).all()


def test_threads_share_the_rows_of_a_batch_and_change_no_more_than_rounding_does(toy, monkeypatch):
    ids = np.random.default_rng(0).integers(5, 40, (37, 11))
    types = np.zeros_like(ids)
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    alone = models.forward_of(toy)(ids, types)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    seen, forward = [], models.forward
    monkeypatch.setattr(models, "forward", lambda model, *batch: seen.append(len(batch[0])) or forward(model, *batch))
    forward_of = models.forward_of(toy)
    np.testing.assert_allclose(forward_of(ids, types), alone, atol=1e-6)
    assert sorted(seen) == [12, 12, 13]
    seen.clear()
    np.testing.assert_allclose(forward_of(ids[:15], types[:15]), alone[:15], atol=1e-6)
    assert seen == [15], "too few rows for two"
    used = []
    monkeypatch.setattr(models.process, "use_threads", used.append)
    monkeypatch.setenv("MKL_NUM_THREADS", "8")
    models.forward_of(toy)(ids[:16], types[:16])
    assert used == [4, 4, 8], "the other cores help in the products"
    with pytest.raises(ValueError):
        forward_of(np.full_like(ids, 10**6), types)

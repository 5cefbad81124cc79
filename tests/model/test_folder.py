"""Model folders: both layouts read to the same network, what we write we read, the rest is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, set_config
from safetensors.numpy import load_file, save_file

from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.tokens import tokenize
from ofa.errors import UserError
from ofa.evaluation.scores import evaluate
from ofa.model import network as models
from ofa.model.architectures import BERT
from ofa.model.folder import read_folder, read_weights, tensor_names
from ofa.model.network import forward_of
from ofa.settings.schema import Config, ModelConfig, TaskConfig
from ofa.stages.inputs import load_inputs
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet

Tokens = tuple[paddle.Tensor, paddle.Tensor]
THREE = TaskConfig("three", dev={"dev": "dev.tsv"}, text=["text"], labels=["no", "maybe", "yes"])


def logits(model: paddle.nn.Layer, tokens: Tokens) -> np.ndarray:
    model.eval()
    return models.forward(model, *tokens)[0].numpy()


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / "model.safetensors")


# Reading what we write


def test_written_and_read_again_is_the_same_network(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    loaded, folder = models.load(toy_folder)
    assert (logits(loaded, tokens) == logits(toy, tokens)).all()
    assert (folder.shape, folder.labels, folder.subnet) == (TOY, ("no", "maybe", "yes"), None)
    assert folder.named_labels and read_tokenizer(toy_folder).lower_case is True
    after = loaded.state_dict()
    assert all((value.numpy() == after.pop(key).numpy()).all() for key, value in toy.state_dict().items()) and not after


def test_what_is_written_is_hugging_faces_layout(toy: paddle.nn.Layer, toy_folder: Path) -> None:
    written = weights_of(toy_folder)
    linear = written["bert.encoder.layer.0.intermediate.dense.weight"]  # [out, in], as PyTorch
    assert linear.shape == (TOY.intermediate_size, TOY.hidden_size)
    assert (toy.bert.encoder.layers[0].linear1.weight.numpy() == linear.T).all()
    assert {BERT.paddle_name(name) for name in written} == set(toy.state_dict())
    assert {BERT.hugging_name(name) for name in toy.state_dict()} == set(written)
    assert json.loads((toy_folder / "config.json").read_text())["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}


def test_the_epsilon_of_the_norms_is_kept(toy_folder: Path, tmp_path: Path, tokens: Tokens) -> None:
    before = logits(models.load(toy_folder)[0], tokens)
    set_config(toy_folder, layer_norm_eps=1e-3)
    large, _ = models.load(toy_folder)
    assert np.abs(logits(large, tokens) - before).max() > 1e-5
    models.save(large, tmp_path / "again", ("no", "maybe", "yes"), plain(toy_folder / "vocab.txt"))
    again, folder = models.load(tmp_path / "again")
    assert folder.layer_norm_eps == 1e-3 and (logits(again, tokens) == logits(large, tokens)).all()


def test_a_cut_network_is_read_again_as_it_was(
    toy: paddle.nn.Layer, toy_folder: Path, tmp_path: Path, tokens: Tokens
) -> None:
    subnet = SubNet((3, 1, 2), (64, 10, 33))  # layers of different size, too
    elastic.make_elastic(toy)
    narrow = elastic.extract(toy, subnet)
    models.save(narrow, tmp_path / "cut", ("no", "maybe", "yes"), plain(toy_folder / "vocab.txt"))
    assert json.loads((tmp_path / "cut" / "subnet.json").read_text()) == subnet.to_dict()
    loaded, folder = models.load(tmp_path / "cut")
    assert folder.subnet == subnet == elastic.full(loaded) and folder.shape == TOY
    assert (logits(loaded, tokens) == logits(narrow, tokens)).all()
    assert not (logits(loaded, tokens) == logits(toy, tokens)).all()


# Reading what others write


@pytest.mark.job
def test_logits_and_accuracy_of_a_teacher_from_pytorch(shared: Path, compose: Callable[..., Config], tmp_path: Path):
    source = shared / "models" / "hf-bert-4x128-sst2"
    reference = json.loads((source / "reference.json").read_text())
    model, folder = models.load(source)
    model.eval()
    assert folder.labels == ("negative", "positive")
    for row in reference["rows"]:
        ids = paddle.to_tensor([row["input_ids"]])
        found, hidden = models.forward(model, ids, paddle.zeros_like(ids))
        assert np.abs(found.numpy()[0] - row["logits"]).max() < 1e-4
        assert np.abs(hidden[-1].numpy()[0, 0, :8] - row["last_hidden_first_token_head"]).max() < 1e-4

    config = compose(
        "task=sst2",
        "model=folder",
        f"model.path={source}",
        f"task.data_dir={shared / 'glue' / 'SST-2'}",
        "task.max_train_rows=64",
        "ofa=quarters",
        f"cache_dir={tmp_path}",
    )
    inputs = load_inputs(config)
    assert inputs.label_order == (0, 1)
    found = evaluate(forward_of(model), inputs.dev, config.task.metrics, 128)
    assert found["accuracy"] == 697 / 872 == pytest.approx(reference["dev_accuracy"])


def test_paddles_layout_reads_to_the_same_network(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    rewrite(toy_folder, {key: value.numpy() for key, value in toy.state_dict().items()})
    assert "bert.encoder.layers.0.self_attn.q_proj.weight" in weights_of(toy_folder)
    assert (logits(models.load(toy_folder)[0], tokens) == logits(toy, tokens)).all()


def test_an_allowed_paddle_pickle_reads_to_the_same_network(
    toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens
) -> None:
    (toy_folder / "model.safetensors").unlink()
    paddle.save(toy.state_dict(), str(toy_folder / "model_state.pdparams"))
    with pytest.raises(UserError, match="can run any code as it loads.*model.allow_pickle=true"):
        models.load(toy_folder)
    assert (logits(models.load(toy_folder, allow_pickle=True)[0], tokens) == logits(toy, tokens)).all()


def test_old_names_leftovers_and_half_precision(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in weights_of(toy_folder).items()
    }
    assert sum(key.endswith(".gamma") for key in old) == 2 * TOY.num_hidden_layers + 1
    leftovers = {
        "cls.predictions.transform.dense.weight": np.ones((2, 2), np.float32),
        "cls.seq_relationship.bias": np.ones(2, np.float32),
        "bert.embeddings.position_ids": np.arange(32)[None],
    }
    rewrite(toy_folder, old | leftovers)
    assert tensor_names(read_folder(toy_folder)) == set(toy.state_dict())
    assert (logits(models.load(toy_folder)[0], tokens) == logits(toy, tokens)).all()

    rewrite(toy_folder, {key: value.astype(np.float16) for key, value in old.items()})
    assert {value.dtype for value in read_weights(read_folder(toy_folder)).values()} == {np.dtype(np.float32)}
    assert np.abs(logits(models.load(toy_folder)[0], tokens) - logits(toy, tokens)).max() < 0.05

    # bfloat16 is the upper half of a float32; NumPy knows it by Paddle's leave.
    header, data = {}, b""
    for key, value in old.items():
        upper = value.view(np.uint16)[..., 1::2].tobytes()
        header[key] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [len(data), len(data) + len(upper)]}
        data += upper
    described = json.dumps(header).encode()
    (toy_folder / "model.safetensors").write_bytes(len(described).to_bytes(8, "little") + described + data)
    assert {value.dtype for value in read_weights(read_folder(toy_folder)).values()} == {np.dtype(np.float32)}
    assert np.abs(logits(models.load(toy_folder)[0], tokens) - logits(toy, tokens)).max() < 0.2


def test_a_bare_encoder_gets_a_new_classifier(toy: paddle.nn.Layer, toy_folder: Path, tokens: Tokens) -> None:
    whole = weights_of(toy_folder)
    bare = {key.removeprefix("bert."): value for key, value in whole.items() if not key.startswith("classifier.")}
    rewrite(toy_folder, bare)
    with pytest.raises(UserError, match="'classifier.weight' is missing"):
        models.load(toy_folder)
    model = models.load_encoder(toy_folder, num_labels=5, dropout=0.0)
    model.eval()
    assert model.classifier.weight.shape == [TOY.hidden_size, 5]
    toy.eval()
    assert (models.forward(model, *tokens)[1][-1].numpy() == models.forward(toy, *tokens)[1][-1].numpy()).all()
    assert (model.bert.pooler.dense.weight.numpy() == toy.bert.pooler.dense.weight.numpy()).all()

    rewrite(toy_folder, {key: value for key, value in bare.items() if not key.startswith("pooler.")})
    paddle.seed(1)
    model = models.load_encoder(toy_folder, num_labels=2, dropout=0.0)
    assert not (model.bert.pooler.dense.weight.numpy() == toy.bert.pooler.dense.weight.numpy()).all()


@pytest.fixture
def config(toy_folder: Path, tmp_path: Path) -> Config:
    """The toy as the model of a task of three classes."""
    config = Config(task=replace(THREE, data_dir=str(tmp_path)), model=ModelConfig("toy", path=str(toy_folder)))
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\nw5 w6\tno\nw7\tmaybe\nw8 w9 w10\tyes\n")
    config.trainer.max_seq_length, config.latency.seq_lengths, config.ofa.widths = 16, [16], [1.0, 0.5]
    config.cache_dir = str(tmp_path / "cache")
    return config


def test_whether_a_folder_is_the_teacher(config: Config, toy_folder: Path) -> None:
    assert load_inputs(config).label_order == (0, 1, 2)  # it has a classifier
    config.model.finetuned = True
    assert load_inputs(config).label_order == (0, 1, 2)
    config.model.finetuned = False
    assert load_inputs(config).label_order is None

    rewrite(toy_folder, {key: value for key, value in weights_of(toy_folder).items() if "classifier" not in key})
    config.model.finetuned = None
    assert load_inputs(config).label_order is None
    config.model.finetuned = True
    with pytest.raises(UserError, match="model.finetuned: .* has no classifier; leave model.finetuned out to train"):
        load_inputs(config)


def test_another_vocabulary_is_refused(config: Config, toy_folder: Path, tmp_path: Path) -> None:
    lines = (toy_folder / "vocab.txt").read_text().splitlines()
    config.model.vocab = str(tmp_path / "own.txt")
    for other in (lines[:-1] + ["another"], lines[:50]):
        Path(config.model.vocab).write_text("\n".join(other) + "\n")
        with pytest.raises(UserError, match="model.vocab: .*own.txt differs from .*vocab.txt, which the model was"):
            load_inputs(config)
    Path(config.model.vocab).write_text("\n".join(lines) + "\n")
    assert load_inputs(config).tokenizer.vocab is not None

    config.model.vocab = None
    (toy_folder / "vocab.txt").write_text("\n".join([*lines, "one", "more"]) + "\n")
    with pytest.raises(UserError, match=r"the vocabulary has 99 entries, the embeddings of .*toy 97; use the voc"):
        load_inputs(config)
    (toy_folder / "vocab.txt").unlink()
    with pytest.raises(
        UserError, match="no vocab.txt or tokenizer.json in .*; give the model's vocabulary with model.vocab=..."
    ):
        load_inputs(config)


def test_a_cased_vocabulary_without_a_word_about_case_is_not_fed_lower_case(config: Config, toy_folder: Path) -> None:
    (toy_folder / "tokenizer_config.json").unlink()
    vocab = toy_folder / "vocab.txt"
    vocab.write_text(vocab.read_text().replace("w1", "W1"))
    with pytest.raises(UserError, match=r"model.lower_case: true, but 10 entries of .* set model.lower_case=false"):
        load_inputs(config)
    config.model.lower_case = False
    assert load_inputs(config).tokenizer.lower_case is False


def test_a_cased_tokenizer_is_not_fed_lower_case(config: Config, toy_folder: Path) -> None:
    (toy_folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    with pytest.raises(UserError, match="model.lower_case: True, but .* do_lower_case False; set model.lower_case=fal"):
        load_inputs(config)
    config.model.lower_case = False
    inputs = load_inputs(config)
    assert tokenize(inputs.rows["dev"], inputs.tokenizer, 16).input_ids.size


def test_what_config_json_must_say(toy_folder: Path) -> None:
    original = (toy_folder / "config.json").read_text()
    for values, words in (
        ({"model_type": "gpt2"}, "model_type is 'gpt2'; allowed: 'bert', 'ernie', 'roberta', 'electra'"),
        ({"hidden_act": "relu"}, "config.json: hidden_act is 'relu'; allowed: 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "allowed: 'absolute'"),
        ({"hidden_size": 50}, "hidden_size 50 is not a multiple of num_attention_heads 4"),
        ({"hidden_size": "48"}, "hidden_size is '48'; allowed: a whole number from 1"),
        ({"max_position_embeddings": None}, "max_position_embeddings is None; allowed: a whole number from 1"),
        ({"layer_norm_eps": 0.1}, "layer_norm_eps is 0.1; allowed: a number above 0, up to 0.001"),
        ({"id2label": ["no", "yes"]}, "id2label is ['no', 'yes']; allowed: names by number"),
        ({"id2label": {"first": "no"}}, "id2label is {'first': 'no'}; allowed: names by number"),
        ({"id2label": None, "num_labels": "3"}, "num_labels is '3'; allowed: a whole number from 1"),
    ):
        (toy_folder / "config.json").write_text(original)
        set_config(toy_folder, **values)
        with pytest.raises(UserError) as refused:
            read_folder(toy_folder)
        assert words in str(refused.value)

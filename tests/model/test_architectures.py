from dataclasses import replace

import pytest

from ofa.model.architectures import ARCHITECTURES, BERT, is_linear

NAMES = {  # Hugging Face's -> Paddle's
    "bert.embeddings.word_embeddings.weight": "bert.embeddings.word_embeddings.weight",
    "bert.embeddings.LayerNorm.bias": "bert.embeddings.layer_norm.bias",
    "bert.encoder.layer.11.attention.self.query.weight": "bert.encoder.layers.11.self_attn.q_proj.weight",
    "bert.encoder.layer.0.attention.output.LayerNorm.weight": "bert.encoder.layers.0.norm1.weight",
    "bert.encoder.layer.0.output.dense.bias": "bert.encoder.layers.0.linear2.bias",
    "bert.pooler.dense.weight": "bert.pooler.dense.weight",
    "classifier.weight": "classifier.weight",
}


@pytest.mark.parametrize("prefix", ["bert", "ernie"])
def test_names_there_and_back(prefix):
    """The prefix is the architecture's; the parts have the same names in all of them."""
    architecture = replace(BERT, name=prefix)
    for hugging, paddle in NAMES.items():
        hugging, paddle = hugging.replace("bert.", f"{prefix}."), paddle.replace("bert.", f"{prefix}.")
        assert architecture.paddle_name(hugging) == paddle == architecture.paddle_name(paddle)
        assert architecture.hugging_name(paddle) == hugging
        if hugging.startswith(prefix):
            assert architecture.paddle_name(hugging.removeprefix(f"{prefix}.")) == paddle, "saved from the bare encoder"


def test_what_a_classifier_has_no_use_for_is_left_out():
    for name in ("cls.predictions.bias", "bert.embeddings.position_ids"):
        assert BERT.paddle_name(name) is None


def test_names_that_are_unknown_stay():
    assert BERT.paddle_name("bert.encoder.layer.0.adapter.weight") == "bert.encoder.layer.0.adapter.weight"


def test_only_weights_of_linear_layers_are_transposed():
    linears = {name for name in NAMES.values() if is_linear(name)}
    assert linears == {
        "bert.encoder.layers.11.self_attn.q_proj.weight",
        "bert.pooler.dense.weight",
        "classifier.weight",
    }
    assert is_linear("electra.embeddings_project.weight")


def test_the_table_is_by_name():
    assert all(name == architecture.name for name, architecture in ARCHITECTURES.items())

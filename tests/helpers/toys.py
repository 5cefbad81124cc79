"""Where the repository is, and a toy BERT."""

from __future__ import annotations

import json
from pathlib import Path

import paddle
from hypothesis import strategies as st

from ofa.supernet.subnet import EncoderShape, SubNet

REPO = Path(__file__).parents[2]
TOY = EncoderShape(3, 48, 4, 64, vocab_size=97, max_position_embeddings=32, num_labels=3)


def noisy(model: paddle.nn.Layer) -> paddle.nn.Layer:
    """Biases and norms start at 0 and 1, which would hide mistakes with them."""
    paddle.seed(7)
    for parameter in model.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.1, parameter.shape))
    model.eval()
    return model


@st.composite
def subnets_of_the_toy(draw: st.DrawFn) -> SubNet:
    """Any sub-network of the toy: any layers left out, other sizes in each."""
    layers = sorted(draw(st.sets(st.integers(0, TOY.num_hidden_layers - 1), min_size=1)))
    heads = (draw(st.integers(1, TOY.num_attention_heads)) for _ in layers)
    neurons = (draw(st.integers(1, TOY.intermediate_size)) for _ in layers)
    return SubNet(tuple(heads), tuple(neurons), tuple(layers))


def set_config(folder: Path, **values: object) -> None:
    """Change what the ``config.json`` of a model folder says."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))

"""Where the repository is, and a toy BERT."""

from __future__ import annotations

from pathlib import Path

import paddle

from ofa.supernet.subnet import BertShape

REPO = Path(__file__).parents[2]
TOY = BertShape(3, 48, 4, 64, vocab_size=97, max_position_embeddings=32, num_labels=3)


def noisy(model: paddle.nn.Layer) -> paddle.nn.Layer:
    """Biases and norms start at 0 and 1, which would hide mistakes with them."""
    paddle.seed(7)
    for parameter in model.parameters():
        parameter.set_value(parameter + paddle.normal(0.0, 0.1, parameter.shape))
    model.eval()
    return model

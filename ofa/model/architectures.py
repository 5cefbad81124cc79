"""What differs between kinds of encoders: what config.json must say, and the names of tensors in both layouts."""

from __future__ import annotations

import re

# What this BERT computes; a config.json that says otherwise describes another network.
KIND = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "pool_act": "tanh",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
# Hugging Face's name of each part of a block -> Paddle's.
_BLOCK = {
    "attention.self.query": "self_attn.q_proj",
    "attention.self.key": "self_attn.k_proj",
    "attention.self.value": "self_attn.v_proj",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_BLOCK_BACK = {paddle: hugging for hugging, paddle in _BLOCK.items()}
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
# Parts of a pretraining checkpoint that a classifier has no use for.
_UNUSED = re.compile(r"^(cls\.|.*position_ids$|.*\.num_batches_tracked$)")


def paddle_name(name: str) -> str | None:
    """Paddle's name of a tensor from either layout, with the ``bert.`` prefix; None if unused."""
    if _UNUSED.match(name):
        return None
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    if not name.startswith(("bert.", "classifier.")):
        name = f"bert.{name}"  # saved from the bare encoder
    block = re.match(r"bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$", name)
    if block and block[2] in _BLOCK:
        return f"bert.encoder.layers.{block[1]}.{_BLOCK[block[2]]}.{block[3]}"
    return name.replace("embeddings.LayerNorm", "embeddings.layer_norm")


def hugging_name(name: str) -> str:
    """Hugging Face's name of one of Paddle's tensors."""
    block = re.match(r"bert\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$", name)
    if block:
        return f"bert.encoder.layer.{block[1]}.{_BLOCK_BACK[block[2]]}.{block[3]}"
    return name.replace("embeddings.layer_norm", "embeddings.LayerNorm")


def is_linear(paddle_key: str) -> bool:
    """Whether a Paddle tensor is the weight of a linear layer, stored transposed by PyTorch."""
    return paddle_key.endswith("weight") and "embedding" not in paddle_key and "norm" not in paddle_key

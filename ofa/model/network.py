"""Build, load, save and run an encoder classifier: PaddleNLP's, of any known architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import Tensor, nn
from paddlenlp import transformers

from ofa.errors import UserError
from ofa.model.architectures import ARCHITECTURES, BERT, Architecture
from ofa.model.folder import Folder, read_folder, read_weights, write_folder
from ofa.model.hugging_face import DEFAULT_SIZES, SIZES
from ofa.supernet import elastic
from ofa.supernet.blocks import base, blocks
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import process

if TYPE_CHECKING:
    from ofa.data.tokenizer import TextTokenizer

# Of a thread that shares a batch with others: fewer make thin matrix products; cores beyond that help in the products.
LEAST_ROWS = 8
OF_PADDLE = (*SIZES, *DEFAULT_SIZES, "num_labels")  # of a shape, in the configuration of PaddleNLP's networks


def build(
    shape: EncoderShape,
    dropout: float = 0.1,
    layer_norm_eps: float = 1e-12,
    architecture: Architecture = BERT,
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Layer:
    """A classifier with random weights (normal, 0.02), drawn from Paddle's current seed."""
    config_class, classifier = (getattr(transformers, name) for name in architecture.classes)
    config = config_class(
        **{key: getattr(shape, key) for key in OF_PADDLE},
        **{key: size for key in architecture.sizes if (size := getattr(shape, key))},
        **extra,
        pad_token_id=architecture.pad,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        layer_norm_eps=layer_norm_eps,
    )
    model = classifier(config)
    for layer in model.sublayers():
        if isinstance(layer, nn.LayerNorm):
            layer._epsilon = layer_norm_eps  # PaddleNLP's ERNIE has 1e-12, whatever its configuration says
    return model


def _build(folder: Folder, shape: EncoderShape, dropout: float) -> nn.Layer:
    model = build(shape, dropout, folder.layer_norm_eps, folder.architecture, folder.extra)
    set_pad(model, folder.pad)
    if folder.subnet is not None:
        elastic.cut(model, folder.subnet)
    return model


def set_pad(model: nn.Layer, pad: int) -> None:
    """Take the token id ``pad`` for padding, which attention passes over.

    Raises:
        UserError: if positions are counted from another token's id.
    """
    stem = base(model)
    if kind_of(model).after_pad and pad != stem.embeddings.padding_idx:
        raise UserError(
            f"model.path: the tokenizer pads with {pad}, but positions are counted from pad_token_id "
            f"{stem.embeddings.padding_idx} of config.json; give the tokenizer that the model was trained with"
        )
    stem.pad_token_id = stem.config.pad_token_id = pad
    words = stem.embeddings.word_embeddings
    if words._padding_idx is not None:
        words._padding_idx = pad  # of this token Paddle makes zeros


def kind_of(model: nn.Layer) -> Architecture:
    """The architecture of a PaddleNLP classifier."""
    return ARCHITECTURES[base(model).config.model_type]


def permute_classes(model: nn.Layer, order: Sequence[int]) -> None:
    """Bring the classes into the order of their numbers ``order``, in place."""
    output = attrgetter(kind_of(model).output)(model)
    index = paddle.to_tensor(np.array(order), dtype="int64")
    output.weight.set_value(paddle.index_select(output.weight.detach(), index, axis=1))
    output.bias.set_value(paddle.index_select(output.bias.detach(), index))


def rescale(model: nn.Layer, factor: float, shift: float) -> None:
    """Make every logit ``factor`` times what it is, plus ``shift``, in place: by the weights of the last product."""
    output = attrgetter(kind_of(model).output)(model)
    output.weight.set_value(output.weight.detach() * factor)
    output.bias.set_value(output.bias.detach() * factor + shift)


def load(path: str | Path, dropout: float = 0.1, allow_pickle: bool = False) -> tuple[nn.Layer, Folder]:
    """A model with every weight from the folder ``path``, cut networks included.

    Raises:
        UserError: if a tensor is missing, unknown or of another shape than ``config.json`` says.
    """
    folder = read_folder(path)
    model = _build(folder, folder.shape, dropout)
    _fill(model, read_weights(folder, allow_pickle), folder.path)
    return model, folder


def load_encoder(path: str | Path, num_labels: int, dropout: float, allow_pickle: bool = False) -> nn.Layer:
    """The encoder of the folder ``path`` under a new classifier with ``num_labels`` outputs.

    A pooler that the folder lacks starts from random weights, as the classifier does.
    """
    folder = read_folder(path)
    model = _build(folder, replace(folder.shape, num_labels=num_labels), dropout)
    tensors = {k: v for k, v in read_weights(folder, allow_pickle).items() if not k.startswith("classifier.")}
    _fill(model, tensors, folder.path, optional=("classifier.", f"{model.base_model_prefix}.pooler."))
    return model


def _fill(model: nn.Layer, tensors: dict[str, np.ndarray], source: Path, optional: tuple[str, ...] = ()) -> None:
    state = model.state_dict()
    missing = [key for key in state if key not in tensors and not key.startswith(optional or ("\0",))]
    unknown = [key for key in tensors if key not in state]
    if missing or unknown:
        what, keys = ("is missing", missing) if missing else ("is not part of this network", unknown)
        more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        more += f", instead there is {unknown[0]!r}" if missing and unknown else ""
        raise UserError(f"{source}: tensor {keys[0]!r} {what}{more}; it does not match its config.json")
    for key, value in tensors.items():
        if tuple(state[key].shape) != value.shape:
            raise UserError(
                f"{source}: {key} has shape {list(value.shape)}, config.json asks for {list(state[key].shape)}"
            )
    model.set_state_dict({key: paddle.to_tensor(value) for key, value in tensors.items()})


def save(
    model: nn.Layer, path: Path, labels: tuple[str, ...], tokenizer: TextTokenizer, problem_type: str | None = None
) -> None:
    """Save a plain or elastic ``model`` with its tokenizer as a folder that :func:`load` reads."""
    shape, config, kept = shape_of(model), base(model).config, elastic.full(model)
    architecture = kind_of(model)
    extra = {key: getattr(config, key) for key in architecture.choices}
    subnet = kept if kept != SubNet.full(shape) else None
    eps, pad = config.layer_norm_eps, config.pad_token_id
    folder = Folder(path, shape, labels, eps, subnet, architecture, extra, pad, problem_type)
    write_folder(folder, {key: value.numpy() for key, value in model.state_dict().items()})
    tokenizer.write(path, shape.max_tokens)


def shape_of(model: nn.Layer) -> EncoderShape:
    """Sizes of the full network that ``model`` is, or was cut from, with the layers it has."""
    config = base(model).config
    kind = kind_of(model)
    further = kind.further_sizes({"use_task_id": getattr(config, "use_task_id", True)})
    sizes = {key: getattr(config, key) for key in (*OF_PADDLE, *further)}
    sizes["first_position"] = config.pad_token_id + 1 if kind.after_pad else 0
    return EncoderShape(**{**sizes, "num_hidden_layers": len(blocks(model))})


def padding(model: nn.Layer, input_ids: Tensor) -> Tensor:
    """``[B, S]`` of ``input_ids`` ``[B, S]``: whether there is no token."""
    return input_ids == base(model).pad_token_id


def embed(model: nn.Layer, input_ids: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings ``[B, S, H]`` of ``input_ids`` ``[B, S]``, and the attention bias ``[B, 1, 1, S]``.

    The same for every sub-network, so a supernet computes them once per batch.
    """
    stem = base(model)
    bias = padding(model, input_ids).astype(stem.embeddings.word_embeddings.weight.dtype) * -1e4
    embeddings = stem.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
    if hasattr(stem, "embeddings_project"):  # a small ELECTRA's are narrower than its blocks
        embeddings = stem.embeddings_project(embeddings)
    return embeddings, bias.unsqueeze([1, 2])


def run_blocks(model: nn.Layer, embeddings: Tensor, bias: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the selected blocks and the head on the result of :func:`embed`; no bias is needed where nothing is padded.

    Returns:
        Logits ``[B, C]`` and hidden states ``[B, S, H]``: the embeddings, then the output of each selected layer.
    """
    hidden = [embeddings]
    for block in blocks(model):
        if block.kept:
            hidden.append(block.layer(hidden[-1], src_mask=bias))
    return head(model, hidden[-1]), tuple(hidden)


def head(model: nn.Layer, output: Tensor) -> Tensor:
    """Logits ``[B, C]`` of the last block's ``output`` ``[B, S, H]``."""
    pooler = getattr(base(model), "pooler", None)
    if pooler is None:  # RoBERTa's and ELECTRA's classifiers take the hidden states as they are
        return model.classifier(output)
    return model.classifier(model.dropout(pooler(output)))


def forward(model: nn.Layer, input_ids: Tensor, token_type_ids: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits and hidden states: :func:`embed`, then :func:`run_blocks`."""
    return run_blocks(model, *embed(model, input_ids, token_type_ids))


# input_ids [B, S] and token_type_ids [B, S] (int64) -> logits [B, C] (float32)
Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]


def forward_of(model: nn.Layer) -> Forward:
    """``model`` in evaluation mode as a function of arrays.

    On a CPU, threads share the rows of a batch: of Paddle's kernels, matrix products alone run on several cores.
    """
    threads = process.sharing()

    def part(input_ids: np.ndarray, token_type_ids: np.ndarray) -> np.ndarray:
        with paddle.no_grad():
            logits, _ = forward(model, paddle.to_tensor(input_ids), paddle.to_tensor(token_type_ids))
        return logits.astype("float32").numpy()

    def answer(*arrays: np.ndarray) -> np.ndarray:
        model.eval()
        parts = min(threads, len(arrays[0]) // LEAST_ROWS)
        if parts < 2:
            return part(*arrays)

        def share(*rows: np.ndarray) -> np.ndarray:
            process.use_threads(threads // parts)
            return part(*rows)

        try:
            return np.concatenate(list(_pool(threads).map(share, *(np.array_split(array, parts) for array in arrays))))
        finally:
            process.use_threads(threads)

    return answer


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)

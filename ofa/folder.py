"""Model folders: what is in one, and reading and writing its weights without Paddle.

A folder holds ``config.json`` and weights. Hugging Face and Paddle folders differ in the names of
their tensors and in the orientation of linear weights; both are read into Paddle's names here. The
project writes Hugging Face's layout (safetensors), so that a teacher it made loads in Transformers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofa.errors import UserError
from ofa.subnet import BertShape, SubNet

WEIGHTS = "model.safetensors"
PICKLES = ("model_state.pdparams", "pytorch_model.bin")
SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")

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


@dataclass(frozen=True)
class Folder:
    """What a model folder says of itself.

    Attributes:
        labels: class names in class order, as far as config.json names them.
        named_labels: False where the names are Hugging Face's placeholders (LABEL_0, ...).
        subnet: for a network cut from a supernet, its heads and neurons.
    """

    path: Path
    shape: BertShape
    labels: tuple[str, ...]
    layer_norm_eps: float
    subnet: SubNet | None = None

    @property
    def named_labels(self) -> bool:
        return not all(re.fullmatch(r"LABEL_\d+", label) for label in self.labels)


def read_folder(path: str | Path) -> Folder:
    """Read the description of a model folder; weights stay on disk.

    Raises:
        UserError: if there is no folder, no readable ``config.json``, or a size missing from it.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise UserError(f"model.path: {path} is not a folder; give one with config.json and {WEIGHTS}")
    config_file = path / "config.json"
    try:
        config = json.loads(config_file.read_text())
        values = {key: config[key] for key in SIZES}
    except FileNotFoundError:
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise UserError(f"model.path: no config.json in {path} (found: {found})") from None
    except KeyError as error:
        raise UserError(f"{config_file}: no {error.args[0]!r}; a BERT needs {', '.join(SIZES)}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{config_file}: not readable as JSON ({error})") from None
    _check_sizes(config_file, config, values)
    names = config.get("id2label") or {}
    labels = tuple(names[key] for key in sorted(names, key=int))
    count = len(labels) or int(config.get("num_labels", 2))
    shape = BertShape(
        **values,
        max_position_embeddings=config.get("max_position_embeddings", 512),
        type_vocab_size=config.get("type_vocab_size", 2),
        num_labels=count,
    )
    subnet_file = path / "subnet.json"
    subnet = SubNet.from_dict(json.loads(subnet_file.read_text())) if subnet_file.exists() else None
    labels = labels or tuple(f"LABEL_{i}" for i in range(count))
    return Folder(path, shape, labels, config.get("layer_norm_eps", 1e-12), subnet)


def _check_sizes(config_file: Path, config: dict, values: dict) -> None:
    kind = config.get("model_type", "bert")
    if kind != "bert":
        raise UserError(f"{config_file}: model_type is {kind!r}; allowed: 'bert'")
    for key, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{config_file}: {key} is {value!r}; allowed: a whole number from 1")
    if values["hidden_size"] % values["num_attention_heads"]:
        raise UserError(
            f"{config_file}: hidden_size {values['hidden_size']} is not a multiple of "
            f"num_attention_heads {values['num_attention_heads']}"
        )


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


def _is_linear(paddle_key: str) -> bool:
    """Whether a Paddle tensor is the weight of a linear layer, stored transposed by PyTorch."""
    return paddle_key.endswith("weight") and "embedding" not in paddle_key and "norm" not in paddle_key


def _raw_tensors(folder: Path, allow_pickle: bool) -> tuple[Path, dict[str, np.ndarray]]:
    weights = folder / WEIGHTS
    if weights.exists():
        from safetensors.numpy import load_file

        try:
            return weights, load_file(weights)
        except Exception as error:  # safetensors raises its own and plain exceptions alike
            raise UserError(f"{weights}: not a whole safetensors file ({error})") from None
    pickles = [folder / name for name in PICKLES if (folder / name).exists()]
    if not pickles:
        raise UserError(f"model.path: no weights in {folder}; looked for {WEIGHTS}, {', '.join(PICKLES)}")
    if not allow_pickle:
        raise UserError(
            f"{pickles[0]}: a pickle can run any code as it loads; convert it to {WEIGHTS}, "
            "or trust it with model.allow_pickle=true"
        )
    return pickles[0], _unpickle(pickles[0])


def _unpickle(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".bin":
        raise UserError(f"{path}: PyTorch pickles need PyTorch; convert the file to {WEIGHTS} with Transformers")
    import paddle

    try:
        return {key: np.asarray(value) for key, value in paddle.load(str(path), return_numpy=True).items()}
    except Exception as error:
        raise UserError(f"{path}: not readable by paddle.load ({error})") from None


def read_weights(folder: Path, allow_pickle: bool = False) -> dict[str, np.ndarray]:
    """All tensors of a folder under Paddle's names and in Paddle's orientation, float32.

    Raises:
        UserError: if the weights are missing, damaged, a pickle that was not allowed, or not finite.
    """
    source, raw = _raw_tensors(folder, allow_pickle)
    # Only PyTorch's layout says `encoder.layer.`; its linear weights are [out, in], Paddle's [in, out].
    transposed = any("encoder.layer." in name for name in raw)
    tensors = {}
    for name, value in raw.items():
        key = paddle_name(name)
        if key is None:
            continue
        value = value.astype(np.float32)
        if not np.isfinite(value).all():
            raise UserError(f"{source}: {name} holds values that are not finite; the checkpoint is damaged")
        tensors[key] = np.ascontiguousarray(value.T) if transposed and _is_linear(key) else value
    return tensors


def tensor_names(folder: Path, allow_pickle: bool = False) -> set[str]:
    """Names of a folder's tensors as Paddle has them; of safetensors only the header is read."""
    weights = folder / WEIGHTS
    if not weights.exists():
        return set(read_weights(folder, allow_pickle))
    from safetensors import safe_open

    try:
        with safe_open(weights, framework="numpy") as file:
            return {name for name in map(paddle_name, file.keys()) if name}
    except Exception as error:
        raise UserError(f"{weights}: not a whole safetensors file ({error})") from None


def write_folder(
    path: Path, tensors: dict[str, np.ndarray], shape: BertShape, labels: tuple[str, ...], subnet: SubNet | None = None
) -> None:
    """Write Paddle-named ``tensors`` as a Hugging Face folder (plus ``subnet.json`` for a cut network)."""
    from safetensors.numpy import save_file

    path.mkdir(parents=True, exist_ok=True)
    renamed = {
        hugging_name(key): np.ascontiguousarray(value.T if _is_linear(key) else value) for key, value in tensors.items()
    }
    save_file(renamed, path / WEIGHTS, metadata={"format": "pt"})
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        **{key: getattr(shape, key) for key in (*SIZES, "max_position_embeddings", "type_vocab_size")},
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if subnet is not None:
        (path / "subnet.json").write_text(json.dumps(subnet.to_dict()) + "\n")

"""Model folders: what is in one, and reading and writing its weights without Paddle.

A folder holds ``config.json`` and weights. Hugging Face and Paddle folders differ in the names of
their tensors and in the orientation of linear weights; both are read into Paddle's names here. The
project writes Hugging Face's layout (safetensors), so that a teacher it made loads in Transformers.
"""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ofa.errors import UserError
from ofa.model import hugging_face
from ofa.model.architectures import ARCHITECTURES, BERT, Architecture, is_linear
from ofa.model.hugging_face import DEFAULT_SIZES, SIZES
from ofa.model.weights import WEIGHTS, size_problem, stored_shapes, stored_tensors
from ofa.supernet.subnet import EncoderShape, SubNet
from ofa.system import files
from ofa.system.files import expanded, read_json

MOST = {"num_hidden_layers": 10_000, "num_labels": 100_000}  # more is a mistake, and would be made into a list


@dataclass(frozen=True)
class Folder:
    """What a model folder says of itself.

    Attributes:
        labels: class names in class order, as far as config.json names them.
        named_labels: False where the names are Hugging Face's placeholders (LABEL_0, ...).
        shape: sizes as config.json has them: the heads are those of the network that this one was cut from, if it was.
        subnet: for a cut network, its heads and neurons.
        extra: values of the settings that its architecture needs besides sizes.
        pad: token id of padding.
        problem_type: what Transformers is to make of the logits, where their number does not say it; only written.
    """

    path: Path
    shape: EncoderShape
    labels: tuple[str, ...]
    layer_norm_eps: float = 1e-12
    subnet: SubNet | None = None
    architecture: Architecture = BERT
    extra: Mapping[str, Any] = field(default_factory=dict)
    pad: int = 0
    problem_type: str | None = None

    @property
    def named_labels(self) -> bool:
        return not all(re.fullmatch(r"LABEL_\d+", label) for label in self.labels)

    @property
    def digest(self) -> str:
        """SHA-256 over config.json and every weights file."""
        kinds = {".json", ".safetensors", ".pdparams", ".bin"}
        found = sorted(path for path in self.path.iterdir() if path.suffix in kinds and path.is_file())
        return hashlib.sha256("".join(path.name + files.file_digest(path) for path in found).encode()).hexdigest()

    @property
    def own_shape(self) -> EncoderShape:
        """The sizes of the network itself, as of one that others are cut from.

        Raises:
            UserError: if its layers differ, as widths are shares of what every layer has.
        """
        if self.subnet is None:
            return self.shape
        if len(set(self.subnet.heads)) > 1 or len(set(self.subnet.neurons)) > 1:
            raise UserError(
                f"model.path: layers of {self.path} differ in heads or neurons ({str(self.subnet.to_dict())[:80]}), "
                "and widths are shares of what every layer has; give a network whose layers are alike"
            )
        heads, neurons = self.subnet.heads[0], self.subnet.neurons[0]
        origin = self.shape.num_attention_heads
        own = replace(self.shape, num_attention_heads=heads, intermediate_size=neurons)
        return own if heads == origin else replace(own, original_heads=origin)


def read_folder(path: str | Path) -> Folder:
    """Read the description of a model folder; weights stay on disk.

    Raises:
        UserError: if there is no folder, no readable ``config.json``, one of an unknown architecture, or one whose
            sizes are not those of the weights.
    """
    path = expanded(path)
    if not path.is_dir():
        raise UserError(f"model.path: {path} is not a folder; give one with config.json and {WEIGHTS}")
    config_file = path / "config.json"
    if not config_file.exists():
        found = ", ".join(sorted(p.name for p in path.iterdir())[:8]) or "nothing"
        raise UserError(f"model.path: no config.json in {path} (found: {found})")
    config = read_json(config_file)
    architecture = _architecture(config_file, config)
    labels = _labels(config_file, config)
    sizes = _sizes(config_file, config)
    extra = _extra(config_file, config, architecture)
    for key, default in architecture.further_sizes(extra).items():
        sizes[key] = config.get(key, default)
        _check_count(config_file, key, sizes[key])
    eps = config.get("layer_norm_eps", 1e-12)
    if not isinstance(eps, float) or not 0 < eps <= 1e-3:  # Paddle takes no more
        raise UserError(f"{config_file}: layer_norm_eps is {eps!r}; allowed: a number above 0, up to 0.001")
    pad = config.get("pad_token_id")
    pad = architecture.pad if pad is None else pad
    if type(pad) is not int or not 0 <= pad < sizes["vocab_size"]:
        raise UserError(f"{config_file}: pad_token_id is {reprlib.repr(pad)}; allowed: a token id")
    shape = EncoderShape(**sizes, num_labels=len(labels), first_position=pad + 1 if architecture.after_pad else 0)
    if shape.max_tokens < 1:
        raise UserError(
            f"{config_file}: max_position_embeddings is {shape.max_position_embeddings}; allowed: {pad + 2} up"
        )
    subnet = _subnet(path / "subnet.json", shape) or hugging_face.subnet_of(config_file, config, shape)
    stored = stored_shapes(path)
    if stored is not None:
        named = {"num_labels": len(labels)} if config.get("id2label") or "num_labels" in config else {}
        problem = size_problem(sizes | named, stored, architecture, subnet.neurons[0] if subnet else None)
        if problem:
            raise UserError(f"{path}: {problem}")
    return Folder(path, shape, labels, eps, subnet, architecture, extra, pad)


def _architecture(config_file: Path, config: Mapping[str, Any]) -> Architecture:
    """The architecture that ``config`` names (BERT if none), once it is sure to describe nothing else."""
    kind = config.get("model_type")
    known = [architecture for architecture in ARCHITECTURES.values() if kind in (None, architecture.name)]
    if not known:
        allowed = ", ".join(map(repr, ARCHITECTURES))
        raise UserError(f"{config_file}: model_type is {reprlib.repr(kind)}; allowed: {allowed}")
    for key, expected in known[0].fixed.items():
        if config.get(key) not in (None, expected):
            raise UserError(f"{config_file}: {key} is {reprlib.repr(config[key])}; allowed: {expected!r}")
    return known[0]


def _extra(config_file: Path, config: Mapping[str, Any], kind: Architecture) -> dict[str, Any]:
    """What ``config`` says of the keys that ``kind`` needs besides sizes."""
    extra = kind.defaults
    for key, allowed in kind.choices.items():
        extra[key] = extra[key] if config.get(key) is None else config[key]
        if not any(type(extra[key]) is type(value) and extra[key] == value for value in allowed):
            words = " or ".join(json.dumps(value) for value in allowed)
            raise UserError(f"{config_file}: {key} is {reprlib.repr(extra[key])}; allowed: {words}")
    return extra


def _sizes(config_file: Path, config: Mapping[str, Any]) -> dict[str, int]:
    missing = [key for key in SIZES if key not in config]
    if missing:
        raise UserError(f"{config_file}: no {', '.join(missing)}; an encoder needs {', '.join(SIZES)}")
    values = {key: config[key] for key in SIZES} | {key: config.get(key, DEFAULT_SIZES[key]) for key in DEFAULT_SIZES}
    for key, value in values.items():
        _check_count(config_file, key, value)
    if values["hidden_size"] % values["num_attention_heads"]:
        raise UserError(
            f"{config_file}: hidden_size {values['hidden_size']} is not a multiple of "
            f"num_attention_heads {values['num_attention_heads']}"
        )
    return values


def _check_count(config_file: Path, key: str, value: Any) -> None:
    most = MOST.get(key, 2**31 - 1)
    if type(value) is not int or not 1 <= value <= most:
        to = f", up to {most}" if key in MOST else ""
        raise UserError(f"{config_file}: {key} is {reprlib.repr(value)}; allowed: a whole number from 1{to}")


def _labels(config_file: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in class order; placeholders where ``config`` has only their number, or nothing."""
    names, count = config.get("id2label") or {}, config.get("num_labels", 2)
    if not isinstance(names, dict) or not all(key.isdecimal() and len(key) < 10 for key in names):
        shown = reprlib.repr(names)
        raise UserError(f'{config_file}: id2label is {shown}; allowed: names by number, {{"0": "negative", ...}}')
    _check_count(config_file, "num_labels", count)
    return tuple(str(names[key]) for key in sorted(names, key=int)) or tuple(f"LABEL_{i}" for i in range(count))


def _subnet(path: Path, shape: EncoderShape) -> SubNet | None:
    if not path.exists():
        return None
    values = read_json(path)
    try:
        subnet = SubNet.from_dict(values)
        fits = subnet.fits(SubNet.full(shape)) and subnet.depth == shape.num_hidden_layers
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise UserError(
            f"{path}: {str(values)[:80]} is no sub-network of {shape.num_hidden_layers} layers with at most "
            f"{shape.num_attention_heads} heads and {shape.intermediate_size} neurons"
        )
    return subnet


def read_weights(folder: Folder, allow_pickle: bool = False) -> dict[str, np.ndarray]:
    """All tensors of a folder under Paddle's names and in Paddle's orientation, float32.

    Raises:
        UserError: if the weights are missing, damaged, a pickle that was not allowed, or not finite.
    """
    source, raw = stored_tensors(folder.path, allow_pickle)
    # Only PyTorch's layout says `encoder.layer.`; its linear weights are [out, in], Paddle's [in, out].
    transposed = any("encoder.layer." in name for name in raw)
    tensors = {}
    for name, value in raw.items():
        key = folder.architecture.paddle_name(name)
        if key is None:
            continue
        value = value.astype(np.float32)
        if not np.isfinite(value).all():
            raise UserError(f"{source}: {name} holds values that are not finite; the checkpoint is damaged")
        tensors[key] = np.ascontiguousarray(value.T) if transposed and is_linear(key) else value
    return tensors


def tensor_names(folder: Folder, allow_pickle: bool = False) -> set[str]:
    """Names of a folder's tensors as Paddle has them; of safetensors only the header is read."""
    stored = stored_shapes(folder.path)
    if stored is None:
        return set(read_weights(folder, allow_pickle))
    return {name for name in map(folder.architecture.paddle_name, stored) if name}


def write_folder(folder: Folder, tensors: dict[str, np.ndarray]) -> None:
    """Write Paddle-named ``tensors`` as the Hugging Face folder described (plus ``subnet.json`` for a cut network)."""
    from safetensors.numpy import save_file

    path, kind = folder.path, folder.architecture
    path.mkdir(parents=True, exist_ok=True)
    renamed = {
        kind.hugging_name(key): np.ascontiguousarray(value.T if is_linear(key) else value)
        for key, value in tensors.items()
    }
    files.require_space(path, sum(value.nbytes for value in renamed.values()))
    save_file(renamed, path / WEIGHTS, metadata={"format": "pt"})
    files.as_umask_says(path / WEIGHTS)
    config = hugging_face.config_of(folder)
    (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    hugging_face.write_code(path, config)
    if folder.subnet is not None:
        (path / "subnet.json").write_text(json.dumps(folder.subnet.to_dict()) + "\n")

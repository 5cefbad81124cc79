"""The tensors of a model folder, in one file or several, read without Paddle; of safetensors the header tells shapes.

Nothing is built before the sizes in config.json were compared with these shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ofa.errors import UserError
from ofa.model.architectures import Architecture
from ofa.system.files import read_json, require_regular

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"  # of weights in several files: the file of each tensor
PICKLES = ("model_state.pdparams", "pytorch_model.bin")
Shapes = Mapping[str, tuple[int, ...]]


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a folder; none if its weights are a pickle, or not there.

    Raises:
        UserError: if an index names files that are not there, or one of them is no regular file.
    """
    single, index = path / WEIGHTS, path / INDEX
    if single.exists() or not index.exists():
        names = [WEIGHTS] if single.exists() else []
    else:
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(n, str) and Path(n).name == n for n in places.values()):
            raise UserError(f"{index}: weight_map names no files of its folder; allowed: a file name for each tensor")
        names = sorted(set(places.values()))
        missing = [name for name in names if not (path / name).exists()]
        if missing:
            raise UserError(f"{index}: {', '.join(missing)} missing in {path}; the weights are in {len(names)} files")
    for name in names:
        require_regular(path / name)
    return [path / name for name in names]


def stored_shapes(path: Path) -> dict[str, tuple[int, ...]] | None:
    """Shape of each tensor under the name it is stored by, from the headers alone; None without safetensors."""
    files = weight_files(path)
    if not files:
        return None  # a served model has no weights beside its graph, nor the library that reads them
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as tensors:
                found |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except Exception as error:  # safetensors raises its own and plain exceptions alike
            raise UserError(f"{file}: not a whole safetensors file ({error})") from None
    return found


def stored_tensors(path: Path, allow_pickle: bool) -> tuple[Path, dict[str, np.ndarray]]:
    """The tensors of a folder under the names they are stored by, and the file they are from (of several, the index).

    Raises:
        UserError: if the weights are missing, damaged, or a pickle that was not allowed.
    """
    found = weight_files(path)
    if found:
        from safetensors.numpy import load_file

        tensors: dict[str, np.ndarray] = {}
        for file in found:
            try:
                tensors |= load_file(file)
            except Exception as error:
                raise UserError(f"{file}: not a whole safetensors file ({error})") from None
        return path / (WEIGHTS if found[0].name == WEIGHTS else INDEX), tensors
    pickles = [path / name for name in PICKLES if (path / name).exists()]
    if not pickles:
        raise UserError(f"model.path: no weights in {path}; looked for {WEIGHTS}, {', '.join(PICKLES)}")
    require_regular(pickles[0])
    if pickles[0].suffix == ".bin":
        raise UserError(
            f"{pickles[0]}: a pickle can run any code as it loads, and PyTorch's needs PyTorch; "
            f"convert it to {WEIGHTS} with Transformers"
        )
    if not allow_pickle:
        raise UserError(
            f"{pickles[0]}: a pickle can run any code as it loads; convert it to {WEIGHTS}, "
            "or trust it with model.allow_pickle=true"
        )
    return pickles[0], _unpickle(pickles[0])


def _unpickle(path: Path) -> dict[str, np.ndarray]:
    import paddle

    try:
        return {key: np.asarray(value) for key, value in paddle.load(str(path), return_numpy=True).items()}
    except Exception as error:
        raise UserError(f"{path}: not readable by paddle.load ({error})") from None


def size_problem(sizes: Mapping[str, int], stored: Shapes, kind: Architecture, neurons: int | None) -> str | None:
    """The first size in config.json that is not that of the weights, in words, or None.

    Args:
        sizes: of the encoder, and ``num_labels`` where config.json says it, by name.
        stored: shape of each tensor by the name it is stored by.
        neurons: of the first layer, if it was cut.
    """
    shapes = {kind.paddle_name(name): shape for name, shape in stored.items()}
    words = f"{kind.name}.embeddings.word_embeddings.weight"
    if words not in shapes:
        return f"no tensor {words!r} among the weights, which have {min(stored, default='none')!r}, for instance"
    block = f"{kind.name}.encoder.layers.0."
    numbers = (re.match(rf"{kind.name}\.encoder\.layers\.(\d+)\.", name or "") for name in shapes)
    found = {
        "num_hidden_layers": len({number[1] for number in numbers if number}),
        "hidden_size": _length(shapes.get(f"{block}norm1.bias")),
        "intermediate_size": _length(shapes.get(f"{block}linear1.bias")),
        "vocab_size": _length(shapes[words]),
        "max_position_embeddings": _length(shapes.get(f"{kind.name}.embeddings.position_embeddings.weight")),
        "type_vocab_size": _length(shapes.get(f"{kind.name}.embeddings.token_type_embeddings.weight")),
        "task_type_vocab_size": _length(shapes.get(f"{kind.name}.embeddings.task_type_embeddings.weight")),
        "num_labels": _length(shapes.get(f"{kind.output}.bias")),
        "embedding_size": shapes[words][-1],
    }
    for key, value in sizes.items():
        if found.get(key) not in (None, value, neurons if key == "intermediate_size" else value):
            return f"{key} is {value} in config.json, but the weights have {found[key]}"
    return None


def _length(shape: tuple[int, ...] | None) -> int | None:
    """How many entries a tensor has along its first axis, if it is there."""
    return shape[0] if shape else None

"""A cut network as a plain one of its family, for what cannot read fewer heads: zeros stand for what was cut.

A head whose value and output weights are zero adds nothing, and so does a neuron whose weights are zero, as GELU and
ReLU of 0 are 0: the function is the same, at the size and the speed of the layer that it was cut from.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa.errors import UserError
from ofa.model.folder import Folder, read_folder, read_weights, write_folder
from ofa.model.hub import OF_TOKENIZER
from ofa.supernet.cuts import CUTS
from ofa.supernet.subnet import SubNet


def write_padded(source: Path, target: Path) -> Folder:
    """Write the network in the folder ``source`` as a full one to ``target``, with its tokenizer; returns what it is.

    Every layer gets the heads of the origin, and the neurons of the layer that has most.

    Raises:
        UserError: if ``target`` exists or cannot be written, or ``source`` is no readable model folder.
    """
    folder = read_folder(source)
    if target.exists():
        raise UserError(f"--padded: {target} exists; allowed: a folder that is not there yet")
    shape, subnet = folder.shape, folder.subnet or SubNet.full(folder.shape)
    shape = replace(shape, intermediate_size=max(subnet.neurons))
    sizes = {"heads": shape.hidden_size, "neurons": shape.intermediate_size}  # of the axes of a full layer
    tensors = read_weights(folder)
    for layer in range(shape.num_hidden_layers):
        prefix = f"{folder.architecture.name}.encoder.layers.{layer}."
        for cut in CUTS:
            weight, bias = f"{prefix}{cut.part}.weight", f"{prefix}{cut.part}.bias"
            tensors[weight] = _padded(tensors[weight], cut.axis, sizes[cut.unit])
            if cut.axis == 1:
                tensors[bias] = _padded(tensors[bias], 0, sizes[cut.unit])
    written = replace(folder, path=target, shape=shape, subnet=None)
    _write_whole(written, tensors, [path for pattern in OF_TOKENIZER for path in source.glob(pattern)])
    return written


def _write_whole(folder: Folder, tensors: dict[str, np.ndarray], beside: list[Path]) -> None:
    """Write the folder and copies of the files ``beside`` under another name, and rename it: all of it, or nothing."""
    part = folder.path.with_name(f"{folder.path.name}.part")
    try:
        if part.exists():  # of an export that was killed
            shutil.rmtree(part)
        write_folder(replace(folder, path=part), tensors)
        for path in beside:
            shutil.copyfile(path, part / path.name)
        part.rename(folder.path)
    except Exception as error:  # safetensors has its own for what the system refuses
        shutil.rmtree(part, ignore_errors=True)
        why = str(getattr(error, "strerror", None) or error).splitlines()[0]
        raise UserError(f"--padded: {folder.path} cannot be written ({why})") from None


def _padded(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """``values`` with zeros after them along ``axis``, up to ``size``."""
    ends = [(0, 0)] * values.ndim
    ends[axis] = (0, size - values.shape[axis])
    return np.pad(values, ends)

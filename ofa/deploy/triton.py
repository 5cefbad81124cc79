"""Exported networks as a Triton model repository, for its ONNX Runtime backend.

``<target>/<name>/config.pbtxt``, ``labels.txt`` and ``1/model.onnx``, as Triton's guide to model repositories has it.
Triton takes token ids; the tokenizer is the client's, or a model of its own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ofa.deploy.graphs import graph
from ofa.errors import UserError
from ofa.model.folder import read_folder

TYPES = {1: "TYPE_FP32", 6: "TYPE_INT32", 7: "TYPE_INT64", 10: "TYPE_FP16"}  # of ONNX's numbers
MOST_ROWS = 64  # Triton joins requests to batches of up to so many
DELAY_US = 1000  # and waits this long for more


def write(folder: Path, target: Path, name: str, precision: str = "fp32") -> Path:
    """Write the exported ``folder`` as the model ``name`` of the repository ``target``; returns the model's folder.

    Raises:
        UserError: if the model is there already, ``name`` or ``target`` cannot be one, or the network is not offered in
            ``precision``.
    """
    import onnx

    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):  # it is a folder's, and stands in quotes in config.pbtxt
        raise UserError(f"--name: {name!r}; allowed: letters, digits, and . _ - after the first")
    source, place = graph(folder, "onnxruntime", precision), target / name
    if not source.is_file():
        raise UserError(f"{folder}: no {source.name}, so this network is not offered in {precision}")
    if place.exists():
        raise UserError(f"--triton: {place} is there already; give another folder")
    model = onnx.load(str(source), load_external_data=False).graph
    labels = read_folder(folder).labels
    try:
        (place / "1").mkdir(parents=True)
        shutil.copyfile(source, place / "1" / "model.onnx")
        (place / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
        (place / "config.pbtxt").write_text(_config(name, model), encoding="utf-8")
    except OSError as error:
        shutil.rmtree(place, ignore_errors=True)  # what is half there, Triton would try to serve
        raise UserError(f"--triton: {place} cannot be written ({error.strerror or error})") from None
    return place


def _config(name: str, model: Any) -> str:
    """A ModelConfig in protobuf's text format. The batch is the first axis of every tensor, and left out of dims."""
    tensors = [_tensor("input", given) for given in model.input]
    tensors += [_tensor("output", given, '  label_filename: "labels.txt"\n') for given in model.output]
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: {MOST_ROWS}\n'
        + "".join(tensors)
        + f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}\n"
        + "instance_group [ { count: 1, kind: KIND_AUTO } ]\n"
    )


def _tensor(what: str, given: Any, more: str = "") -> str:
    kind = given.type.tensor_type
    dims = [axis.dim_value or -1 for axis in kind.shape.dim][1:]
    shape = ", ".join(map(str, dims))
    return f'{what} {{\n  name: "{given.name}"\n  data_type: {TYPES[kind.elem_type]}\n  dims: [ {shape} ]\n{more}}}\n'

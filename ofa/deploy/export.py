"""Write a network as files to deploy: Paddle's static graph and ONNX, with dynamic batch and length."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import paddle
from paddle import Tensor, nn
from paddle.static import InputSpec

from ofa.deploy.graphs import INPUTS, ONNX_GRAPH, OUTPUT, PADDLE_GRAPH
from ofa.errors import UserError
from ofa.model import network as models
from ofa.system import files

OPSET = 17


class ExportedForward(nn.Layer):
    """The deployed function: ``input_ids`` and ``token_type_ids`` ``[B, S]`` int64 to logits ``[B, C]``."""

    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        # By module: inside this method to_static binds the bare name `forward` to the method itself.
        return models.forward(self.model, input_ids, token_type_ids)[0]


@contextmanager
def _captured() -> Iterator[list[str]]:
    """Keep what a library prints off the terminal; the text is the list's one entry at the end.

    What its C++ code prints goes to the process's standard output, which in a notebook is not Python's.
    """
    said = [""]
    sys.stdout.flush()
    terminal = os.dup(1)
    with tempfile.TemporaryFile("w+", buffering=1, encoding="utf-8", errors="replace") as file, redirect_stdout(file):
        os.dup2(file.fileno(), 1)
        try:
            yield said
        finally:
            os.dup2(terminal, 1)
            os.close(terminal)
            file.seek(0)
            said[0] = file.read()


def export(model: nn.Layer, folder: Path) -> None:
    """Write ``inference.json``, ``inference.pdiparams`` and ``model.onnx`` of a plain ``model``.

    Raises:
        UserError: if the ONNX converter does not write its file.
    """
    import paddle2onnx

    model.eval()
    specs = [InputSpec([None, None], "int64", name) for name in INPUTS]
    # full_graph: fail now if a part cannot be traced, instead of falling back to a slower graph in deployment.
    static = paddle.jit.to_static(ExportedForward(model), input_spec=specs, full_graph=True)
    folder.mkdir(parents=True, exist_ok=True)
    files.require_space(
        folder, 2 * sum(4 * value.size for value in model.parameters())
    )  # Paddle would cut its file short
    graph = folder / PADDLE_GRAPH
    paddle.jit.save(static, str(graph))
    with _captured() as said, suppress(SystemExit):  # how the converter gives up
        paddle2onnx.export(
            f"{graph}.json",
            f"{graph}.pdiparams",
            save_file=str(folder / ONNX_GRAPH),
            opset_version=OPSET,
            enable_onnx_checker=True,
            enable_optimize=False,  # constants are folded all the same, by Polygraphy
            verbose=False,
        )
    if not (folder / ONNX_GRAPH).is_file():
        raise UserError(f"export: paddle2onnx wrote no {ONNX_GRAPH} into {folder}\n{said[0].strip()[-300:]}")
    _name_output(folder / ONNX_GRAPH)


def _name_output(path: Path) -> None:
    """Give the one output of an ONNX graph the name that its readers look for."""
    import onnx

    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
        node.input[:] = [OUTPUT if name == output.name else name for name in node.input]
    output.name = OUTPUT
    onnx.save(model, path)

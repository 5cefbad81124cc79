"""An exported network as a function: text in, label and probability out. Imports neither MLflow nor Paddle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa.data import tokenizer
from ofa.data.batches import collate, eval_batches
from ofa.data.kinds import KINDS
from ofa.data.rows import Rows
from ofa.data.tokens import Encoded, tokenize
from ofa.deploy.graphs import GRAPHS, SLOW_FUSIONS, graph, missing
from ofa.errors import UserError
from ofa.model.folder import read_folder
from ofa.settings.schema import Config

if TYPE_CHECKING:
    import pandas

DESCRIBED = "config.json"
SETTINGS = "serving.json"
BATCH = 32
Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]  # input_ids, token_type_ids [B, S] to logits [B, C]
TEXT, SECOND = "text", "text_pair"  # columns of a request
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # Python's strings may have one, no encoding of text does


def files_of(folder: Path, precision: str) -> list[str]:
    """What of an exported folder is served in ``precision``."""
    return [
        GRAPHS["onnxruntime", precision],
        DESCRIBED,
        *(name for name in tokenizer.FILES if (folder / name).exists()),
    ]


class TextClassifier:
    """An exported folder as a function from a table of texts to a table of answers."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, engine: str = "onnxruntime") -> None:
        """
        Args:
            settings: see :func:`settings_of`; by default those in the folder's ``serving.json``.
            engine: ``onnxruntime``, ``openvino``, or ``paddle``, which loads Paddle.

        Raises:
            UserError: if the folder has no graph for that, or it cannot be read.
        """
        self.folder, self.settings = folder, settings or json.loads((folder / SETTINGS).read_text())
        self.kind = KINDS[self.settings["kind"]]
        precision = self.settings.get("precision", "fp32")
        if lacking := missing(folder, engine, precision):
            files = " and no ".join(lacking)
            raise UserError(f"{folder}: no {files}, so this network is not offered in {precision} by {engine}")
        path = graph(folder, engine, precision)
        self.forward = _onnxruntime(path) if engine == "onnxruntime" else _loaded(folder, engine, precision)
        self.labels, self.tokenizer = read_folder(folder).labels, tokenizer.read_tokenizer(folder)

    def encode(self, first: list[str], second: list[str] | None) -> Encoded:
        """Token ids of ``N`` texts or pairs of texts."""
        rows = Rows(first, second, np.zeros(len(first), np.int64))
        return tokenize(rows, self.tokenizer, self.settings["max_seq_length"])

    def logits_of(self, encoded: Encoded) -> np.ndarray:
        """Logits ``[N, C]`` of ``N`` rows, in their order.

        Raises:
            UserError: if one is not finite, as of a graph whose weights are damaged: no label says so.
        """
        found = np.zeros((len(encoded), len(self.labels)), np.float32)
        for picked in eval_batches(encoded.lengths, BATCH):
            batch = collate(encoded, picked)
            found[picked] = self.forward(batch.input_ids, batch.token_type_ids)
        if odd := int((~np.isfinite(found)).any(axis=1).sum()):
            raise UserError(
                f"{self.folder}: {odd} of {len(found)} rows have logits that are not finite; its files are damaged: "
                "copy them anew, or export the network again"
            )
        return found

    def logits(self, first: list[str], second: list[str] | None) -> np.ndarray:
        """Logits ``[N, C]`` of ``N`` texts or pairs of texts."""
        return self.logits_of(self.encode(first, second)) if first else np.zeros((0, len(self.labels)), np.float32)

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pandas.DataFrame:
        """The columns of an answer of this kind of task (``TaskKind.answer``), for each row.

        Args:
            model_input: a DataFrame or a dictionary with the columns; of single texts also one of them, a list or a
                Series. MLflow's own check of a model's input lets only those through that name the columns.

        Raises:
            UserError: if a column is missing or a cell is no text, naming it.
        """
        import pandas

        texts = texts_of(model_input, columns(self.settings["pair"]))
        logits = self.logits(texts[0], texts[1] if self.settings["pair"] else None)
        return pandas.DataFrame(dict(zip(self.kind.answer, self.kind.answers(logits, self.labels), strict=True)))


def _onnxruntime(path: Path) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, ["CPUExecutionProvider"], disabled_optimizers=SLOW_FUSIONS
        )
    except Exception as error:  # the library has its own for a file that it cannot read
        raise UserError(f"{path}: ONNX Runtime cannot load it ({str(error).strip().splitlines()[-1][:160]})") from None
    inputs = [given.name for given in session.get_inputs()]  # input_ids, token_type_ids
    return lambda *tokens: session.run(None, dict(zip(inputs, tokens, strict=True)))[0]


def _loaded(folder: Path, engine: str, precision: str) -> Forward:
    from ofa.deploy.engines import load_engine
    from ofa.system.machine import cores

    forward, turn = load_engine(folder, engine, precision, "cpu", cores()), Lock()

    def one_at_a_time(*tokens: np.ndarray) -> np.ndarray:  # neither engine lets threads share what it has loaded
        with turn:
            return forward(*tokens)

    return one_at_a_time


def _load_pyfunc(path: str) -> TextClassifier:
    """What MLflow calls with the model's data folder."""
    return TextClassifier(Path(path))


def settings_of(config: Config, precision: str = "fp32") -> dict[str, Any]:
    """What :class:`ofa.deploy.serving.TextClassifier` needs beside the exported files, one of them in ``precision``."""
    return {
        "max_seq_length": config.trainer.max_seq_length,
        "pair": config.task.pair,
        "kind": config.task.kind,
        **({"label_separator": config.task.label_separator} if config.task.multi_label else {}),
        **({} if precision == "fp32" else {"precision": precision}),
    }


def answer_columns(kind: str) -> dict[str, str]:
    """The columns of an answer of a kind of task, and their MLflow types."""
    return KINDS[kind].answer


def columns(pair: bool) -> list[str]:
    return [TEXT, SECOND] if pair else [TEXT]


def texts_of(given: Any, names: Sequence[str]) -> list[list[str]]:
    """The columns ``names`` of ``given``, in any of the forms of `TextClassifier.predict`.

    Raises:
        UserError: as there.
    """
    given = [given] if isinstance(given, str) else given
    if not hasattr(given, "keys") or getattr(given, "ndim", 2) == 1:  # a list, an array or a Series
        if len(names) > 1:
            raise UserError(f"pairs of texts need a table with the columns {', '.join(names)}")
        given = {names[0]: given}
    missing = [name for name in names if name not in given]
    if missing:
        raise UserError(f"no column {', '.join(missing)}; the model takes {', '.join(names)}")
    for name in names:
        if not isinstance(given[name], Iterable):
            raise UserError(f"{name}: {type(given[name]).__name__} is no text; allowed: a text, or several")
    cells = [[given[name]] if isinstance(given[name], str) else list(given[name]) for name in names]
    # A dictionary of lists reaches a served model as one row of lists.
    if all(len(column) == 1 and isinstance(column[0], list | np.ndarray) for column in cells):
        cells = [list(column[0]) for column in cells]
    for name, column in zip(names, cells, strict=True):
        for row, text in enumerate(column):
            if not isinstance(text, str):
                raise UserError(f"{name}[{row}]: {type(text).__name__} is no text; allowed: a string in every row")
            if LONE_SURROGATE.search(text):
                raise UserError(f"{name}[{row}] holds half of a character (a lone surrogate); allowed: text")
    if len({len(column) for column in cells}) > 1:
        raise UserError(f"{', '.join(f'{len(c)} in {n}' for n, c in zip(names, cells, strict=True))}: not as many")
    return cells

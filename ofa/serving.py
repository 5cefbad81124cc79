"""A width as an MLflow model: text in, label and probability out. ``mlflow models serve`` answers with it.

The model holds the exported ONNX graph, the vocabulary and the few modules below that read them: no
pickle, and no Paddle to install where it is served.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofa import disk
from ofa.batching import collate, eval_batches
from ofa.data import Rows
from ofa.encode import encode
from ofa.folder import read_folder

if TYPE_CHECKING:
    import pandas

# This module and all it imports; a test serves a model from these alone.
CODE = ("__init__", "batching", "config", "data", "disk", "encode", "errors", "fetch", "folder", "serving", "subnet")
PACKAGES = ("mlflow", "numpy", "pandas", "onnxruntime", "tokenizers", "tqdm")
FILES = ("model.onnx", "config.json", "vocab.txt")
SETTINGS = "serving.json"
BATCH = 32
TEXT, SECOND = "text", "text_pair"  # columns of a request
EXAMPLES = ["a gripping film with a wonderful cast", "the room was not clean"]


class NotSaved(Exception):
    """The exported files cannot be made a model; trying again would not help."""


class Classifier:
    """An exported folder as a function from a table of texts to a table of answers."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(str(folder / FILES[0]), options, ["CPUExecutionProvider"])
        self.inputs = [given.name for given in self.session.get_inputs()]  # input_ids, token_type_ids
        self.labels, self.vocab = read_folder(folder).labels, folder / "vocab.txt"
        self.settings = json.loads((folder / SETTINGS).read_text())

    def logits(self, first: list[str], second: list[str] | None) -> np.ndarray:
        """Logits ``[N, C]`` of ``N`` texts or pairs of texts."""
        rows = Rows(first, second, np.zeros(len(first), np.int64))
        encoded = encode(rows, self.vocab, self.settings["max_seq_length"], self.settings["lower_case"])
        found = np.zeros((len(rows), len(self.labels)), np.float32)
        for picked in eval_batches(encoded.lengths, BATCH):
            batch = collate(encoded, picked)
            given = dict(zip(self.inputs, (batch.input_ids, batch.token_type_ids), strict=True))
            found[picked] = self.session.run(None, given)[0]
        return found

    def predict(self, model_input: pandas.DataFrame, params: dict[str, Any] | None = None) -> pandas.DataFrame:
        """``label`` and its ``probability`` for each row; ``score`` for a regression task."""
        import pandas

        texts = [[str(text) for text in model_input[column]] for column in columns(self.settings["pair"])]
        logits = self.logits(texts[0], texts[1] if self.settings["pair"] else None)
        if not self.settings["classes"]:
            return pandas.DataFrame({"score": logits[:, 0].astype(float)})
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        chosen = odds.argmax(axis=1)
        labels = [self.labels[index] for index in chosen]
        return pandas.DataFrame({"label": labels, "probability": (odds.max(axis=1) / odds.sum(axis=1)).astype(float)})


def _load_pyfunc(path: str) -> Classifier:
    """What MLflow calls with the model's data folder."""
    return Classifier(Path(path))


def columns(pair: bool) -> list[str]:
    return [TEXT, SECOND] if pair else [TEXT]


def save(folder: Path, target: Path, settings: dict[str, Any], run_id: str, model_id: str) -> None:
    """Write the exported ``folder`` of a width as an MLflow model to ``target``.

    Args:
        settings: ``max_seq_length``, ``lower_case``, ``pair`` (two texts per row), ``classes`` (or a score).
    """
    import pandas
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    answers = [("string", "label"), ("double", "probability")] if settings["classes"] else [("double", "score")]
    asked = Schema([ColSpec("string", name) for name in columns(settings["pair"])])
    example = pandas.DataFrame({name: EXAMPLES for name in columns(settings["pair"])})
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        data, code = Path(place) / "exported", Path(place) / "ofa"
        data.mkdir()
        code.mkdir()
        for name in FILES:
            _link(folder / name, data / name)
        (data / SETTINGS).write_text(json.dumps(settings))
        for name in CODE:
            shutil.copyfile(Path(__file__).with_name(f"{name}.py"), code / f"{name}.py")
        save_model(
            target,
            loader_module="ofa.serving",
            data_path=str(data),
            code_paths=[str(code)],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            signature=ModelSignature(asked, Schema([ColSpec(kind, name) for kind, name in answers])),
            input_example=example,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES],
        )


def _link(source: Path, target: Path) -> None:
    """A second name for a file; a copy where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def register(client: Any, experiment_id: str, run_id: str, entry: dict[str, Any], work: Path) -> None:
    """Log the model of a journal's ``entry`` to its run and register a version; what is there is not made twice.

    Args:
        work: a folder for temporary files, best on the file system of the exported ones.

    Raises:
        NotSaved: if the model cannot be made; anything else if it cannot be sent.
    """
    name = entry["name"]
    same = f"source_run_id = '{run_id}' AND name = '{name}'"
    found = [
        m for m in client.search_logged_models([experiment_id], same) if m.tags.get("ofa.export") == entry["digest"]
    ]
    tags = {"ofa.export": entry["digest"]}
    model = found[0] if found else client.create_logged_model(experiment_id, name, run_id, tags, None, "classifier")
    if str(model.status) != "READY":
        with tempfile.TemporaryDirectory(dir=work, prefix="model-") as place:
            target = Path(place) / "model"
            try:
                save(Path(entry["folder"]), target, entry["settings"], run_id, model.model_id)
            except Exception as error:  # the files are gone, or a package is missing
                if disk.is_full(error):
                    raise  # space may come back
                client.finalize_logged_model(model.model_id, "FAILED")
                raise NotSaved(f"{name}: {error}") from None
            client.log_model_artifacts(model.model_id, str(target))
        _link_to_run(client, run_id, model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
    _add_version(client, name, run_id, model)


def _link_to_run(client: Any, run_id: str, model_id: str) -> None:
    """Show the model on the page of its run."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if model_id not in [output.model_id for output in (outputs.model_outputs if outputs else ())]:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def _add_version(client: Any, name: str, run_id: str, model: Any) -> None:
    """Make the logged model a version of the registered model ``name``."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # By location: MLflow looks up models:/<id> at its global address, not at this client's.
    place = model.artifact_location
    versions = client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'")
    if place not in [version.source for version in versions]:
        client.create_model_version(name, place, run_id, model_id=model.model_id, await_creation_for=0)

"""A network as an MLflow model: text in, label and probability out. ``mlflow models serve`` answers with it.

The model holds the exported ONNX graph, the vocabulary and the few modules that read them: no
pickle, and no Paddle to install where it is served.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ofa.deploy.serving import SETTINGS, answer_columns, columns, files_of
from ofa.settings.schema import Config
from ofa.system import files

SERVED = "ofa.deploy.serving"  # what a served model loads
RECOMMENDED = "recommended"  # the alias of the version to take
CARRIED = ("eval/score", "score/points", "score/kept", "cost/target_ms", "cost/speedup")  # by a logged model
PACKAGE = Path(__file__).parents[1]
PACKAGES = ("mlflow", "numpy", "pandas", "onnxruntime", "tokenizers", "tqdm")
EXAMPLES = ["a gripping film with a wonderful cast", "the film was not good"]


class NotSaved(Exception):
    """The exported files cannot be made a model; trying again would not help."""


def served_modules() -> list[Path]:
    """The files of this package that ``SERVED`` needs, directly or through others, relative to the package."""
    wanted, found = [SERVED], {Path("__init__.py")}
    while wanted:
        *folders, _ = module = wanted.pop().split(".")[1:]
        path = Path(*module).with_suffix(".py")
        if path in found or not (PACKAGE / path).is_file():
            continue
        found |= {path, *(Path(*folders[:depth], "__init__.py") for depth in range(1, len(folders) + 1))}
        for node in ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ofa"):
                wanted += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return sorted(found)


def save(folder: Path, target: Path, settings: dict[str, Any], run_id: str, model_id: str) -> None:
    """Write the exported ``folder`` of a width as an MLflow model to ``target``.

    Args:
        settings: ``max_seq_length``, ``pair`` (two texts per row), ``kind`` (of the task), and ``precision``
            if it is not fp32.
    """
    import pandas
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, Schema

    answers = Schema([ColSpec(_type(kind), name) for name, kind in answer_columns(settings["kind"]).items()])
    asked = Schema([ColSpec("string", name) for name in columns(settings["pair"])])
    example = pandas.DataFrame({name: EXAMPLES for name in columns(settings["pair"])})
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        data, code = Path(place) / "exported", Path(place) / "ofa"
        data.mkdir()
        code.mkdir()
        for name in files_of(folder, settings.get("precision", "fp32")):
            files.link(folder / name, data / name)
        (data / SETTINGS).write_text(json.dumps(settings))
        for path in served_modules():
            (code / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PACKAGE / path, code / path)
        save_model(
            target,
            loader_module=SERVED,
            data_path=str(data),
            code_paths=[str(code)],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            signature=ModelSignature(asked, answers),
            input_example=example,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES],
        )


def _type(kind: str) -> Any:
    """MLflow's type of a column, from its name, in brackets where each cell is a list."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    return Array(DataType[kind[1:-1]]) if kind.startswith("[") else DataType[kind]


def register(client: Any, experiment_id: str, run_id: str, entry: dict[str, Any], work: Path) -> None:
    """Log the model of a journal's ``entry`` to its run and register a version; what is there is not made twice.

    Args:
        work: a folder for temporary files, best on the file system of the exported ones.

    Raises:
        NotSaved: if the model cannot be made; anything else if it cannot be sent.
    """
    name, export = entry["name"], entry["digest"].partition(" ")[0]
    same = f"source_run_id = '{run_id}' AND name = '{name}'"
    found = [m for m in client.search_logged_models([experiment_id], same) if m.tags.get("ofa.export") == export]
    tags = {"ofa.export": export, **entry.get("tags", {})}
    if found:
        model = found[0]
        client.set_logged_model_tags(model.model_id, tags)
    else:
        params = client.get_run(run_id).data.params
        model = client.create_logged_model(experiment_id, name, run_id, tags, params, "classifier")
    if str(model.status) != "READY":
        with tempfile.TemporaryDirectory(dir=work, prefix="model-") as place:
            target = Path(place) / "model"
            try:
                save(Path(entry["folder"]), target, _settings(entry), run_id, model.model_id)
            except Exception as error:  # the files are gone, or a package is missing
                if files.is_full(error):
                    raise  # space may come back
                client.finalize_logged_model(model.model_id, "FAILED")
                raise NotSaved(f"{name}: {error}") from None
            client.log_model_artifacts(model.model_id, str(target))
        _link_to_run(client, run_id, model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
    _carry_metrics(client, run_id, model.model_id)
    _add_version(client, entry, run_id, model)


def _carry_metrics(client: Any, run_id: str, model_id: str) -> None:
    """Give the model the last score and cost of its run, as the page of models shows a model's own metrics alone."""
    from mlflow.entities import Metric

    for key in CARRIED:
        history = client.get_metric_history(run_id, key)
        if history:
            last = max(history, key=lambda point: (point.step, point.timestamp))
            # The run has this very point, so it gets no second one.
            client.log_batch(run_id, metrics=[Metric(key, last.value, last.timestamp, last.step, model_id=model_id)])


def _settings(entry: dict[str, Any]) -> dict[str, Any]:
    """The settings in a journal's entry; one from before tasks had kinds says whether there are classes."""
    classes = entry["settings"].get("classes")
    return entry["settings"] if classes is None else {**entry["settings"], "kind": "classes" if classes else "score"}


def _link_to_run(client: Any, run_id: str, model_id: str) -> None:
    """Show the model on the page of its run."""
    from mlflow.entities import LoggedModelOutput

    outputs = client.get_run(run_id).outputs
    if model_id not in [output.model_id for output in (outputs.model_outputs if outputs else ())]:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])


def _add_version(client: Any, entry: dict[str, Any], run_id: str, model: Any) -> None:
    """Make the logged model a version of the entry's registered model, with its tags and alias."""
    from mlflow.exceptions import MlflowException

    name = entry["name"]
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # By location: MLflow looks up models:/<id> at its global address, not at this client's.
    place = model.artifact_location
    versions = client.search_model_versions(f"name = '{name}' AND run_id = '{run_id}'")
    version = next((version for version in versions if version.source == place), None)
    if version is None:
        version = client.create_model_version(
            name, place, run_id, entry.get("tags"), model_id=model.model_id, await_creation_for=0
        )
    for key, value in entry.get("tags", {}).items():
        if version.tags.get(key) != value:  # timed again
            client.set_model_version_tag(name, version.version, key, value)
    if entry.get("alias"):
        client.set_registered_model_alias(name, entry["alias"], version.version)


def model_name(config: Config) -> str:
    """The registered model of a task and a model; its versions are the networks of every job."""
    # MLflow allows none of these in the name of a model.
    return re.sub(r"[./:%\"']", "_", f"{config.task.name}-{config.model.name}")

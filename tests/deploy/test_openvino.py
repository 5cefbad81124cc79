"""OpenVINO, which comes with an extra: what is asked of it where it is there, and what is said where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from helpers.toys import REPO

from ofa import predict
from ofa.deploy.engines import ENGINES, load_engine
from ofa.deploy.serving import TextClassifier
from ofa.errors import UserError
from ofa.jobs import preflight
from ofa.settings import rules
from ofa.settings.schema import Config, LatencyConfig
from ofa.stages import keys
from ofa.stages.inputs import Inputs

NOT_HERE = "'openvino' is not installed; get it with pip install -e '.[openvino]'"


def test_asked_for_and_not_installed_is_a_line_before_any_training(
    monkeypatch: pytest.MonkeyPatch, served_folder: Path
) -> None:
    monkeypatch.setattr(rules, "find_spec", lambda name: None)
    config = Config(latency=LatencyConfig(engines=["onnxruntime", "openvino"]))
    assert f"latency.engines: {NOT_HERE}" in list(preflight._machine(config))
    assert not [line for line in preflight._machine(Config()) if "openvino" in line]
    with pytest.raises(UserError, match="^--engine: 'openvino' is not installed"):
        predict.classifier(served_folder, engine="openvino")


def test_only_a_job_that_asks_for_it_has_another_key() -> None:
    """What is exported holds the comparison with it, which takes a run over all dev rows."""
    inputs = cast(Inputs, None)  # this key reads settings alone
    of = {engine: Config(latency=LatencyConfig(engines=["paddle", engine])) for engine in ("onnxruntime", "openvino")}
    found = {engine: keys.export(config, inputs) for engine, config in of.items()}
    assert found["onnxruntime"] == {"widths": Config().ofa.widths}
    assert found["openvino"] == {**found["onnxruntime"], "engines": ["openvino"]}


here = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed (make openvino)")


@here
def test_it_is_an_engine_of_cpus() -> None:
    assert {"fp32", "int8"} <= set(ENGINES["openvino"].precisions("cpu"))
    assert ENGINES["openvino"].precisions("gpu") == ()


@here
def test_it_answers_as_onnx_runtime_does(served_folder: Path) -> None:
    texts = ["w5 w6", "w7 w8 w9 w10", "w5"]
    expected, found = (
        predict.classifier(served_folder, engine=engine).logits(texts, None) for engine in ("onnxruntime", "openvino")
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@here
def test_threads_that_ask_at_once_get_their_own_answers(served_folder: Path) -> None:
    """As requests to a server do: what OpenVINO has loaded is busy while it answers one of them."""
    asked = TextClassifier(served_folder, engine="openvino")
    texts = [" ".join(f"w{5 + (row + word) % 20}" for word in range(12)) for row in range(4)]
    alone = [asked.logits([text] * 8, None) for text in texts]
    wrong: list[str] = []

    def ask(place: int) -> None:
        try:
            for _ in range(40):
                np.testing.assert_allclose(asked.logits([texts[place]] * 8, None), alone[place], atol=1e-6)
        except Exception as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@here
def test_a_folder_without_its_int8_graph_names_the_file(served_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no model.int8.openvino.onnx, which openvino reads for int8"):
        load_engine(served_folder, "openvino", "int8")


@here
@pytest.mark.process
def test_nothing_is_told_to_anybody(served_folder: Path, tmp_path: Path) -> None:
    """With a stand-in for the package by which OpenVINO reports every import over the network."""
    (tmp_path / "openvino_telemetry.py").write_text(
        f"open({str(tmp_path / 'told')!r}, 'w').close()\nraise ImportError\n"
    )
    load = "from pathlib import Path; from ofa.deploy.engines import run_openvino"
    load = f"{load}; run_openvino(Path({str(served_folder / 'model.onnx')!r}))"
    for code, told in ((load, False), ("import openvino", True)):  # the stand-in does stand in
        path = os.pathsep.join([str(tmp_path), str(REPO)])
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True)
        assert (tmp_path / "told").exists() == told

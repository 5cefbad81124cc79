"""What is logged of a network in numbers: of INT8, its own score beside its own speed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.results import results, timed

from ofa.results.advice import recommend
from ofa.results.record import Results
from ofa.results.reduced import Reduced
from ofa.settings.schema import Config, OfaConfig
from ofa.supernet.space import networks
from ofa.supernet.subnet import EncoderShape
from ofa.tracking import logged, metrics

HERE = {"kind": "measured", "where": "cpu", "engine": "onnxruntime"}


@pytest.fixture
def found() -> Results:
    """The full network and its half, in FP32 and in INT8, which loses 0.3 points more."""
    some = timed(timed(results(target="cpu", scores={1.0: 0.93, 0.5: 0.929}), [40.0, 20.0], **HERE), [10.0, 5.0],
                 precision="int8", **HERE)  # fmt: skip
    networks = []
    for one in some.networks:
        parity = {"engine": "onnxruntime", "precision": "int8", "logit_difference": 0.1, "score_drift": 0.3, "rows": 9}
        small = Reduced("onnxruntime", "int8", one.score - 0.003, {"accuracy": one.score - 0.003}, 0.3, 10, (), parity)
        networks.append(replace(one, reduced=(small,), parity=(parity,)))
    some = replace(some, networks=tuple(networks))
    return replace(some, recommended=recommend(some, 0.5))


def test_the_recommended_network_has_the_score_of_the_file_that_is_to_run(found: Results) -> None:
    logged = metrics.of_recommended(found)
    assert found.recommended is not None and found.recommended.precision == "int8"
    assert logged["recommended/score"] == pytest.approx(0.926) and logged["recommended/points"] == pytest.approx(-0.4)
    assert (logged["recommended/target_ms"], logged["recommended/speedup"]) == (5.0, 2.0)
    assert metrics.of_recommended(replace(found, recommended=None)) == {}


@pytest.mark.parametrize(
    ("precision", "score", "figure"),
    [
        ("fp32", "0.9290", "cpu_onnxruntime_fp32_b16_s128_measured"),
        ("int8", "0.9260", "cpu_onnxruntime_int8_b16_s128_measured"),
    ],
)
def test_a_registered_version_is_described_in_its_own_precision(
    found: Results, precision: str, score: str, figure: str
) -> None:
    tags = metrics.version_tags(found, found.networks[1], precision)
    assert (tags["score"], tags["speedup"], tags["speedup.figure"]) == (score, "2.00", figure)


def test_half_precision_of_a_gpu_is_no_file_of_its_own(found: Results) -> None:
    plain = timed(results(target="t4"), [4.0, 3.0, 2.0], precision="fp16", engine="tensorrt")
    assert (
        metrics.version_tags(plain, plain.networks[2], "fp32")["speedup.figure"]
        == "t4_tensorrt_fp16_b16_s128_estimated"
    )


@pytest.mark.parametrize(("vocabulary", "known"), [("full", True), ("seen", False)])
def test_parameters_are_no_setting_of_a_network_before_its_vocabulary_is_known(vocabulary: str, known: bool) -> None:
    opened: dict[str, dict] = {}
    tracker = SimpleNamespace(network=lambda name, title, tags, params: opened.update({name: params}))
    config = Config(ofa=OfaConfig(vocabulary=vocabulary))
    shape = EncoderShape(2, 24, 12, 96)
    logged.open_networks(tracker, "job", config, shape, networks([1.0], [1.0], shape))  # type: ignore[arg-type]
    assert ("params" in opened["w1"]) == known and opened["w1"]["heads"] == 12


def test_settings_at_their_neutral_value_are_parameters_too() -> None:
    """Of two jobs of which one sets ofa.temperature, both are found by it."""
    params = logged._params(Config(), EncoderShape(2, 64, 4, 128, 100))
    assert params["ofa.temperature"] == 1.0 and params["ofa.keep"] == "best_each"
    assert not any(key.startswith("tracking.") for key in params)


@pytest.mark.parametrize(("models", "taken"), [(["toy", "other"], ["w0.5", "w0.5"]), (["toy", "toy"], [])])
def test_a_sweep_s_end_says_which_version_of_a_model_to_take_where_it_is_one(
    models: list[str], taken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, takes = [], []
    for number, model in enumerate(models):
        (folder := tmp_path / "runs" / f"r{number}").mkdir(parents=True)
        of_job = results("sst2", number, {1.0: 0.8, 0.5: 0.79}, export="export-1", run=folder.name)
        (folder / "results.json").write_text(json.dumps(of_job.to_json()))
        config = f"task: {{name: sst2}}\nmodel: {{name: {model}}}\nhardware: {{name: t4}}\n"
        (folder / "config.yaml").write_text(config)
        takes.append({"run": folder.name, "folder": f"{folder.name}/w0.5", "name": "w0.5"})
    said = lambda network, name, folder, settings, tags, alias: told.append((network, name, folder, alias))  # noqa: E731
    fake = SimpleNamespace(model=said, finish=lambda status: None)
    monkeypatch.setattr(logged, "Tracker", lambda *_: fake)
    logged.log_taken([*takes, {"run": None, "folder": None, "name": None}], tmp_path, None)
    place = tmp_path / "store" / "export-1" / "w0.5"
    names = [f"sst2-{model}" for model in models]
    assert told == [(network, name, place, "recommended") for network, name in zip(taken, names, strict=False)]

"""The product from Python: a job, its results, a network that answers; importing it is light."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from helpers.jobs import write_task
from helpers.toys import REPO

import ofa
from ofa import timing
from ofa.api import _parted
from ofa.settings.compose import compose

pytestmark = pytest.mark.job

QUICK = "experiment=quickstart tracking=none hardware.threads=1 stages=[evaluate,export] ofa.widths=[1,0.5]".split()
QUICK += ["trainer.finetune.max_steps=2", "trainer.distill.max_steps=2", "ofa.importance.rows=16"]
QUICK += ["task=custom", "task.text=[sentence]", "task.labels=[no,yes]", "task.label_values=['0','1']"]
HEAVY = {"paddle", "hydra", "mlflow", "pandas", "omegaconf", "numpy", "onnxruntime"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    place = tmp_path_factory.mktemp("api")
    return [
        *QUICK,
        f"output_dir={place}/out",
        f"cache_dir={place}/cache",
        f"task.data_dir={write_task(place / 'data')}",
    ]


@pytest.fixture(scope="module")
def run(settings: list[str]) -> ofa.Run:
    return ofa.run(*settings)


def test_a_job_runs_and_is_found_again(run: ofa.Run, settings: list[str]) -> None:
    assert (run.folder / "results.json").is_file()
    assert [network.width for network in run.results.networks] == [1.0, 0.5]
    before = (run.folder / "results.json").stat().st_mtime_ns
    again = ofa.run(*settings)
    assert again == run and (run.folder / "results.json").stat().st_mtime_ns == before


def test_a_stage_that_this_job_does_not_run_is_forced_in_vain(
    run: ofa.Run, settings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    ofa.run(*settings, "force=[latency]")
    assert "force: latency changes nothing in this job; its stages are finetune, reorder, distill, " in caplog.text
    caplog.clear()
    ofa.run(*settings, "force=[evaluate]")
    assert "force" not in caplog.text


@pytest.mark.usefixtures("run")
def test_it_says_what_the_command_says(
    settings: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own: a new interpreter has none
    ofa.run(*settings)
    assert "Already finished with the same settings and data; nothing to do: " in capsys.readouterr().out


def test_results_as_table_and_frame(run: ofa.Run) -> None:
    frame = run.to_frame()
    assert list(frame.index) == ["w1", "w0.5"]
    assert frame.loc["w0.5", "score"] == run.results.networks[1].score == frame.loc["w0.5", "accuracy"]
    assert frame.loc["w0.5", "params"] < frame.loc["w1", "params"]
    lines = run.table().splitlines()
    assert len(lines) == 5 and lines[0].startswith("| network |") and "width 0.5" in lines[-1]
    assert run.recommended is None and run.reason == run.results.recommended.words  # it has learned nothing


def test_a_network_answers_in_every_form(run: ofa.Run) -> None:
    classify = ofa.load(run.folder, "w0.5")
    first, second = classify(["good film", "bad plot"])
    assert classify("good film") == [first] and first != second
    assert first["probability"] == max(first["probabilities"].values())
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert list(first["probabilities"]) == ["no", "yes"] == list(classify.labels)
    with pytest.raises(ofa.UserError, match="takes single texts, no pairs"):
        classify(["a"], ["b"])
    with pytest.raises(ofa.UserError, match=r"text\[1\]: int is no text"):
        classify(["a", 1])
    with pytest.raises(ofa.UserError, match="text: NoneType is no text; allowed: a text, or several"):
        classify(None)
    assert classify([]) == []


def test_both_engines_answer_alike_and_others_are_refused(run: ofa.Run) -> None:
    texts = ["good film", "bad plot"]
    mine, theirs = (ofa.load(run.folder, "w0.5", engine=engine)(texts) for engine in ("onnxruntime", "paddle"))
    assert [row["probability"] for row in theirs] == pytest.approx([row["probability"] for row in mine], abs=1e-4)
    for wrong in ({"engine": "onnx"}, {"precision": "int4"}, {"engine": "paddle", "precision": "int8"}):
        with pytest.raises(ofa.UserError, match=f"--{[*wrong][-1]}: .*(allowed|runs fp32)"):
            ofa.load(run.folder, "w0.5", **wrong)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["task=sst3"], "task: 'sst3' is unknown"),
        (["ofa.width=[1]"], "ofa.width: no such setting"),
        (["task=negation", "ofa.widths=[1,2]"], "ofa.widths"),
        (["task=negation", "trainer.seed=one"], "trainer.seed"),
    ],
)
def test_a_mistake_is_the_command_s_line(settings: list[str], said: str) -> None:
    with pytest.raises(ofa.UserError, match=said) as error:
        ofa.run(*settings)
    assert str(error.value).count("\n") <= 1


def test_what_a_notebook_set_hydra_up_with_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        for _ in range(2):
            assert compose(["experiment=quickstart", "trainer.seed=7"]).trainer.seed == 7
            assert hydra.compose("mine") == {"a": 1}


def test_what_is_no_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ofa.UserError, match="no results.json"):
        ofa.load(tmp_path)
    with pytest.raises(ofa.UserError, match="no results.json"):
        ofa.Run(tmp_path).table()
    (tmp_path / "unscored").mkdir()
    (tmp_path / "unscored" / "results.json").write_text('{"task": "sst2", "model": "toy", "seed": 1}')
    assert ofa.Run(tmp_path / "unscored").table() == ""
    assert timing.main([str(tmp_path)]) == 1 and "no results.json" in capsys.readouterr().err


def test_pairs_come_in_any_form_that_can_be_gone_through() -> None:
    assert _parted(zip(["a", "b"], ["c", "d"], strict=True)) == (["a", "b"], ["c", "d"])
    for given in (None, 3, ["ab"], [("a", "b", "c")]):
        with pytest.raises(ofa.UserError, match="takes pairs of texts"):
            _parted(given)


@pytest.mark.process
def test_importing_is_light() -> None:
    code = f"import sys, ofa; print(*({HEAVY!r} & sys.modules.keys())); print(ofa.__version__)"
    said = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert said == f"\n{ofa.__version__}\n"
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        ofa.runs  # noqa: B018

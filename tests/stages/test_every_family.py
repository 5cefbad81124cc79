"""Every family of encoders through every stage, and what was exported as a model again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.families import CHINESE, SHAPE, library, tokenizer
from helpers.jobs import tiny

from ofa.data.tokenizer import read_tokenizer
from ofa.data.tokenizer_settings import BYTE_LEVEL, WORDPIECE
from ofa.deploy.serving import TextClassifier
from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.model.folder import read_folder
from ofa.settings.schema import STAGES, Config, ModelConfig, OfaConfig
from ofa.stages.inputs import load_inputs
from ofa.supernet.subnet import SubNet, count_params

pytestmark = pytest.mark.job


def chinese_task(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, rows in (("train", 96), ("dev", 24)):
        texts = ["".join(rng.choice(CHINESE, rng.integers(1, 3))) for _ in range(rows)]
        lines = [f"{text}\t{int('不' in text)}" for text in texts]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n", encoding="utf-8")


@pytest.fixture
def config(tmp_path: Path, name: str) -> Config:
    config = tiny(tmp_path)
    chinese_task(tmp_path / "data")
    words = tokenizer(name, tmp_path / "words")
    toy = library(name, replace(SHAPE, vocab_size=words.size))
    models.save(toy, tmp_path / name, ("a", "b", "c"), words)
    model = ModelConfig("toy", path=str(tmp_path / name), finetuned=False)
    return replace(config, model=model, ofa=OfaConfig([1.0, 0.5], importance=config.ofa.importance))


@pytest.mark.parametrize("name", ["ernie-3.0", "roberta", "electra-small"])
def test_a_family_goes_through_every_stage_and_is_a_model_again(config: Config, tmp_path: Path, name: str) -> None:
    results = run_job(replace(config, stages=list(STAGES)), "")
    (run,) = (tmp_path / "out" / "runs").iterdir()
    (exported,) = (tmp_path / "out" / "store").glob("export-*")
    for network in results.networks:
        folder = exported / network.name
        described = read_folder(folder)
        model, _ = models.load(folder)
        assert network.params == sum(p.size for p in model.parameters())
        assert network.params == count_params(described.shape, described.subnet or SubNet.full(described.shape))
        assert all(parity["logit_difference"] < 1e-4 for parity in network.parity if parity["precision"] == "fp32")
        files = {"vocab.json", "merges.txt"} if name == "roberta" else {"vocab.txt"}
        assert files < {path.name for path in folder.iterdir()}
        answers = TextClassifier(folder).predict(CHINESE)
        assert set(answers["label"]) <= {"no", "yes"} and len(answers) == len(CHINESE)
    again = replace(config, model=ModelConfig("again", path=str(exported / "w0.5"), accept_weak_teacher=True))
    inputs = load_inputs(again)
    assert inputs.label_order == (0, 1) and inputs.shape.num_attention_heads == 2
    first = json.loads((run / "results.json").read_text())["widths"][1]["score"]
    assert run_job(replace(again, ofa=OfaConfig([1.0])), "").teacher.score == pytest.approx(first)


@pytest.mark.parametrize("name", ["ernie", "roberta", "electra"])
def test_a_family_of_random_weights_is_made_of_settings(tmp_path: Path, name: str) -> None:
    """As large as its settings say, with a vocabulary of its own kind that is trained on the rows."""
    config = tiny(tmp_path)
    chinese_task(tmp_path / "data")
    model = replace(config.model, architecture=name, vocab_size=300)
    config = replace(config, model=model, stages=["evaluate"])
    teacher = run_job(config, "").networks[0]
    (folder,) = (tmp_path / "out" / "store").glob("finetune-*/model")
    found, described = models.load(folder)
    assert described.architecture.name == name
    assert described.shape == replace(load_inputs(config).shape, num_labels=2)
    assert (
        teacher.params
        == sum(p.size for p in found.parameters())
        == count_params(described.shape, SubNet.full(described.shape))
    )
    words = read_tokenizer(folder)
    assert words.kind is (BYTE_LEVEL if name == "roberta" else WORDPIECE) and words.pad == described.pad
    assert described.shape.max_tokens == 32 - 2 * (name == "roberta")

"""Jobs whose networks know the tokens that training rows need: what is left out, what stays equal, what is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import config_path, made, stages_of, write_task
from safetensors.numpy import load_file, save_file

import ofa
from ofa.data.batches import collate
from ofa.data.seen_tokens import kept_of, rows_changed
from ofa.errors import UserError
from ofa.jobs.job import run_job
from ofa.model import network as models
from ofa.model.network import forward_of
from ofa.results.collect import read
from ofa.results.report import table, text
from ofa.settings.limits import SearchConfig
from ofa.settings.schema import STAGES, Config, LoopConfig
from ofa.stages import vocabulary
from ofa.stages.inputs import Inputs, load_inputs
from ofa.stages.pipeline import PIPELINE
from ofa.stages.runner import run_stages
from ofa.store import Store
from ofa.supernet.subnet import count_params
from ofa.training.loop import NullMonitor

pytestmark = pytest.mark.job


@pytest.fixture
def seen(config: Config, tmp_path: Path) -> Config:
    """The job of the tests of stages, with words in its vocabulary that no training row has, and two dev rows have."""
    dev = tmp_path / "data" / "dev.tsv"
    dev.write_text(dev.read_text() + "dull good\t1\nbright film\t0\n")
    characters = sorted(set("abcdefghijklmnopqrstuvwxyz"))
    words = "good bad fine poor film plot cast song not very dull bright".split()
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[unused1]",
        *characters,
        *(f"##{c}" for c in characters),
        *words,
    ]
    (tmp_path / "words.txt").write_text("".join(f"{token}\n" for token in tokens))
    model = replace(config.model, vocab=str(tmp_path / "words.txt"))
    return replace(config, model=model, ofa=replace(config.ofa, vocabulary="seen"))


def test_a_limit_on_size_counts_the_tokens_that_stay(seen: Config) -> None:
    """Half of a small BERT is embeddings: with all of them the limit would be refused."""
    inputs = load_inputs(seen)
    shape, smallest = inputs.least_shape("seen"), inputs.space.smallest
    least = count_params(shape, smallest)
    assert shape.vocab_size < inputs.shape.vocab_size and inputs.least_shape("full") == inputs.shape

    def limited(most: float) -> Config:
        return replace(seen, search=SearchConfig(max_params=most, rows=20))

    load_inputs(limited(least))
    with pytest.raises(UserError, match=f"search.max_params: .* the least is {least} "):
        load_inputs(limited(least - 1))
    made = run(seen)["vocabulary"]
    (stage,) = [stage for stage in PIPELINE if stage.name == "vocabulary"]
    stage.check(limited(least), inputs, made)
    with pytest.raises(UserError, match=f"search.max_params: .* the least is {least} "):
        stage.check(limited(least - 1), inputs, made)


def run(config: Config) -> dict[str, Path]:
    inputs = load_inputs(config)
    return run_stages(config, inputs, NullMonitor(), Store(config_path(config) / "store"))


def test_every_network_has_the_smaller_vocabulary_and_all_that_serves_it(seen: Config, tmp_path: Path) -> None:
    (tmp_path / "data" / "traffic.tsv").write_text("sentence\nnot dull\nvery good\nno such thing\nbad song\n")
    seen = replace(seen, ofa=replace(seen.ofa, vocabulary_files=["traffic.tsv"]), stages=list(STAGES))
    results = run_job(seen, "")
    # 12 words without dull and bright, 52 characters, 5 special tokens.
    assert results.vocabulary == {"tokens": 67, "of": 70, "changed": {"dev": 2 / 26, "traffic.tsv": 0.25}}
    said = (
        "The networks know 67 of the teacher's 70 tokens; they read 7.69% of the rows of dev, 25.00% of the rows of tra"
    )
    (folder,) = (config_path(seen) / "runs").iterdir()
    assert said in text(results) and read(folder).vocabulary == results.vocabulary
    assert results.teacher is not None and results.teacher.params - results.networks[0].params == 3 * 32
    exported = next((config_path(seen) / "store").glob("quantize-*/w0.5"))
    assert (exported / "vocab.txt").read_text().split()[5:7] == ["a", "b"]
    assert json.loads((exported / "config.json").read_text())["vocab_size"] == 67
    classifier = ofa.load(exported)
    assert {row["label"] for row in classifier(["dull film", "good"])} <= {"no", "yes"}


def logits(model: Path, inputs: Inputs, split: str, rows: np.ndarray) -> np.ndarray:
    batch = collate(inputs.encoded(split), rows)
    return forward_of(models.load(model)[0])(batch.input_ids, batch.token_type_ids)


def test_rows_whose_tokens_stay_have_the_bits_they_had(seen: Config) -> None:
    seen = replace(seen, stages=["vocabulary"])
    folders, full = run(seen), load_inputs(seen)
    smaller = full.with_tokenizer_of(folders["vocabulary"] / "model")
    kept = kept_of(full.tokenizer, smaller.tokenizer)
    for split, lost in (("train", 0), ("dev", 2)):
        changed = rows_changed(full.encoded(split), kept)
        rows = np.flatnonzero(~changed)
        assert changed.sum() == lost
        for stage, name in (("finetune", "teacher"), ("reorder", "model")):
            before = logits(folders[stage] / "model", full, split, rows)
            assert (logits(folders["vocabulary"] / name, smaller, split, rows) == before).all()
    of_teacher, cut = (load_file(folders[name] / "model" / "model.safetensors") for name in ("reorder", "vocabulary"))
    words = "bert.embeddings.word_embeddings.weight"
    assert (cut.pop(words) == of_teacher.pop(words)[kept]).all()
    assert all((cut[name] == value).all() for name, value in of_teacher.items())


def test_the_whole_vocabulary_is_none_of_its_concern(seen: Config) -> None:
    """Finetuning and reordering are those of a job with the whole vocabulary, which needs no new stage."""
    full = replace(seen, ofa=replace(seen.ofa, vocabulary="full"))
    run(full)
    before = set(made(seen))
    run(seen)
    assert stages_of(set(made(seen)) - before) == ["distill", "evaluate", "vocabulary"]


def test_depths_and_a_lone_network_go_with_it(seen: Config) -> None:
    trainer = replace(seen.trainer, depth=LoopConfig(max_steps=2), final=LoopConfig(max_steps=2))
    seen = replace(seen, ofa=replace(seen.ofa, depths=[0.5], widths=[0.5]), trainer=trainer, stages=["export"])
    folders = run(seen)
    for name in ("w0.5-d0.5", "teacher"):
        assert json.loads((folders["export"] / name / "config.json").read_text())["vocab_size"] == 67


def test_a_cut_that_is_wrong_is_refused(seen: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof, on weights that are not those of the teacher."""

    def damaged(source: Path, target: Path, kept: np.ndarray, smaller: object) -> None:
        cut_embeddings(source, target, kept, smaller)
        tensors = load_file(target / "model.safetensors")
        tensors["bert.embeddings.word_embeddings.weight"] += np.float32(1e-3)
        save_file(tensors, target / "model.safetensors")

    cut_embeddings: Callable[..., None] = vocabulary.cut_embeddings
    monkeypatch.setattr(vocabulary, "cut_embeddings", damaged)
    with pytest.raises(UserError, match="ofa.vocabulary: rows of train whose tokens all stay are answered otherwise"):
        run(replace(seen, stages=["vocabulary"]))


def test_a_file_to_report_on_is_read_before_anything_is_trained(seen: Config, tmp_path: Path) -> None:
    write_task(tmp_path / "data")
    (tmp_path / "data" / "bad.tsv").write_text("text\nx\n")
    for name, words in (("bad.tsv", "no column 'sentence'"), ("nowhere.tsv", "ofa.vocabulary_files: .* is not a file")):
        with pytest.raises(UserError, match=words):
            load_inputs(replace(seen, ofa=replace(seen.ofa, vocabulary_files=[name])))


def test_the_teacher_beside_a_family_without_its_full_network_is_counted_as_it_is_exported(seen: Config) -> None:
    alone = replace(seen, ofa=replace(seen.ofa, widths=[0.5]), stages=list(STAGES))
    found = run_job(alone, "")
    assert found.teacher is not None and found.reference is not None and found.reference.bytes is not None
    assert found.teacher.params - found.reference.params == 3 * 32
    header, of_teacher, _ = table(found)
    assert of_teacher[header.index("size")] == "", "no file has the teacher's vocabulary"

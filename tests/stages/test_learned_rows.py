"""What the distillation stages learn from: labels, and rows without any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.jobs import WORDS, config_path, made, stages_of

from ofa.data.tokens import held_out
from ofa.errors import UserError
from ofa.jobs.job import run_job
from ofa.results.report import text
from ofa.settings.limits import SearchConfig
from ofa.settings.schema import AugmentConfig, Config, LoopConfig
from ofa.stages.inputs import load_inputs

pytestmark = pytest.mark.job


def history(config: Config) -> list[dict[str, float]]:
    """The log of the distillation that was made last."""
    folders = (config_path(config) / "store").glob("distill-*[0-9a-f]/distill.json")
    return json.loads(max(folders, key=lambda path: path.stat().st_mtime_ns).read_text())["history"]


def test_rows_without_labels_join_the_distillation_alone(config: Config, tmp_path: Path) -> None:
    train = (tmp_path / "data" / "train.tsv").read_text().splitlines()
    new = [" ".join(np.random.default_rng(row).permutation(WORDS)) for row in range(64)]
    (tmp_path / "more.tsv").write_text("\n".join(["sentence", *new, train[1].split("\t")[0]]) + "\n")
    loop = LoopConfig(epochs=1, batch_size=16, log_steps=1)
    config = replace(config, trainer=replace(config.trainer, distill=loop))
    run_job(config, "")
    before, steps = set(made(config)), len(history(config))
    assert "distill/hard_loss" not in history(config)[0]
    taught = replace(config, task=replace(config.task, unlabelled=[str(tmp_path / "more.tsv")]))
    taught = replace(taught, ofa=replace(taught.ofa, hard_weight=0.5))
    results = run_job(taught, "")
    assert stages_of(set(made(taught)) - before) == ["distill", "evaluate"]
    assert (steps, len(history(taught))) == (96 // 16, 160 // 16)
    labelled = [entry["distill/hard_loss"] for entry in history(taught)]
    assert 0 in labelled and max(labelled) > 0  # batches hold rows of one length: here, some without any label
    assert results.rows["unlabelled"] == {"used": 64, "left_out": 0, "repeated": 1, "in_dev": 0}
    assert "Distilled from 64 rows without labels, too; left out: 1 repeated or training rows, 0 of dev" in text(
        results
    )
    inputs = load_inputs(taught)
    distilled = inputs.with_unlabelled(inputs.encoded("train"))
    assert len(inputs.encoded("train")) == 96 and len(distilled) == 160
    assert (distilled.labels[:96] == inputs.rows["train"].labels).all()


def test_a_temperature_makes_the_distillation_again(config: Config) -> None:
    run_job(config, "")
    before = set(made(config))
    softer = replace(config, ofa=replace(config.ofa, temperature=4.0))
    cold, _ = history(config)[0]["distill/logit_loss"], run_job(softer, "")
    assert stages_of(set(made(config)) - before) == ["distill", "evaluate"]
    assert history(config)[0]["distill/logit_loss"] > 4 * cold  # 16 times what is near ln 2


def augmented(config: Config, **values: float) -> Config:
    return replace(config, ofa=replace(config.ofa, augment=AugmentConfig(copies=2, **values)))


def copies(config: Config) -> list[str]:
    (path,) = (config_path(config) / "store").glob("augment-*[0-9a-f]/augmented.jsonl")
    return [json.loads(line)["text_a"] for line in path.read_text().splitlines()]


def test_copies_with_words_replaced_join_the_distillation_alone(config: Config, tmp_path: Path) -> None:
    run_job(config, "")
    before = set(made(config))
    results = run_job(augmented(config), "")
    assert stages_of(set(made(config)) - before) == ["augment", "distill", "evaluate"]
    counts, new = results.rows["augmented"], copies(config)
    assert counts["used"] == len(new) > 96 and sum(counts.values()) == 192
    known = {tuple(row.split()) for split in load_inputs(config).rows.values() for row in split.text_a}
    assert not known & {tuple(row.split()) for row in new}
    assert f"Distilled from {len(new)} copies with words replaced, too; left out: " in text(results)
    again = augmented(replace(config, output_dir=str(tmp_path / "again"), stages=["augment"]))
    run_job(again, "")
    assert copies(again) == new
    assert load_inputs(config).counts.keys() == {"train", "dev"}


def test_rows_that_are_held_out_for_a_search_have_no_copies(config: Config) -> None:
    """One word in a hundred is replaced: a copy is a row but for one word or two."""
    search = SearchConfig(max_params=1e9, rows=48)
    few = augmented(replace(config, search=search, stages=["augment"]), share=0.01)
    run_job(few, "")
    inputs = load_inputs(few)
    rest, _ = held_out(96, 48, few.trainer.seed)
    words = [row.split() for row in inputs.rows["train"].text_a]

    def near(copy: list[str], rows: np.ndarray) -> bool:
        same = [row for row in rows if len(words[row]) == len(copy)]
        return any(sum(a != b for a, b in zip(words[row], copy, strict=True)) <= 2 for row in same)

    found = [copy.split() for copy in copies(few)]
    assert found and [copy for copy in found if not near(copy, rest)] == []


def test_nothing_is_replaced_where_nothing_can_be(config: Config, tmp_path: Path) -> None:
    """No letters, no words: one line, and it says which setting."""
    for name in ("train", "dev"):
        lines = ["sentence\tlabel", *(f"{row} {row * row}\t{row % 2}" for row in range(8))]
        (tmp_path / "data" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        run_job(replace(augmented(config), stages=["augment"]), "")
    assert str(caught.value).startswith("ofa.augment.copies: 0 of 16 rows of copies.jsonl join the distillation")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad_rows", ["error", "skip"])
def test_a_row_without_a_word_has_no_copies(config: Config, tmp_path: Path, bad_rows: str) -> None:
    """A zero-width space is text to the reader of files, and nothing to the tokenizer."""
    train = tmp_path / "data" / "train.tsv"
    train.write_text(train.read_text() + "\u200b\t1\n")
    one = augmented(replace(config, task=replace(config.task, bad_rows=bad_rows), stages=["distill"]))
    run_job(one, "")
    assert all(copy.split() for copy in copies(one))

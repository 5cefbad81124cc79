"""The tokenizer of a folder: a tokenizer.json read and written, capitals, and what is no file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers.wordpieces import HONOURED, WORDS, again, pieces, say
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.vocab import SPECIAL, train_vocab
from ofa.errors import UserError


def whole(folder: Path, template: str | None = "[CLS] $A [SEP] $B:1 [SEP]:1", **settings: Any) -> None:
    """Write the folder's tokenizer as a tokenizer.json, as Transformers 5 does, and take the vocabulary away."""
    say(folder, **settings)
    backend = Tokenizer.from_str(read_tokenizer(folder).backend.to_str())
    if template:
        special = [("[CLS]", 2), ("[SEP]", 3)]
        backend.post_processor = TemplateProcessing("[CLS] $A [SEP]", template, special)
    backend.enable_truncation(2)
    backend.enable_padding(length=9)
    backend.save(str(folder / "tokenizer.json"))


def test_a_tokenizer_json_is_enough(folder: Path, tmp_path: Path) -> None:
    usual = plain(folder / "vocab.txt")
    whole(folder, strip_accents=False)
    lines = (folder / "vocab.txt").read_text()
    (folder / "vocab.txt").unlink()
    say(folder, tokenizer_class="TokenizersBackend")
    found = read_tokenizer(folder)
    assert pieces(found) == HONOURED["accents kept"][1], "nothing is cut or filled up"
    kept = again(found, tmp_path / "again")
    assert pieces(kept) == pieces(found) and kept.key != usual.key
    assert (tmp_path / "again" / "vocab.txt").read_text() == lines and (tmp_path / "again" / "tokenizer.json").exists()


def test_a_tokenizer_json_that_says_what_is_usual_changes_no_key(folder: Path) -> None:
    usual = plain(folder / "vocab.txt")
    whole(folder)
    assert read_tokenizer(folder).key == usual.key
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS[::-1]]))
    with pytest.raises(
        UserError, match=r"tokenizer.json: '.*' is token \d+, in .*vocab.txt it is \d+; keep the one of"
    ):
        read_tokenizer(folder)


@pytest.mark.parametrize("what", ["truncation", "padding"])
def test_a_tokenizer_json_that_cuts_or_fills_up_on_the_left_is_refused(folder: Path, what: str) -> None:
    whole(folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(8, direction="left") if what == "truncation" else backend.enable_padding(direction="left")
    backend.save(str(folder / "tokenizer.json"))
    with pytest.raises(UserError, match=f"tokenizer.json: the direction of {what} is left; supported: right"):
        read_tokenizer(folder)
    say(folder, **{f"{what}_side": "right"})  # wins, as in Transformers
    assert read_tokenizer(folder).key == plain(folder / "vocab.txt").key


def test_a_text_is_made_of_tokens(folder: Path) -> None:
    ids = plain(folder / "vocab.txt").backend.encode("ab agent", add_special_tokens=False).ids
    assert len(ids) == 3
    assert plain(folder / "vocab.txt").text([*ids, 9999]) == "ab agent", "an unknown id is left out"
    whole(folder)
    assert read_tokenizer(folder).text(ids) == "ab agent", "by a tokenizer.json, with a decoder or without"


def test_special_tokens_in_other_places_are_refused(folder: Path) -> None:
    whole(folder, "[CLS] $A [SEP] [SEP] $B [SEP]")
    with pytest.raises(UserError, match=r"pairs become \[CLS\] a \[SEP\] \[SEP\] .*; supported: \[CLS\] a \[SEP\] b"):
        read_tokenizer(folder)


def test_capitals_are_lowered_as_the_files_say(folder: Path) -> None:
    say(folder, do_lower_case=False)
    with pytest.raises(
        UserError, match="model.lower_case: True, but tokenizer_config.json of .* set model.lower_case=f"
    ):
        read_tokenizer(folder, lower_case=True)
    whole(folder, do_lower_case=False)
    say(folder)
    with pytest.raises(
        UserError, match="model.lower_case: True, but tokenizer.json of .* has lowercase False; set mod"
    ):
        read_tokenizer(folder, lower_case=True)
    assert read_tokenizer(folder, lower_case=False).lower_case is False


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def test_what_is_no_file_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=f"{name}: not a regular file"):
        read_tokenizer(folder)
    (folder / name).unlink()
    (folder / name).write_text("{" * 100_000)
    with pytest.raises(UserError, match=name):
        read_tokenizer(folder)


@pytest.mark.parametrize("lower_case", [True, False])
def test_the_tokenizer_json_that_is_written_gives_the_same_ids(tmp_path, lower_case):
    """Read by the library it is for, special tokens in their places; and by us, as the same tokenizer."""
    texts = ["Ein Café, naïve ÅNGSTRÖM", "这部电影很好看 x", "[SEP] a£b", "", "e\u0301é E\u0301 isn't"]
    vocab = tmp_path / "vocab.txt"
    train_vocab(texts, 120, vocab, lower_case)
    ours, folder = plain(vocab, lower_case), tmp_path / "model"
    folder.mkdir()
    ours.write(folder, 128)
    ours.write_whole(folder)
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in texts:
        assert whole.encode(text).ids == [ours.cls, *ours.backend.encode(text, add_special_tokens=False).ids, ours.sep]
    assert whole.encode("a", "b").type_ids == [0, 0, 0, 1, 1]
    special = json.loads((folder / "special_tokens_map.json").read_text())
    assert special["pad_token"] == "[PAD]" and special["mask_token"] == "[MASK]" and len(special) == 5
    assert read_tokenizer(folder, lower_case).key == ours.key


@pytest.mark.parametrize("name", HONOURED)
def test_the_tokenizer_json_honours_every_setting_and_the_class_does_not_undo_it(folder, tmp_path, name):
    values, expected = HONOURED[name]
    say(folder, **values)
    found = read_tokenizer(folder)
    (tmp_path / "again").mkdir()
    found.write(tmp_path / "again", 32)
    found.write_whole(tmp_path / "again")
    kept = read_tokenizer(tmp_path / "again")
    assert pieces(kept) == expected and kept.key == found.key
    said = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())["tokenizer_class"]
    assert said == ("PreTrainedTokenizerFast" if name == "no basic tokenizer" else "BertTokenizer")

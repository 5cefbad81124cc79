"""Byte-level BPE: RoBERTa's ids, pairs and special tokens, and what cannot be honoured refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import ByteLevelBPETokenizer, Tokenizer

from ofa.data.batches import collate
from ofa.data.rows import Rows
from ofa.data.tokenizer import read_tokenizer
from ofa.data.tokens import tokenize
from ofa.errors import UserError

TEXTS = ["a good film", "这部电影很好看", "good <mask> film", "naïve  café", "</s> film", ""]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with vocab.json and merges.txt alone."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS * 3, 300, 1, show_progress=False, special_tokens=SPECIAL)
    (tmp_path / "model").mkdir()
    trained.save_model(str(tmp_path / "model"))
    return tmp_path / "model"


def say(folder: Path, name: str = "tokenizer_config.json", **values: Any) -> None:
    (folder / name).write_text(json.dumps(values))


def pieces(folder: Path, text: str) -> list[str]:
    return read_tokenizer(folder).backend.encode(text, add_special_tokens=False).tokens


def test_every_byte_has_ids_and_they_are_the_text_again(folder: Path) -> None:
    backend = read_tokenizer(folder).backend
    for text in [*TEXTS, "\U0001f600 \x00"]:
        assert backend.decode(backend.encode(text).ids, skip_special_tokens=False) == text.replace(" <mask>", "<mask>")


def test_special_tokens_are_what_the_files_say(folder: Path) -> None:
    found = read_tokenizer(folder)
    assert (found.cls, found.pad, found.sep, found.lower_case, found.vocab) == (0, 1, 2, None, None)
    assert pieces(folder, "film <mask> film")[-2:] == [" <mask>", "Ġfilm"], "the space before is the mask's"
    say(folder, "special_tokens_map.json", mask_token={"content": "<mask>", "lstrip": False})
    assert "Ġ" in pieces(folder, "film <mask>")
    say(folder, pad_token="<unk>")
    assert read_tokenizer(folder).pad == 3


def test_a_space_is_put_before_where_the_settings_say_so(folder: Path) -> None:
    assert pieces(folder, "film")[0] != "Ġfilm"
    before = read_tokenizer(folder).key
    say(folder, add_prefix_space=True)
    assert pieces(folder, "film") == ["Ġfilm"] and read_tokenizer(folder).key != before


def test_pairs_have_two_separators_and_one_type(folder: Path) -> None:
    tokenizer = read_tokenizer(folder)
    rows = Rows(["film", "a good film"], ["film", "film good film"], np.zeros(2, np.int64))
    encoded = tokenize(rows, tokenizer, 9)
    whole = Tokenizer.from_str(tokenizer.backend.to_str())
    whole.post_processor = tokenizer.kind.processor(("</s>", 2), ("<s>", 0))
    assert encoded.take([0]).input_ids.tolist() == whole.encode("film", "film").ids
    assert encoded.lengths.max() <= 9 and encoded.truncated > 0
    batch = collate(encoded, np.arange(2))
    assert not batch.token_type_ids.any()
    padded = int(encoded.lengths.max() - encoded.lengths.min())
    assert (batch.input_ids == 1).sum() == padded
    with pytest.raises(UserError, match="max_seq_length: 5 leaves no room for text; allowed: 6 up"):
        tokenize(rows, tokenizer, 5)


@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizerFast"}])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_written_is_read_as_the_same(folder: Path, tmp_path: Path, settings: dict, whole: bool) -> None:
    say(folder, **settings)
    found = read_tokenizer(folder)
    if whole:
        found.write_whole(folder)
        (folder / "vocab.json").unlink()
        (folder / "merges.txt").unlink()
    again = tmp_path / "again"
    again.mkdir()
    read_tokenizer(folder).write(again, 32)
    read_tokenizer(folder).write_whole(again)
    assert {path.name for path in again.iterdir()} >= {"vocab.json", "merges.txt", "tokenizer.json"}
    assert not (again / "vocab.txt").exists()
    special = json.loads((again / "special_tokens_map.json").read_text())
    assert special["bos_token"] == special["cls_token"] == "<s>" and special["mask_token"] == "<mask>"
    kept, library = read_tokenizer(again), Tokenizer.from_file(str(again / "tokenizer.json"))
    for text in TEXTS:
        ids = found.backend.encode(text, add_special_tokens=False).ids
        assert kept.backend.encode(text, add_special_tokens=False).ids == ids
        assert library.encode(text).ids == [0, *ids, 2]


def with_whole(folder: Path, change: Any) -> None:
    """A tokenizer.json in ``folder``, with ``change`` made to it."""
    read_tokenizer(folder).write_whole(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))


def test_what_cannot_be_honoured_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    say(folder, tokenizer_class="XLMRobertaTokenizer")
    with pytest.raises(UserError, match="tokenizer_class is 'XLMRobertaTokenizer'; supported: RobertaTokenizer"):
        read_tokenizer(folder)
    say(folder, add_prefix_space="yes")
    with pytest.raises(UserError, match="add_prefix_space is 'yes'; allowed: true or false"):
        read_tokenizer(folder)
    say(folder, cls_token="[CLS]")
    with pytest.raises(UserError, match=r"no token \[CLS\]"):
        read_tokenizer(folder)
    say(folder)
    with pytest.raises(UserError, match="model.vocab: .* has byte-level BPE, which no vocab.txt is for"):
        read_tokenizer(folder, vocab=tmp_path / "vocab.txt")
    with_whole(folder, lambda content: content.update(post_processor=None) or content["model"].update(dropout=0.1))
    with pytest.raises(UserError, match="tokenizer.json: dropout is 0.1, so that ids are drawn anew"):
        read_tokenizer(folder)


def test_special_tokens_in_other_places_are_refused(folder: Path) -> None:
    berts = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}
    with_whole(folder, lambda content: content.update(post_processor=berts))
    with pytest.raises(UserError, match=r"pairs become .*; supported: \[CLS\] a \[SEP\] \[SEP\] b \[SEP\]"):
        read_tokenizer(folder)


@pytest.mark.parametrize(("name", "words"), [("merges.txt", "no merges.txt in"), ("vocab.json", "no vocab.txt or")])
def test_a_file_that_is_not_there_is_named(folder: Path, name: str, words: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=words):
        read_tokenizer(folder)


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "merges.txt").write_text("a b c d\n")
    with pytest.raises(UserError, match="vocab.json: not readable, with merges.txt, as byte-level BPE"):
        read_tokenizer(folder)


def test_paddle_s_chinese_roberta_has_bert_s_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n很\n好\n", encoding="utf-8")
    say(tmp_path, tokenizer_class="RobertaTokenizer")
    assert pieces(tmp_path, "很好") == ["很", "好"]

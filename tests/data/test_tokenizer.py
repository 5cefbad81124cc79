"""The tokenizer of a folder: every setting honoured or refused by name, and the same again in what is written of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from ofa.data.rows import Rows
from ofa.data.tokenizer import TextTokenizer, plain, read_tokenizer
from ofa.data.tokens import tokenize
from ofa.data.vocab import SPECIAL, train_vocab
from ofa.errors import UserError

WORDS = ["mochte", "m\u00f6chte", "M\u00f6chte", "\u4f60\u597d", "\u4f60", "\u597d", "a", "##b", "!", "[", "]", "agent"]
TEXT = "M\u00f6chte \u4f60\u597d ab! [agent]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a vocabulary alone."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    return tmp_path / "model"


def say(folder: Path, name: str = "tokenizer_config.json", **values: Any) -> None:
    (folder / name).write_text(json.dumps(values))


def pieces(tokenizer: TextTokenizer, text: str = TEXT) -> str:
    return " ".join(tokenizer.backend.encode(text, add_special_tokens=False).tokens)


def again(tokenizer: TextTokenizer, folder: Path) -> TextTokenizer:
    """What is read of what is written."""
    folder.mkdir(parents=True)
    tokenizer.write(folder, 32)
    return read_tokenizer(folder)


CHINESE = "\u4f60 \u597d"
HONOURED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, f"mochte {CHINESE} a ##b ! [ agent ]"),
    "accents kept": ({"strip_accents": False}, f"m\u00f6chte {CHINESE} a ##b ! [ agent ]"),
    "accents and case kept": (
        {"strip_accents": False, "do_lower_case": False},
        f"M\u00f6chte {CHINESE} a ##b ! [ agent ]",
    ),
    "Chinese as words": ({"tokenize_chinese_chars": False}, "mochte \u4f60\u597d a ##b ! [ agent ]"),
    "no basic tokenizer": ({"do_basic_tokenize": False}, "M\u00f6chte \u4f60\u597d [UNK] [UNK]"),
    "extra special": ({"additional_special_tokens": ["[agent]"]}, f"mochte {CHINESE} a ##b ! [agent]"),
    "extra by name": ({"extra_special_tokens": {"who": "[agent]"}}, f"mochte {CHINESE} a ##b ! [agent]"),
    "added with flags": (
        {"added_tokens_decoder": {"17": {"content": "[agent]", "special": True, "normalized": False}}},
        f"mochte {CHINESE} a ##b ! [agent]",
    ),
}


@pytest.mark.parametrize("name", HONOURED)
def test_a_setting_is_honoured_and_kept_in_what_is_written(folder: Path, tmp_path: Path, name: str) -> None:
    values, expected = HONOURED[name]
    say(folder, **values)
    found = read_tokenizer(folder)
    assert pieces(found) == expected
    kept = again(found, tmp_path / "again")
    assert pieces(kept) == expected and kept.key == found.key and kept.size == found.size
    usual = plain(folder / "vocab.txt")
    assert (found.key == usual.key) == (name in ("nothing", "accents and case kept")), (
        "a store made before stays valid where nothing differs"
    )
    assert pieces(usual) == HONOURED["nothing"][1]


def test_settings_that_say_what_is_usual_change_no_key(folder: Path) -> None:
    usual = plain(folder / "vocab.txt")
    special = {str(i): {"content": token, "special": True, "normalized": False} for i, token in enumerate(SPECIAL)}
    say(folder, do_lower_case=True, strip_accents=True, tokenize_chinese_chars=True, added_tokens_decoder=special,
        never_split=["[CLS]"], tokenizer_class="BertTokenizer", pad_token="[PAD]")  # fmt: skip
    say(folder, "special_tokens_map.json", unk_token={"content": "[UNK]"})
    assert read_tokenizer(folder).key == usual.key
    assert not read_tokenizer(folder).more


def test_added_tokens_are_tokens_under_the_ids_they_were_given(folder: Path, tmp_path: Path) -> None:
    say(folder, "added_tokens.json", **{"[who]": 18, "zz9": 17})
    found = read_tokenizer(folder)
    assert found.size == 19
    assert pieces(found, "[who] zz9! a") == "[who] zz9 ! a"
    assert found.backend.encode("[who] zz9", add_special_tokens=False).ids == [18, 17]
    assert pieces(again(found, tmp_path / "again"), "[who] zz9! a") == "[who] zz9 ! a"
    say(folder, "added_tokens.json", **{"[who]": 3})
    with pytest.raises(UserError, match=r"'\[who\]' was added as token 3, but the vocabulary has '\[SEP\]' there"):
        read_tokenizer(folder)


def test_padding_may_stand_anywhere_and_have_another_name(folder: Path) -> None:
    lines = ["[UNK]", "<s>", "[SEP]", "a", "[PAD]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join(lines))
    say(folder, cls_token="<s>")
    found = read_tokenizer(folder)
    assert (found.pad, found.cls, found.sep) == (4, 1, 2)


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


def test_a_model_that_is_fed_no_token_types_has_one_for_pairs(folder: Path, tmp_path: Path) -> None:
    """As Transformers: what is not named among a model's inputs is not made, and the model takes zeros."""
    pair, kept = Rows(["a !"], ["agent"], np.zeros(1)), tmp_path / "again"
    for named, first in ((["input_ids", "token_type_ids"], 4), (["input_ids", "attention_mask"], 6)):
        say(folder, model_input_names=named)
        found = read_tokenizer(folder)
        assert tokenize(pair, found, 16).first_lengths.tolist() == [first]
        assert tokenize(pair, again(found, kept / str(first)), 16).first_lengths.tolist() == [first]
        assert (found.key == plain(folder / "vocab.txt").key) == (first == 4)


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


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another class": (
        {"tokenizer_class": "BertJapaneseTokenizer"},
        "tokenizer_class is 'BertJapaneseTokenizer'; supported: BertTokenizer, BertTokenizerFast",
    ),
    "class that needs a tokenizer.json": ({"tokenizer_class": "PreTrainedTokenizerFast"}, "supported: BertTokenizer,"),
    "word tokenizer": ({"word_tokenizer_type": "mecab"}, "word_tokenizer_type is 'mecab'; supported: null, \"basic\""),
    "special tokens split": ({"split_special_tokens": True}, "split_special_tokens is True; supported: null, false"),
    "cut on the left": ({"truncation_side": "left"}, "truncation_side is 'left'; supported: null, \"right\""),
    "filled on the left": ({"padding_side": "left"}, "padding_side is 'left'; supported: null, \"right\""),
    "fed a word": ({"model_input_names": "input_ids"}, "model_input_names is 'input_ids'; allowed: a list with input_"),
    "never split": ({"never_split": ["agent"]}, "never_split is ['agent']; supported: null or special tokens"),
    "case in words": ({"do_lower_case": "yes"}, "do_lower_case is 'yes'; allowed: true or false, without quotes"),
    "case as number": ({"do_lower_case": 1}, "do_lower_case is 1; allowed: true or false"),
    "accents in words": ({"strip_accents": "no"}, "strip_accents is 'no'; allowed: true or false"),
    "tokens by word": ({"added_tokens_decoder": {"x": "[agent]"}}, "the id of '[agent]' is 'x'; allowed: a whole"),
    "tokens a list": ({"added_tokens_decoder": ["[agent]"]}, "added_tokens_decoder is ['[agent]']; allowed: tokens by"),
    "a flag in words": ({"added_tokens_decoder": {"17": {"content": "x", "lstrip": "no"}}}, "true or false for single"),
    "another id": ({"added_tokens_decoder": {"17": "agent"}}, "'agent' was added as token 17"),
    "an id beyond": ({"added_tokens_decoder": {"9" * 12: "x"}}, "allowed: a whole number"),
    "extra a word": ({"additional_special_tokens": "[agent]"}, "additional_special_tokens is '[agent]'; allowed: a li"),
    "no token": ({"pad_token": 3}, "3 is no token; allowed: a text, or an object with content"),
    "padding unknown": ({"pad_token": "<pad>"}, "vocab.txt: no line <pad>"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(folder: Path, name: str) -> None:
    values, words = REFUSED[name]
    say(folder, **values)
    with pytest.raises(UserError) as refused:
        read_tokenizer(folder)
    assert words in str(refused.value) and str(folder) in str(refused.value) and "\n" not in str(refused.value)


def test_a_class_that_config_json_names_counts_too(folder: Path) -> None:
    say(folder, "config.json", tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(UserError, match="tokenizer_class is 'BertJapaneseTokenizer'"):
        read_tokenizer(folder)


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


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["a", "[agent]", "17", 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "do_lower_case", "strip_accents", "never_split", "added_tokens_decoder", "additional_special_tokens", "pad_token",
    "extra_special_tokens", "tokenizer_class", "unk_token", "wordpieces_prefix", "cls_token", "do_basic_tokenize",
]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), st.none() | VALUES)
def test_any_json_is_a_tokenizer_or_is_refused_in_a_line(folder: Path, said: dict[str, Any], added: Any) -> None:
    say(folder, **said)
    (folder / "added_tokens.json").write_text(json.dumps({} if added is None else added))
    try:
        assert read_tokenizer(folder).size < 2**31
    except UserError as error:
        str(error).encode()
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 1000


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


def test_paddle_s_ernie_tokenizer_is_bert_s_and_is_written_as_that(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ErnieTokenizer", "strip_accents": false}')
    read = read_tokenizer(folder)
    read.write(tmp_path, 128)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "BertTokenizer"
    assert read_tokenizer(tmp_path).key == read.key


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

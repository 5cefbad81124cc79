"""Settings of a folder's tokenizer: each honoured, in what is written of it too, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.wordpieces import HONOURED, again, pieces, say
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa.data.rows import Rows
from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.tokens import tokenize
from ofa.data.vocab import SPECIAL
from ofa.errors import UserError


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


def test_a_model_that_is_fed_no_token_types_has_one_for_pairs(folder: Path, tmp_path: Path) -> None:
    """As Transformers: what is not named among a model's inputs is not made, and the model takes zeros."""
    pair, kept = Rows(["a !"], ["agent"], np.zeros(1)), tmp_path / "again"
    for named, first in ((["input_ids", "token_type_ids"], 4), (["input_ids", "attention_mask"], 6)):
        say(folder, model_input_names=named)
        found = read_tokenizer(folder)
        assert tokenize(pair, found, 16).first_lengths.tolist() == [first]
        assert tokenize(pair, again(found, kept / str(first)), 16).first_lengths.tolist() == [first]
        assert (found.key == plain(folder / "vocab.txt").key) == (first == 4)


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


def test_paddle_s_ernie_tokenizer_is_bert_s_and_is_written_as_that(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ErnieTokenizer", "strip_accents": false}')
    read = read_tokenizer(folder)
    read.write(tmp_path, 128)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "BertTokenizer"
    assert read_tokenizer(tmp_path).key == read.key

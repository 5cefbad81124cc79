"""A smaller vocabulary: what stays, what rows become, and that no word is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ofa.data.rows import Rows
from ofa.data.seen_tokens import cut, kept_ids, kept_of, require_wordpiece, rows_changed, share_changed
from ofa.data.tokenizer import TextTokenizer, plain, read_tokenizer
from ofa.data.tokens import Encoded, tokenize
from ofa.data.vocab import SPECIAL
from ofa.errors import UserError
from ofa.settings.schema import TaskConfig

LETTERS = "abcd"
CHARACTERS = [*LETTERS, *(f"##{letter}" for letter in LETTERS)]


def tokenizer_of(folder: Path, tokens: list[str], lower_case: bool = True) -> TextTokenizer:
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in [*SPECIAL, *tokens]))
    return plain(folder / "vocab.txt", lower_case)


def encoded(tokenizer: TextTokenizer, texts: list[str]) -> Encoded:
    return tokenize(Rows(texts, None, np.zeros(len(texts), np.int64)), tokenizer, 64)


def tokens_of(tokenizer: TextTokenizer, kept: np.ndarray) -> list[str]:
    return [tokenizer.backend.id_to_token(int(number)) for number in kept]


def test_what_rows_need_stays_and_characters_and_special_tokens(tmp_path: Path) -> None:
    full = tokenizer_of(tmp_path, ["[unused1]", *CHARACTERS, "ab", "##cd", "dab", "##ab"])
    kept = kept_ids(full, np.unique(encoded(full, ["abcd a"]).input_ids))
    assert tokens_of(full, kept) == [*SPECIAL, *CHARACTERS, "ab", "##cd"]
    smaller = cut(full, kept)
    assert smaller.size == len(kept) and (smaller.pad, smaller.cls, smaller.sep) == (0, 2, 3)
    assert smaller.backend.encode("abcd dabab [SEP]").tokens == [*"ab ##cd d ##a ##b ##a ##b".split(), "[SEP]"]
    assert (kept_of(full, smaller) == kept).all()


def test_characters_stay_where_a_word_can_have_them(tmp_path: Path) -> None:
    """Punctuation and Chinese characters are words by themselves; a tokenizer for lower case reads no capitals."""
    tokens = ["a", "##a", "A", "##A", ".", "##.", "中", "##中", "é", "##é"]
    for lower_case, expected in (
        (True, ["a", "##a", ".", "中"]),
        (False, [t for t in tokens if t not in ("##.", "##中")]),
    ):
        full = tokenizer_of(tmp_path, tokens, lower_case)
        assert tokens_of(full, kept_ids(full, np.array([], np.int64))) == [*SPECIAL, *expected]


def test_what_characters_do_not_spell_stays(tmp_path: Path) -> None:
    full = tokenizer_of(tmp_path, ["a", "##b", "ab", "ac", "##bc", "[x]"])
    assert tokens_of(full, kept_ids(full, np.array([], np.int64))) == [*SPECIAL, "a", "##b", "ac", "##bc"]


@given(
    pieces=st.sets(st.builds(str.__add__, st.sampled_from(["", "##"]), st.text(LETTERS, min_size=2, max_size=4))),
    learned=st.lists(st.text(LETTERS + " ", min_size=1, max_size=12), min_size=1, max_size=4),
    others=st.lists(st.text(LETTERS + "e ", min_size=1, max_size=12), min_size=1, max_size=8),
)
def test_no_word_becomes_unknown_and_only_words_that_lost_a_token_change(
    pieces: set[str], learned: list[str], others: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    full = tokenizer_of(tmp_path_factory.mktemp("vocab"), [*CHARACTERS, *sorted(pieces)])
    kept = kept_ids(full, np.unique(encoded(full, learned).input_ids))
    smaller = cut(full, kept)
    before, after = encoded(full, [*learned, *others]), encoded(smaller, [*learned, *others])
    changed = rows_changed(before, kept)
    assert not changed[: len(learned)].any()
    unknown = full.backend.token_to_id("[UNK]")
    for row in range(len(before)):
        old = before.input_ids[before.offsets[row] : before.offsets[row + 1]]
        new = kept[after.input_ids[after.offsets[row] : after.offsets[row + 1]]]
        assert (old.tolist() == new.tolist()) == (not changed[row])
        assert (old == unknown).sum() == (new == unknown).sum()


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    full = tokenizer_of(tmp_path, [*CHARACTERS, "ab", "##cd", "dab"])
    smaller = cut(full, kept_ids(full, np.array([full.backend.token_to_id("ab")])))
    (tmp_path / "small").mkdir()
    smaller.write(tmp_path / "small", 32)
    smaller.write_whole(tmp_path / "small")
    for without in ("nothing", "tokenizer.json"):  # as Transformers' slow tokenizer reads it, too
        (tmp_path / "small" / without).unlink(missing_ok=True)
        found = read_tokenizer(tmp_path / "small")
        assert found.backend.get_vocab() == smaller.backend.get_vocab() and found.lower_case is True
        assert (encoded(found, ["Ab dabcd"]).input_ids == encoded(smaller, ["Ab dabcd"]).input_ids).all()


def test_added_tokens_and_settings_go_along(tmp_path: Path) -> None:
    tokenizer_of(tmp_path, [*CHARACTERS, "ab", "abc"])
    said = {"added_tokens_decoder": {"15": {"content": "<user>", "special": False}}, "do_lower_case": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]"}))
    full = read_tokenizer(tmp_path)
    smaller = cut(full, kept_ids(full, np.unique(encoded(full, ["abc"]).input_ids)))
    (tmp_path / "small").mkdir()
    smaller.write(tmp_path / "small", 32)
    smaller.write_whole(tmp_path / "small")
    found = read_tokenizer(tmp_path / "small")
    assert found.backend.encode("A<user>abcab", add_special_tokens=False).tokens == [
        "[UNK]",
        "<user>",
        "abc",
        "##a",
        "##b",
    ]
    assert found.size == smaller.size == full.size - 1  # ab is gone


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    full = tokenizer_of(tmp_path, CHARACTERS)
    other = TextTokenizer(Tokenizer(WordLevel({"a": 0})), 0, 0, 0, None, "", None)
    require_wordpiece(full, "ofa.vocabulary", "seen", "full")
    with pytest.raises(UserError, match="ofa.vocabulary: seen is for WordPiece, the model's tokenizer is WordLevel"):
        require_wordpiece(other, "ofa.vocabulary", "seen", "full")


def test_the_share_of_a_file_that_changes(tmp_path: Path) -> None:
    full = tokenizer_of(tmp_path, [*CHARACTERS, "ab", "abc"])
    kept = kept_ids(full, np.unique(encoded(full, ["ab"]).input_ids))
    (tmp_path / "rows.tsv").write_text("text\nab\nabc\nab a\nd abc\n")
    assert share_changed(tmp_path / "rows.tsv", TaskConfig("t", text=["text"]), full, kept, 16) == 0.5

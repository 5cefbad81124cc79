"""Token ids, truncation and the cache; vocabularies, checked and trained."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from ofa.data import tokens as module
from ofa.data.rows import Rows
from ofa.data.tokenizer import plain
from ofa.data.tokens import Encoded, tokenize
from ofa.data.vocab import SPECIAL, read_vocab
from ofa.errors import UserError

WORDS = ["hello", "wor", "##ld", "##s", "!", "[", "]", "a", "\u4f60", "H", "Hello", "cafe", "caf\u00e9"]


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*SPECIAL, *WORDS]) + "\n", encoding="utf-8")
    return path


def rows_of(first: list[str], second: list[str] | None = None) -> Rows:
    return Rows(first, second, np.arange(len(first)) % 2)


def tokens(encoded: Encoded, vocab: Path) -> list[list[str]]:
    names = list(read_vocab(vocab))
    return [
        [names[i] for i in encoded.input_ids[a:b]] for a, b in zip(encoded.offsets, encoded.offsets[1:], strict=False)
    ]


def test_wordpiece_as_bert_does_it(vocab: Path) -> None:
    texts = ["Hello, worlds!", "CAF\u00c9 a\u4f60a", "a\u200ba\x07 a\u00a0a", "[SEP] a", "", "a" * 101]
    assert tokens(tokenize(rows_of(texts), plain(vocab), 32), vocab) == [
        ["[CLS]", "hello", "[UNK]", "wor", "##ld", "##s", "!", "[SEP]"],
        ["[CLS]", "cafe", "a", "\u4f60", "a", "[SEP]"],  # accents go, a Chinese character is a word
        ["[CLS]", "[UNK]", "a", "a", "[SEP]"],  # control characters vanish, no-break space parts
        ["[CLS]", "[SEP]", "a", "[SEP]"],
        ["[CLS]", "[SEP]"],
        ["[CLS]", "[UNK]", "[SEP]"],  # words over 100 characters
    ]
    cased = tokenize(rows_of(["Hello hello CAF\u00c9 caf\u00e9"]), plain(vocab, lower_case=False), 32)
    assert tokens(cased, vocab) == [["[CLS]", "Hello", "hello", "[UNK]", "caf\u00e9", "[SEP]"]]


def test_pairs_and_take(vocab: Path) -> None:
    encoded = tokenize(rows_of(["hello", "a a a", ""], ["a !", "", "a"]), plain(vocab), 32)
    assert tokens(encoded, vocab) == [
        ["[CLS]", "hello", "[SEP]", "a", "!", "[SEP]"],
        ["[CLS]", "a", "a", "a", "[SEP]", "[SEP]"],
        ["[CLS]", "[SEP]", "a", "[SEP]"],
    ]
    assert encoded.first_lengths.tolist() == [3, 5, 2] and encoded.lengths.tolist() == [6, 6, 4]
    assert (encoded.input_ids.dtype, encoded.offsets.dtype, encoded.truncated) == (np.int32, np.int64, 0)
    taken = encoded.take([2, 0, 2])
    assert tokens(taken, vocab) == [tokens(encoded, vocab)[i] for i in (2, 0, 2)]
    assert (taken.first_lengths.tolist(), taken.labels.tolist(), len(taken)) == ([2, 3, 2], [0, 0, 0], 3)
    assert len(encoded.take([])) == 0 and encoded.take([]).offsets.tolist() == [0]


def test_truncation_keeps_what_bert_keeps() -> None:
    def one_by_one(a: int, b: int, room: int) -> tuple[int, int]:  # the loop of the original BERT
        while a + b > room:
            a, b = (a - 1, b) if a > b else (a, b - 1)
        return a, b

    for room in range(1, 9):
        for a in range(12):
            for b in range(12):
                assert module._keep(a, b, room) == one_by_one(a, b, room), (a, b, room)


def test_truncated_rows(vocab: Path) -> None:
    single = tokenize(rows_of(["a a a a a", "hello a a", "a"]), plain(vocab), 5)
    assert single.lengths.tolist() == [5, 5, 3] and single.truncated == 1 and single.take([1, 2]).truncated == 0
    pair = tokenize(rows_of(["a a a a a", "a"], ["hello !", "a"]), plain(vocab), 7)
    assert tokens(pair, vocab)[0] == ["[CLS]", "a", "a", "[SEP]", "hello", "!", "[SEP]"]
    assert pair.truncated == 1 and pair.first_lengths.tolist() == [4, 3]
    with pytest.raises(UserError, match="trainer.max_seq_length: 4 leaves no room for text; allowed: 5 up"):
        tokenize(rows_of(["a"], ["a"]), plain(vocab), 4)


def test_chunks_make_no_difference(vocab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of([f"a {'hello ' * (i % 7)}" for i in range(100)], ["a " * (i % 5) for i in range(100)])
    whole = tokenize(rows, plain(vocab), 9)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = tokenize(rows, plain(vocab), 9)
    for name, value in vars(whole).items():
        assert np.array_equal(value, getattr(parts, name)), name


def test_cache(vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    rows, cache = rows_of(["hello a", "a"], ["a", "!"]), tmp_path / "cache"
    made: list[int] = []
    real = module._tokenize
    monkeypatch.setattr(module, "_tokenize", lambda *args: made.append(1) or real(*args))

    def same(expected_runs: int, **changes) -> None:
        again = tokenize(
            **{"rows": rows, "tokenizer": plain(vocab), "max_seq_length": 16, "cache_dir": cache, **changes}
        )
        assert len(made) == expected_runs
        for name, value in vars(first).items():
            assert np.array_equal(value, getattr(again, name)) and type(value) is type(getattr(again, name))
            assert np.asarray(value).dtype == np.asarray(getattr(again, name)).dtype

    first = tokenize(rows, plain(vocab), 16, cache_dir=cache)
    same(1)
    same(1, rows=Rows(list(rows.text_a), list(rows.text_b or []), rows.labels.copy()))  # equal content
    tokenize(rows, plain(vocab), 15, cache_dir=cache)
    tokenize(rows, plain(vocab, lower_case=False), 16, cache_dir=cache)
    tokenize(rows_of(["hello a", "!"], ["a", "!"]), plain(vocab), 16, cache_dir=cache)
    assert len(made) == 4 and len(list((cache / "encoded").iterdir())) == 4  # and no temporary file left

    sound = {path: path.read_bytes() for path in (cache / "encoded").iterdir()}
    pickled = io.BytesIO()
    np.savez(pickled, **{**vars(first), "labels": np.array([{}, {}], dtype=object)})
    damages = [
        lambda whole: b"",
        lambda whole: b"not an npz",
        lambda whole: whole[:-30],
        lambda whole: whole[: len(whole) // 3] + bytes([whole[len(whole) // 3] ^ 255]) + whole[len(whole) // 3 + 1 :],
        lambda whole: pickled.getvalue(),
    ]
    for expected, damage in enumerate(damages, 5):
        for path, whole in sound.items():
            path.write_bytes(damage(whole))
        caplog.clear()
        same(expected)
        assert "is damaged; encoding again" in caplog.text
        same(expected)  # it was written anew


def test_a_cache_that_cannot_be_written_costs_no_run(vocab: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(tokenize(rows_of(["a"]), plain(vocab), 16, cache_dir=vocab)) == 1  # a file where the folder should be
    assert f"encoded rows are not cached: cannot write {vocab}" in caplog.text


def test_ids_equal_hugging_face(shared: Path) -> None:
    folder = shared / "models" / "hf-bert-4x128-sst2"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    reference = json.loads((folder / "reference.json").read_text())["rows"]
    encoded = tokenize(rows_of([row["sentence"] for row in reference]), plain(folder / "vocab.txt"), 128)
    for row, start, end in zip(reference, encoded.offsets, encoded.offsets[1:], strict=False):
        assert encoded.input_ids[start:end].tolist() == row["input_ids"]


def test_rows_held_out_and_the_rest_are_all_rows_once_in_their_order(vocab: Path) -> None:
    encoded = tokenize(rows_of(["a " * (n + 1) for n in range(9)]), plain(vocab), 32)
    rest, held = encoded.hold_out(3, seed=1)
    assert len(held) == 3 and sorted([*rest.lengths, *held.lengths]) == encoded.lengths.tolist()
    assert all(sorted(part.lengths) == part.lengths.tolist() for part in (rest, held))
    assert held.lengths.tolist() == encoded.hold_out(3, seed=1)[1].lengths.tolist()
    assert {tuple(encoded.hold_out(3, seed)[1].lengths) for seed in range(5)} != {tuple(held.lengths)}
    whole, none = encoded.hold_out(0, seed=1)
    assert whole.input_ids.tolist() == encoded.input_ids.tolist() and len(none) == 0

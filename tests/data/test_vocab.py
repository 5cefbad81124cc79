"""Vocabulary files, checked and trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.toys import REPO

from ofa.data.rows import Rows
from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.tokenizer_settings import BYTE_LEVEL
from ofa.data.tokens import tokenize
from ofa.data.vocab import SPECIAL, read_vocab, train_byte_level, train_vocab
from ofa.errors import UserError

BAD_VOCABS = {
    "missing": ("[PAD]\n[UNK]\n[CLS]\na\n", r"v.txt: no line \[SEP\], \[MASK\]; a WordPiece vocab.txt has \[PAD\], "),
    "twice": (
        "[PAD]\n[UNK]\na\n[CLS]\n[SEP]\na\n[MASK]\n",
        "v.txt:6: 'a' is already on line 3; allowed: each token once",
    ),
    "blank lines": ("[PAD]\n\n[UNK]\n\na\n", "v.txt:4: '' is already on line 2"),
    "latin-1": ("caf\u00e9", "v.txt: byte 4 is not UTF-8"),
    "empty": ("", r"v.txt: no line \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\]"),
}


@pytest.mark.parametrize("case", BAD_VOCABS)
def test_bad_vocabularies(case: str, tmp_path: Path) -> None:
    content, message = BAD_VOCABS[case]
    (tmp_path / "v.txt").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_vocab(tmp_path / "v.txt")


def test_vocabulary_files(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("\n".join([*SPECIAL, "a", "##b", ""]))
    assert len(read_vocab(tmp_path / "plain.txt")) == len(SPECIAL) + 2
    odd = "\n".join([*SPECIAL, "a\u2028b", "c"])  # only a newline ends a line; CRLF and no last newline are fine
    (tmp_path / "odd.txt").write_bytes(odd.replace("\n", "\r\n").encode())
    assert list(read_vocab(tmp_path / "odd.txt"))[5:] == ["a\u2028b", "c"]
    (tmp_path / "blank.txt").write_text("\n".join([*SPECIAL, "a", "", "", ""]))  # an editor's blank lines at the end
    assert list(read_vocab(tmp_path / "blank.txt"))[5:] == ["a"]
    for place, words in (
        (tmp_path, "not a regular file"),
        (tmp_path / "gone.txt", "cannot be read .*vocab.txt is exp"),
    ):
        with pytest.raises(UserError, match=words):
            read_vocab(place)


TEXTS = [
    f"the {a} {b} was {c}ing , not {c}ed !" for a in ("old", "new") for b in ("dog", "fox") for c in ("jump", "walk")
]


TRAIN = """import sys, json; from pathlib import Path; from ofa.data import vocab
texts, path = json.load(sys.stdin), Path(sys.argv[1])
vocab.train_vocab(texts, 100, path / "v.txt"); vocab.train_byte_level(texts, 400, path / "bytes")"""


def test_trained_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "v.txt"
    size = train_vocab(TEXTS * 3, 100, path)
    vocab = list(read_vocab(path))
    assert vocab[:5] == list(SPECIAL) and size == len(vocab) <= 100
    assert {"the", "was", "##ing", "!", ",", "jump"} <= set(vocab)
    encoded = tokenize(Rows(TEXTS, None, np.zeros(len(TEXTS))), plain(path), 32)
    assert vocab.index("[UNK]") not in encoded.input_ids
    assert train_vocab(TEXTS, 10_000, tmp_path / "all.txt") < 200  # no more than the text gives
    with pytest.raises(UserError, match="model.vocab_size: 20 is too small to train a vocabulary; allowed: 100 up"):
        train_vocab(TEXTS, 20, path)


def test_a_trained_vocabulary_has_the_characters_that_are_words_by_themselves(tmp_path: Path) -> None:
    """Each Chinese character is one, so there is nothing to put together of fewer."""
    rng, chinese = np.random.default_rng(0), [chr(0x4E00 + number) for number in range(3000)]
    texts = ["".join(rng.permutation(chinese)) + " 手机 iPhone" for _ in range(2)]
    assert train_vocab(texts, 8000, tmp_path / "v.txt") < 3050
    vocab = read_vocab(tmp_path / "v.txt")
    assert set(chinese) < set(vocab) and "iphone" in vocab and not any("##" + one in vocab for one in chinese)
    assert train_vocab(texts, 2000, tmp_path / "small.txt") == 2000
    assert len(set(chinese) & set(read_vocab(tmp_path / "small.txt"))) > 1900


def test_characters_from_inside_words_leave_room_for_words(tmp_path: Path) -> None:
    rng, letters = np.random.default_rng(0), np.array([chr(0xA000 + number) for number in range(1165)])  # of Yi
    texts = [" ".join("".join(rng.choice(letters, 4)) for _ in range(60)) + " the the" for _ in range(200)]
    train_vocab(texts, 3000, tmp_path / "v.txt")
    vocab = read_vocab(tmp_path / "v.txt")
    assert "the" in vocab and sum(token.startswith("##") and len(token) == 3 for token in vocab) == 1000


@pytest.mark.process
def test_training_a_vocabulary_is_deterministic(tmp_path: Path) -> None:
    """In processes of their own: the library's hash maps are seeded per process."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz\u00df\u4f60\u0435.,"))
    texts = [" ".join("".join(rng.choice(letters, 4)) for _ in range(30)) for _ in range(60)]  # many ties
    made = [tmp_path / name for name in "123"]
    for folder in made:
        command = [sys.executable, "-c", TRAIN, str(folder)]
        subprocess.run(command, input=json.dumps(texts), text=True, check=True, cwd=REPO)
    for name in ("v.txt", "bytes/vocab.json", "bytes/merges.txt"):
        assert len({(folder / name).read_bytes() for folder in made}) == 1, name


def test_a_trained_byte_level_vocabulary_knows_every_text(tmp_path: Path) -> None:
    size = train_byte_level(TEXTS * 3, 300, tmp_path / "bytes")
    words = read_tokenizer(tmp_path / "bytes")
    assert size == words.size <= 300 and words.kind is BYTE_LEVEL
    assert [words.backend.id_to_token(number) for number in range(5)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert train_byte_level(TEXTS * 3, 300, tmp_path / "bytes") == size  # as where two jobs start together
    assert [path.name for path in tmp_path.iterdir()] == ["bytes"]
    odd = "the fox \u7b2c\u4e09 \U0001f98a!"
    assert words.backend.decode(words.backend.encode(odd, add_special_tokens=False).ids) == odd
    with pytest.raises(UserError, match="model.vocab_size: 260 is too small for every byte; allowed: 261 up"):
        train_byte_level(TEXTS, 260, tmp_path / "bytes")

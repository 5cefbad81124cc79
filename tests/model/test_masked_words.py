"""Words put in by a masked-language head, of either layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, noisy
from safetensors.numpy import load_file, save_file

from ofa.data.augment import whole_words
from ofa.data.tokenizer import TextTokenizer, plain
from ofa.data.vocab import SPECIAL
from ofa.model import network as models
from ofa.model.masked_words import MaskedWords

WORDS = ["good", "fine", "great", "bad", "film", "##ly", "."]
HIDDEN = TOY.hidden_size
HUGGING = {
    "transform.dense.weight": (HIDDEN, HIDDEN),
    "transform.dense.bias": (HIDDEN,),
    "transform.LayerNorm.weight": (HIDDEN,),
    "transform.LayerNorm.bias": (HIDDEN,),
    "bias": (TOY.vocab_size,),
}
PADDLE = ["transform.weight", "transform.bias", "layer_norm.weight", "layer_norm.bias", "decoder_bias"]


@pytest.fixture
def tokenizer(tmp_path: Path) -> TextTokenizer:
    filler = [f"[unused{number}]" for number in range(TOY.vocab_size - len(SPECIAL) - len(WORDS))]
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in [*SPECIAL, *WORDS, *filler]))
    return plain(tmp_path / "vocab.txt")


@pytest.fixture
def folder(tmp_path: Path, tokenizer: TextTokenizer) -> Path:
    """A pretrained BERT in Hugging Face's layout, with its masked-language head."""
    paddle.seed(3)
    models.save(noisy(models.build(TOY, dropout=0.0)), tmp_path / "model", ("no", "maybe", "yes"), tokenizer)
    rng = np.random.default_rng(0)
    head = {f"cls.predictions.{name}": rng.normal(0, 0.5, size).astype("f") for name, size in HUGGING.items()}
    path = tmp_path / "model" / "model.safetensors"
    save_file(load_file(path) | head, path, metadata={"format": "pt"})
    return tmp_path / "model"


def read(folder: Path, tokenizer: TextTokenizer) -> MaskedWords:
    found = MaskedWords.read(folder, tokenizer, whole_words(tokenizer), False)
    assert found is not None
    return found


def test_what_the_head_scores_highest_comes_first_but_for_the_word_that_stood(
    folder: Path, tokenizer: TextTokenizer
) -> None:
    head = read(folder, tokenizer)
    ids = head.words
    head.parts["output"][ids["great"]] = 1e3
    head.parts["output"][ids["bad"]] = 1e2
    texts = [["good", "film", ".", "badly", "great"], ["unheard"], []]
    found = head.fits(texts, 2, 16)
    assert [list(one) for one in found] == [[0, 1, 4], [], []], "of several tokens, or no letters: not replaced"
    assert found[0][0] == found[0][1] == ["great", "bad"] and found[0][4][0] == "bad" and "great" not in found[0][4]
    assert list(head.fits(texts, 2, 4)[0]) == [0, 1], "what is cut from a row has no place"
    many = head.fits([["good", "film"] * 10] * 40, 99, 64)
    assert all(len(one) == 20 and set(one[0]) == {"fine", "great", "bad", "film"} for one in many)
    assert many[0] == many[-1], "whatever else is in a batch"


def test_the_words_are_scored_as_by_paddle_s_own_head(folder: Path, tokenizer: TextTokenizer) -> None:
    from paddlenlp.transformers.bert.modeling import BertLMPredictionHead

    from ofa.supernet.blocks import base

    head = read(folder, tokenizer)
    own = BertLMPredictionHead(base(head.encoder).config)
    state = dict(
        zip(PADDLE, (head.parts[part] for part in ("weight", "bias", "scale", "shift", "output")), strict=True)
    )
    table = base(head.encoder).embeddings.word_embeddings.weight
    own.set_state_dict({**state, "decoder.weight": table, "decoder.bias": head.parts["output"]})
    ids = np.array([[2, tokenizer.backend.token_to_id("good"), 4, 3]])
    expected = own(models.forward(head.encoder, paddle.to_tensor(ids), paddle.zeros_like(paddle.to_tensor(ids)))[1][-1])
    scores = head._scores(ids, np.array([[0, 2]]))
    assert scores[0] == pytest.approx(expected.numpy()[0, 2, list(head.words.values())], abs=1e-3)


def test_paddle_s_layout_is_read_as_hugging_face_s(folder: Path, tokenizer: TextTokenizer) -> None:
    before = read(folder, tokenizer).fits([["good", "film", "bad"]], 4, 16)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    state = read(folder, tokenizer).encoder.state_dict()
    kept = {name: value.numpy() for name, value in state.items() if not name.startswith("classifier")}
    for name, other in zip(HUGGING, PADDLE, strict=True):
        value = tensors[f"cls.predictions.{name}"]
        kept[f"cls.predictions.{other}"] = np.ascontiguousarray(value.T) if value.ndim == 2 else value
    save_file(kept, path)
    assert read(folder, tokenizer).fits([["good", "film", "bad"]], 4, 16) == before


def test_a_folder_without_a_head_has_none(folder: Path, tokenizer: TextTokenizer) -> None:
    path = folder / "model.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if name != "cls.predictions.bias"}
    save_file(tensors, path, metadata={"format": "pt"})
    assert MaskedWords.read(folder, tokenizer, whole_words(tokenizer), False) is None

"""Toys of each family of encoders: PaddleNLP's own classifiers with random weights, and tokenizers of their kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import paddle
from paddlenlp import transformers
from tokenizers import ByteLevelBPETokenizer

from helpers.toys import TOY, noisy
from ofa.data.tokenizer import TextTokenizer, read_tokenizer
from ofa.data.vocab import train_vocab
from ofa.model.network import OF_PADDLE
from ofa.supernet.subnet import EncoderShape

SHAPE = replace(TOY, vocab_size=400)
# Name -> PaddleNLP's name of the family, and what its configuration says besides sizes.
FAMILIES = {
    "bert": ("Bert", {}),
    "ernie-1.0": ("Ernie", {"hidden_act": "relu"}),
    "ernie-3.0": ("Ernie", {"hidden_act": "gelu", "use_task_id": True, "task_type_vocab_size": 3}),
    "roberta": ("Roberta", {"pad_token_id": 1, "type_vocab_size": 1}),
    "electra-small": ("Electra", {"embedding_size": 24}),
    "electra-base": ("Electra", {"embedding_size": SHAPE.hidden_size}),
}
CHINESE = ["这部电影很好看", "情节不好，演员也不好", "歌很好听", "不好看的电影", "演员很好，情节不差", "差"]


def library(name: str, shape: EncoderShape = SHAPE) -> paddle.nn.Layer:
    """The family's classifier of three classes, as PaddleNLP has it; no weight is left at its start value."""
    family, further = FAMILIES[name]
    sizes = {key: getattr(shape, key) for key in OF_PADDLE}
    config = getattr(transformers, f"{family}Config")(**(sizes | further), hidden_dropout_prob=0.0)
    paddle.seed(3)
    return noisy(getattr(transformers, f"{family}ForSequenceClassification")(config))


def tokenizer(name: str, folder: Path, texts: Iterable[str] = CHINESE) -> TextTokenizer:
    """The family's kind of tokenizer, of ``texts``, with as many tokens as the toy has embeddings at most."""
    folder.mkdir(exist_ok=True)
    if FAMILIES[name][0] == "Roberta":
        trained = ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        trained.train_from_iterator(texts, SHAPE.vocab_size, 1, show_progress=False, special_tokens=special)
        trained.save_model(str(folder))
    else:
        train_vocab(list(texts), SHAPE.vocab_size, folder / "vocab.txt")
    return read_tokenizer(folder)

"""Broken models: one broken thing in a model's folder per case, and the words that must name it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from helpers.bad_cases import Prepare, file, gone

FOLDER = "model=folder model.path={root}/toy model.accept_weak_teacher=true"  # the toy is random


def tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Prepare:
    def prepare(root: Path) -> None:
        path = root / "toy" / "model.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path)

    return prepare


def described(**values: object) -> Prepare:
    def prepare(root: Path) -> None:
        path = root / "toy" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return prepare


def one_type(root: Path) -> None:
    """No token type for the second text of a pair."""
    described(type_vocab_size=1)(root)
    name = "bert.embeddings.token_type_embeddings.weight"
    tensors(lambda held: held.update({name: held[name][:1].copy()}))(root)


def cut_network(root: Path) -> None:
    from ofa.data.tokenizer import plain
    from ofa.model import network as models
    from ofa.supernet import elastic
    from ofa.supernet.subnet import SubNet

    network, folder = models.load(root / "toy")
    narrow = elastic.cut(network, SubNet((1, 2, 1), (16, 16, 16)))
    models.save(narrow, root / "toy", folder.labels, plain(root / "toy-vocab.txt"))


def truncated(root: Path) -> None:
    path = root / "toy" / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class Bomb:
    """What a hostile pickle does on loading: anything. This one would change what the case is answered."""

    def __reduce__(self) -> tuple:
        return (exec, ("raise RuntimeError('the pickle ran')",))


def pickled(name: str) -> Prepare:
    def prepare(root: Path) -> None:
        (root / "toy" / "model.safetensors").unlink()
        (root / "toy" / name).write_bytes(pickle.dumps({"classifier.weight": Bomb()}))

    return prepare


CLASSIFIER = "classifier.weight"
MODELS: dict[str, tuple[Prepare | None, str, str, str]] = {
    "no folder": (None, "model.path={root}/none", "model.path: {root}/none is not a folder", "config.json and model"),
    "no config.json": (gone("toy/config.json"), "", "model.path: no config.json in {root}/toy", "found: model.safet"),
    "broken config.json": (file("toy/config.json", "{"), "", "toy/config.json: not readable as JSON", ""),
    "list for config.json": (file("toy/config.json", "[]"), "", "toy/config.json: holds a list", "an object in braces"),
    "size missing": (file("toy/config.json", "{}"), "", "toy/config.json: no num_hidden_layers", "an encoder needs"),
    "heads of 9.6": (
        described(num_attention_heads=5),
        "",
        "config.json: hidden_size 48",
        "multiple of num_attention_h",
    ),
    "not a BERT": (described(model_type="gpt2"), "", "config.json: model_type is 'gpt2'", "allowed: 'bert', 'ernie'"),
    "no weights": (gone("toy/model.safetensors"), "", "model.path: no weights in {root}/toy", "looked for model.safe"),
    "truncated": (truncated, "", "model.safetensors: not a whole safetensors file", "incomplete metadata"),
    "not safetensors": (file("toy/model.safetensors", "PK"), "", "toy/model.safetensors: not a whole safetensors", ""),
    "Paddle pickle": (
        pickled("model_state.pdparams"),
        "",
        "model_state.pdparams: a pickle can run",
        "allow_pickle=true",
    ),
    "PyTorch pickle": (pickled("pytorch_model.bin"), "", "pytorch_model.bin: a pickle can run any code", "safetensors"),
    "PyTorch, allowed": (
        pickled("pytorch_model.bin"),
        "model.allow_pickle=true",
        ".bin: a pickle can run any code as it loads, and PyTorch's",
        "convert",
    ),
    "wrong shape": (
        tensors(lambda t: t.update({CLASSIFIER: t[CLASSIFIER][:2]})),
        "",
        "{root}/toy: classifier.weight",
        "[4",
    ),
    "tensor missing": (
        tensors(lambda t: t.pop(CLASSIFIER[:-6] + "bias")),
        "",
        "tensor 'classifier.bias' is missing",
        "",
    ),
    "tensor unknown": (
        tensors(lambda t: t.update(x=t[CLASSIFIER])),
        "",
        "tensor 'bert.x' is not part of this network",
        "",
    ),
    "NaN": (tensors(lambda t: t[CLASSIFIER].fill(np.nan)), "", "safetensors: classifier.weight holds", "not finite"),
    "a layer more": (
        described(num_hidden_layers=4),
        "",
        "toy: num_hidden_layers is 4 in config.json",
        "the weights have 3",
    ),
    "another vocabulary": (
        file("toy/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"),
        "",
        "model.vocab: the voc",
        "97",
    ),
    "vocabulary missing": (
        gone("toy/vocab.txt"),
        "",
        "model.path: no vocab.txt or tokenizer.json in {root}/toy",
        "with model.vocab=",
    ),
    "number of labels": (
        None,
        "task.labels=[no,yes,never,maybe]",
        "model.path: {root}/toy has 3 labels",
        "model.finetuned=false",
    ),
    "other labels": (
        None,
        "task.labels=[a,b,c] task.label_values=[no,maybe,yes]",
        "{root}/toy has the labels no, maybe, yes",
        "task custom has a, b, c",
    ),
    "no classifier": (
        tensors(lambda t: [t.pop(key) for key in list(t) if key.startswith("classifier.")]),
        "model.finetuned=true",
        "model.finetuned: {root}/toy has no classifier",
        "leave model.finetuned out",
    ),
    "layers that differ": (
        cut_network,
        "",
        "model.path: layers of {root}/toy differ in heads or neurons",
        "give a network whose layers are alike",
    ),
    "broken subnet.json": (file("toy/subnet.json", '{"heads": [9]}'), "", "toy/subnet.json", "3 layers with at most 4"),
    "positions": (None, "latency.seq_lengths=[64]", "latency.seq_lengths: 64", "32 positions of {root}/toy"),
}
MODELS = {f"model: {name}": (case[0], f"{FOLDER} {case[1]}", *case[2:]) for name, case in MODELS.items()}

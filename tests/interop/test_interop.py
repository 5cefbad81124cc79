"""Exported folders in Transformers 4 and 5, optimum and PaddleNLP, beside our own readers.

Transformers and optimum run in environments of their own, which ``make test-interop`` sets up.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
from helpers.families import library, tokenizer
from helpers.toys import REPO, noisy

from ofa.data.batches import Batch, collate
from ofa.data.rows import Rows
from ofa.data.tokenizer import plain, read_tokenizer
from ofa.data.tokens import tokenize
from ofa.data.vocab import train_vocab
from ofa.deploy.export import export
from ofa.deploy.quantize import Source, write
from ofa.deploy.serving import TextClassifier
from ofa.model import network as models
from ofa.model.padded import write_padded
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet

LABELS = ("no", "maybe", "yes")
SHAPE = EncoderShape(3, 48, 4, 64, vocab_size=400, max_position_embeddings=128, num_labels=3)
NETWORKS = {
    "w1": SubNet.full(SHAPE),
    "w0.5": SubNet.at(0.5, 1.0, SHAPE),
    "w0.25-d0.67": SubNet.at(0.25, 2 / 3, SHAPE),
    "heads": SubNet((3, 1, 4), (32, 32, 32)),  # differ between layers
    "both": SubNet((3, 1, 2), (64, 10, 33)),
}
WORDS = ["Ein gutes Café", "naïve façade — élégant", "这部电影很好看", "film (2019) isn't bad!", "ÅNGSTRÖM £5 °C"]
TEXTS = ["", "[SEP] x", "y " * 200, *WORDS, *(f"{one} {other}".upper() for one in WORDS for other in WORDS)]
TEXTS += [f"{chr(0x4E00 + 37 * i)}{chr(0xC0 + i % 60)} word{i}, {i}.{i} e\u0301{i}" for i in range(200)]
SOME = TEXTS[:24]  # for logits
SERVED = {"max_seq_length": SHAPE.max_position_embeddings, "pair": False, "kind": "classes"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as the stages leave them, by name, with a vocabulary of the texts; ``padded`` ones are copies."""
    root = tmp_path_factory.mktemp("interop")
    train_vocab(TEXTS, SHAPE.vocab_size, root / "vocab.txt")
    found = {name: root / name for name in NETWORKS}
    for name, subnet in NETWORKS.items():
        paddle.seed(3)
        model, words = elastic.cut(noisy(models.build(SHAPE, dropout=0.0)), subnet), plain(root / "vocab.txt")
        models.save(model, found[name], LABELS, words)
        words.write_whole(found[name])
        export(model, found[name])
    for name in ("w0.5", "both"):
        found[f"padded {name}"] = write_padded(found[name], root / f"padded-{name}").path
    ids = np.random.default_rng(0).integers(5, 90, (4, 9))
    batches = [Batch(ids, np.zeros_like(ids), np.zeros(4), np.arange(4))]
    source = Source.prepare(found["w0.5"] / "model.onnx", 3, batches, False, root, 1)
    write(source, found["w0.5"] / "model.int8.onnx", "dynamic")
    return found


def ask(version: int, wanted: dict[Path, list[str]], texts: Sequence[str] = TEXTS) -> dict[Path, dict]:
    """What the environment of a version of Transformers answers."""
    place = REPO / f".venv-interop{version}" / "bin" / "python"
    if not place.exists():
        pytest.skip(f"{place} is not here; make test-interop sets it up")
    request = json.dumps({"texts": texts, **{str(folder): what for folder, what in wanted.items()}})
    modules = next(iter(wanted)).parent / "modules"  # where Transformers copies the code of folders to
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(modules)}
    command = [str(place), str(Path(__file__).with_name("ask.py"))]
    done = subprocess.run(command, input=request, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return {Path(folder): answers for folder, answers in json.loads(done.stdout).items()}


def ours(folder: Path, precision: str = "fp32") -> np.ndarray:
    """Logits ``[24, 3]`` by the ONNX file, one text at a time, as INT8 is scaled by what is in a batch."""
    classifier = TextClassifier(folder, {**SERVED, "precision": precision})
    return np.concatenate([classifier.logits([text], None) for text in SOME])


@pytest.mark.process
@pytest.mark.parametrize("version", [4, 5])
def test_transformers_computes_the_same(folders: dict[str, Path], version: int) -> None:
    """Version 4 without the folder's code, but for layers that differ in neurons; 5 with it; padded copies without."""
    native = {"w1", *(name for name in folders if "padded" in name)}
    native |= {"w0.5", "w0.25-d0.67", "heads"} if version == 4 else set()
    wanted = {folder: ["ids", "logits" if name in native else "trusted"] for name, folder in folders.items()}
    for folder, answers in ask(version, wanted).items():
        rows = tokenize(Rows(TEXTS, None, np.zeros(len(TEXTS))), read_tokenizer(folder), SHAPE.max_position_embeddings)
        assert answers.pop("ids") == [row.tolist() for row in np.split(rows.input_ids, rows.offsets[1:-1])]
        (logits,) = answers.values()
        graph = folders[folder.name.removeprefix("padded-")]
        assert np.abs(np.array(logits) - ours(graph)).max() < 1e-5, folder.name


@pytest.fixture(scope="module", params=["bert", "ernie-3.0", "roberta", "electra-small"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a family, by name, each with its own kind of tokenizer; ``bare`` has no tokenizer.json."""
    root = tmp_path_factory.mktemp(request.param)
    words = tokenizer(request.param, root / "words", TEXTS)
    shape = replace(SHAPE, vocab_size=words.size, max_position_embeddings=130)
    found = {name: root / name for name in ("w1", "w0.5", "both", "bare")}
    for name, folder in found.items():
        network = elastic.cut(library(request.param, shape), NETWORKS.get(name, NETWORKS["w1"]))
        models.save(network, folder, LABELS, words)
        if name != "bare":
            words.write_whole(folder)
    return found | {"padded": write_padded(found["both"], root / "padded").path}


@pytest.mark.process
@pytest.mark.parametrize("version", [4, 5])
def test_transformers_computes_every_family_the_same(family: dict[str, Path], version: int) -> None:
    """Of fewer heads and as many neurons in every layer, version 4 needs no code."""
    native = {"w1", "bare", "padded", *({"w0.5"} if version == 4 else ())}
    wanted = {folder: ["ids", "pairs", "logits" if name in native else "trusted"] for name, folder in family.items()}
    for folder, (ids, pairs, logits) in ((folder, found.values()) for folder, found in ask(version, wanted).items()):
        words, (model, described) = read_tokenizer(folder), models.load(folder)
        most = described.shape.max_tokens
        rows = tokenize(Rows(TEXTS, None, np.zeros(len(TEXTS))), words, most)
        both = tokenize(Rows(SOME, SOME[::-1], np.zeros(len(SOME))), words, most)
        for encoded, theirs in ((rows, ids), (both, pairs)):
            assert theirs == [row.tolist() for row in np.split(encoded.input_ids, encoded.offsets[1:-1])]
        batch = collate(rows, np.arange(len(SOME)))
        found = models.forward_of(model)(batch.input_ids, batch.token_type_ids)
        assert np.abs(np.array(logits) - found).max() < 1e-5, folder.name


@pytest.mark.process
@pytest.mark.parametrize("version", [4, 5])
def test_ids_of_real_rows(shared: Path, tmp_path: Path, version: int) -> None:
    """Both kinds of tokenizer, trained on these rows and Chinese ones, as folders without weights."""
    lines = (shared / "glue" / "SST-2" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:2001]
    texts = [line.split("\t")[0] for line in lines] + TEXTS
    words = {tmp_path / name: tokenizer(name, tmp_path / f"{name}-trained", texts) for name in ("bert", "roberta")}
    for folder, found in words.items():
        folder.mkdir()
        found.write(folder, 128)
    for folder, answers in ask(version, {folder: ["ids"] for folder in words}, texts).items():
        rows = tokenize(Rows(texts, None, np.zeros(len(texts))), words[folder], 128)
        assert answers["ids"] == [row.tolist() for row in np.split(rows.input_ids, rows.offsets[1:-1])]


@pytest.mark.process
def test_optimum_answers_as_we_do(folders: dict[str, Path]) -> None:
    folder = folders["w0.5"]
    found = ask(4, {folder: ["optimum", "int8"]})[folder]
    for what, precision in (("optimum", "fp32"), ("int8", "int8")):
        expected = ours(folder, precision)
        odds = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
        for (label, score), of_row in zip(found[what], odds, strict=True):
            assert label == LABELS[of_row.argmax()] and score == pytest.approx(of_row.max(), abs=1e-5)


@pytest.mark.job
@pytest.mark.parametrize("name", ["w0.5", "both"])
def test_paddlenlp_reads_a_padded_copy(folders: dict[str, Path], name: str) -> None:
    from paddlenlp.transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(str(folders[f"padded {name}"]), convert_from_torch=True)
    model.eval()
    rows = tokenize(Rows(SOME[3:4], None, np.zeros(1)), read_tokenizer(folders[name]), 128)
    logits = model(paddle.to_tensor(rows.input_ids.astype("int64")[None]))
    assert np.abs(logits.numpy()[0] - ours(folders[name])[3]).max() < 1e-5

"""What a run starts from: rows, vocabulary and weights, found or made as the settings say."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ofa.data.rows import Rows, rows_digest
from ofa.data.scale import Scale
from ofa.data.seen_tokens import kept_ids, require_wordpiece
from ofa.data.sources import further_files, load_splits, load_unlabelled
from ofa.data.tokenizer import TextTokenizer, plain, read_tokenizer
from ofa.data.tokens import Encoded, held_out, tokenize
from ofa.data.unlabelled import Unlabelled, texts_digest
from ofa.data.vocab import train_byte_level, train_vocab
from ofa.errors import UserError
from ofa.limits import require_reachable
from ofa.model.architectures import ARCHITECTURES, Architecture
from ofa.model.folder import Folder
from ofa.model.hub import find_folder
from ofa.settings.limits import row_problems
from ofa.settings.rules import calibration_problems, pair_problems, position_problems
from ofa.settings.schema import Config, ModelConfig
from ofa.stages.labels import label_order
from ofa.supernet.layerwise import Space
from ofa.supernet.space import Network, grid_problems, networks
from ofa.supernet.subnet import EncoderShape
from ofa.system.files import expanded, file_digest

log = logging.getLogger(__name__)
# Embeddings are sometimes padded to a multiple of 8, 64 or 128 rows so that products tile well.
PADDED_TO, VOCAB_PADDING = 8, 128


@dataclass(kw_only=True)
class Inputs:
    """Rows by split (``train``, the dev splits and perhaps ``test``), and the BERT they meet.

    Attributes:
        networks: the sub-networks of this job, by name.
        folder: the model folder, or None for random weights.
        label_order: for a folder that is a finished teacher, its class index of each of the task's
            classes; None if the folder is to be finetuned.
        digests: SHA-256 of the rows (train and dev), the tokenizer, the model folder and, if there are any, the test
            rows and those without labels: what stages depend on.
        unlabelled: further rows for distillation alone, if the task has any.
        vocabulary_files: of further rows, to say how many read otherwise with a smaller vocabulary.
        scale: that scores are learned on, by the rows that the teacher may see.
        full: the same with the whole vocabulary, where this is what networks with a smaller one read.
    """

    rows: dict[str, Rows]
    shape: EncoderShape
    networks: dict[str, Network]
    tokenizer: TextTokenizer
    folder: Folder | None
    label_order: tuple[int, ...] | None
    digests: dict[str, str]
    max_seq_length: int
    cache_dir: Path
    unlabelled: Unlabelled | None = None
    scale: Scale = Scale()
    full: Inputs | None = None
    vocabulary_files: list[Path] = field(default_factory=list)
    _encoded: dict[str, Encoded] = field(default_factory=dict)

    def encoded(self, split: str) -> Encoded:
        """The split as token ids, with scores as they are learned; encoded once, and cached on disk by content."""
        if split not in self._encoded:
            found = tokenize(self.rows[split], self.tokenizer, self.max_seq_length, self.cache_dir)
            self._encoded[split] = replace(found, labels=self.scale.learned(found.labels))
        return self._encoded[split]

    def with_tokenizer_of(self, folder: Path) -> Inputs:
        """The same rows as a network reads them whose ``folder`` has another tokenizer."""
        tokenizer = read_tokenizer(folder)
        shape = replace(self.shape, vocab_size=tokenizer.size)
        return replace(self, tokenizer=tokenizer, shape=shape, full=self, _encoded={})

    def least_shape(self, vocabulary: str) -> EncoderShape:
        """Sizes of the networks before their ``vocabulary`` is made: copies may add to what the rows need of it."""
        if vocabulary == "full":
            return self.shape
        used = np.unique(self.with_unlabelled(self.encoded("train")).input_ids)
        return replace(self.shape, vocab_size=len(kept_ids(self.tokenizer, used)))

    def with_unlabelled(self, train: Encoded) -> Encoded:
        """All rows that distillation learns from: of the training rows ``train``, then those without labels."""
        if self.unlabelled is None:
            return train
        return train.join([self.unlabelled.encoded(self.tokenizer, self.max_seq_length, train.labels)])

    def kind(self, model: ModelConfig) -> tuple[Architecture, Mapping[str, object]]:
        """The architecture of the networks, and what it needs besides sizes: the folder's, or that of the settings."""
        if self.folder:
            return self.folder.architecture, self.folder.extra
        return ARCHITECTURES[model.architecture], ARCHITECTURES[model.architecture].defaults

    @property
    def space(self) -> Space:
        """All sub-networks that a search of the job may find."""
        return Space.between((network.subnet for network in self.networks.values()), self.shape)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many rows of each split are ``used``, and ``left_out`` as malformed."""
        counts = {split: {"used": len(rows), "left_out": rows.skipped} for split, rows in self.rows.items()}
        return counts | ({"unlabelled": self.unlabelled.counts} if self.unlabelled else {})

    @property
    def row_digests(self) -> dict[str, str]:
        """SHA-256 of the rows of each labelled split."""
        return {split: rows_digest(rows) for split, rows in self.rows.items()}

    @property
    def dev(self) -> dict[str, Encoded]:
        """The dev splits, which choose the weights that are kept."""
        return {split: self.encoded(split) for split in self.rows if split not in ("train", "test")}

    @property
    def test(self) -> Encoded | None:
        """Rows that are scored once and decide nothing, if the task has any."""
        return self.encoded("test") if "test" in self.rows else None


def load_inputs(config: Config) -> Inputs:
    """Find or make everything a run starts from.

    Raises:
        UserError: if a file is missing or malformed, or model, vocabulary and task do not fit together.
    """
    cache_dir = expanded(config.cache_dir)
    rows = load_splits(config.task, cache_dir)
    many = len(rows["train"])
    if found := [*calibration_problems(config.int8, many), *row_problems(config.search, many)]:
        raise UserError("\n".join(found))
    unlabelled = load_unlabelled(config.task, cache_dir, rows)
    folder = find_folder(config.model, cache_dir)
    tokenizer = given_tokenizer(config.model, folder) or _trained_tokenizer(config.model, rows["train"], cache_dir)
    # Further rows, read here so that a mistake in one costs no training.
    further = config.ofa.vocabulary_files
    files = further_files(config.task, cache_dir, "ofa.vocabulary_files", further)
    texts = texts_digest(dict(zip(further, files, strict=True)), config.task, "ofa.vocabulary_files")
    if config.ofa.vocabulary == "seen":
        require_wordpiece(tokenizer, "ofa.vocabulary", "seen", "full")
    if copies := config.ofa.augment.copies:
        require_wordpiece(tokenizer, "ofa.augment.copies", copies, 0)
    shape = model_shape(config, folder, tokenizer)
    kind = config.model.architecture
    digests = {
        "rows": _rows_digest(rows, [split for split in rows if split != "test"]),
        "vocab": tokenizer.key,
        "model": folder.digest if folder else "random" if kind == "bert" else f"random {kind}",
    }
    if "test" in rows:
        digests["test"] = _rows_digest(rows, ["test"])
    if unlabelled:
        digests["unlabelled"] = unlabelled.digest_for(tokenizer)
    if files:
        digests["vocabulary_files"] = texts
    inputs = Inputs(
        rows=rows,
        shape=shape,
        networks=networks(config.ofa.widths, config.ofa.depths, shape),
        tokenizer=tokenizer,
        folder=folder,
        label_order=label_order(config, folder) if folder else None,
        digests=digests,
        max_seq_length=config.trainer.max_seq_length,
        cache_dir=cache_dir,
        unlabelled=unlabelled,
        scale=Scale.of(
            rows["train"].labels[held_out(many, config.search.held_out_of_finetuning, config.trainer.seed)[0]]
        ),
        vocabulary_files=files,
    )
    if config.search.unseen and inputs.label_order is not None:
        raise UserError(
            "search.unseen: true with a finished teacher, which has seen what it has seen; allowed: false, or "
            "model.finetuned=false to finetune it anew"
        )
    if config.search.runs:
        require_reachable(config, inputs.least_shape(config.ofa.vocabulary), inputs.space)
    return inputs


def _rows_digest(rows: dict[str, Rows], splits: Iterable[str]) -> str:
    return hashlib.sha256("".join(rows_digest(rows[split]) for split in splits).encode()).hexdigest()


def model_shape(config: Config, folder: Folder | None, tokenizer: TextTokenizer | None) -> EncoderShape:
    """Sizes of the network this run trains: the folder's, or those of the settings.

    Args:
        tokenizer: None if its vocabulary is not trained yet, which counts with ``model.vocab_size``.

    Raises:
        UserError: if the settings ask for what these sizes do not allow, or the tokenizer is another model's.
    """
    shape = folder.own_shape if folder else _drawn(config.model, tokenizer)
    owner = str(folder.path) if folder else f"model {config.model.name}"
    # Asked before the first job, and again here: a model that was just downloaded was not there then.
    found = position_problems(config.trainer, config.latency, shape.max_tokens, owner)
    found += grid_problems(config.ofa.widths, config.ofa.depths, shape.num_attention_heads, shape.num_hidden_layers)
    if tokenizer and tokenizer.kind.typed:
        found += pair_problems(config.task, shape.type_vocab_size, owner)
    if found:
        raise UserError("\n".join(found))
    padding = shape.vocab_size - tokenizer.size if tokenizer else 0
    if padding and not (0 < padding < VOCAB_PADDING and shape.vocab_size % PADDED_TO == 0):
        raise UserError(
            f"model.vocab: the vocabulary has {tokenizer.size if tokenizer else 0} entries, the embeddings of {owner} "
            f"{shape.vocab_size}; use the vocabulary the model was trained with"
        )
    return EncoderShape(**{**vars(shape), "num_labels": len(config.task.outputs)})


def _drawn(model: ModelConfig, tokenizer: TextTokenizer | None) -> EncoderShape:
    """Sizes of a network of random weights."""
    kind = ARCHITECTURES[model.architecture]
    return EncoderShape(
        model.num_hidden_layers,
        model.hidden_size,
        model.num_attention_heads,
        model.intermediate_size,
        tokenizer.size if tokenizer else model.vocab_size,
        model.max_position_embeddings,
        kind.token_types,
        first_position=kind.pad + 1 if kind.after_pad else 0,
        **kind.further_sizes(kind.defaults),
    )


def given_tokenizer(model: ModelConfig, folder: Folder | None) -> TextTokenizer | None:
    """The tokenizer that the settings bring: the folder's, or the one of ``model.vocab``; None if one is to be trained.

    Raises:
        UserError: if it cannot be read, asks for what is not supported, or is not the one that goes with the model.
    """
    given = expanded(model.vocab) if model.vocab else None
    if given and not given.is_file():
        raise UserError(f"model.vocab: {given} is not a file; give a WordPiece vocab.txt")
    if folder is None:
        if given and ARCHITECTURES[model.architecture].byte_level:
            raise UserError(
                f"model.vocab: {given} is for WordPiece, model.architecture={model.architecture} has byte-level BPE\n"
                "leave it out to have that trained on the training text, or take bert, as Chinese RoBERTas are"
            )
        return plain(given, model.lower_case) if given else None
    found = read_tokenizer(folder.path, model.lower_case, given)
    own = found.vocab
    if given and own and file_digest(own) != file_digest(given):
        raise UserError(f"model.vocab: {given} differs from {own}, which the model was trained with; leave it out")
    return found


def _trained_tokenizer(model: ModelConfig, train: Rows, cache_dir: Path) -> TextTokenizer:
    """A tokenizer of the kind that the architecture has, trained on the training text once."""
    texts, size, case = train.text_a + (train.text_b or []), model.vocab_size, model.lower_case
    key = hashlib.sha256(f"{rows_digest(train)} {size} {case}".encode()).hexdigest()[:16]
    byte_level = ARCHITECTURES[model.architecture].byte_level
    path = cache_dir / "vocab" / (f"{key}-bytes" if byte_level else f"{key}.txt")
    if not path.exists():
        kind = "byte-level BPE" if byte_level else "WordPiece"
        log.info("Training a %s vocabulary of at most %d entries on the training text.", kind, size)
        train_byte_level(texts, size, path) if byte_level else train_vocab(texts, size, path, case)
    return read_tokenizer(path) if byte_level else plain(path, case)

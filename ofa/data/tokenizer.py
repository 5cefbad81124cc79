"""The tokenizer of a model folder, as its files say: ``tokenizer.json``, or a vocabulary and the settings beside it.

A tokenizer that is nearly the model's gives another score in silence: nothing that decides ids is left out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE

from ofa.data import backend as backends
from ofa.data import tokenizer_settings
from ofa.data.backend import normalizer_of, signature
from ofa.data.tokenizer_settings import (
    ADDED,
    BYTE_LEVEL,
    GENERIC,
    OF_PADDLE,
    PIECES,
    SETTINGS,
    SPECIAL_MAP,
    WHOLE,
    WORDPIECE,
    Kind,
    read_if_there,
)
from ofa.data.vocab import SPECIAL, read_vocab, wordpiece
from ofa.errors import UserError
from ofa.system.files import file_digest

VOCAB = "vocab.txt"
FILES = (VOCAB, *tokenizer_settings.FILES)
CASED = 0.05  # share of words with capitals: none of a vocabulary for lower case, a third of BERT's cased one
# Settings that Transformers' BertTokenizer has no regard for beside a tokenizer.json; a class for any such file has.
OF_FILE_ALONE = ("do_basic_tokenize", "clean_text")


@dataclass(frozen=True)
class TextTokenizer:
    """Texts to token ids.

    Attributes:
        backend: encodes one text, without special tokens.
        pad, cls, sep: ids of [PAD], [CLS] and [SEP], or of what stands for them.
        lower_case: whether capitals are lowered; None where a tokenizer.json has its own way.
        key: digest of all that decides the ids; of BERT's own way, with ``lower_case``, that of ``vocab.txt``.
        vocab: the ``vocab.txt``; None where ids are elsewhere.
        settings: of tokenizer_config.json, where they make a difference.
        more: the further files that do.
        kind: how pairs are put together, and what it is called.
    """

    backend: Tokenizer
    pad: int
    cls: int
    sep: int
    lower_case: bool | None
    key: str
    vocab: Path | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Path, ...] = ()
    kind: Kind = WORDPIECE

    @property
    def size(self) -> int:
        """How many embeddings it needs."""
        return max(self.backend.get_vocab().values()) + 1

    def text(self, ids: Sequence[int]) -> str:
        """A text of about these tokens; ids that it does not know are left out."""
        decoder = self.backend.decoder or decoders.WordPiece(cleanup=False)
        return decoder.decode([token for token in map(self.backend.id_to_token, ids) if token is not None])

    def write(self, folder: Path, max_length: int) -> None:
        """Write the files that :func:`read_tokenizer`, and Transformers, make this tokenizer of."""
        if self.kind is BYTE_LEVEL:
            self.backend.model.save(str(folder))
        elif self.vocab:
            shutil.copyfile(self.vocab, folder / VOCAB)
        else:
            ids = self.backend.get_vocab(with_added_tokens=False)
            lines = "".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__))
            (folder / VOCAB).write_text(lines, encoding="utf-8")
        for path in self.more:
            shutil.copyfile(path, folder / path.name)
        said = {} if self.lower_case is None else {"do_lower_case": self.lower_case}
        settings = {"tokenizer_class": self.kind.classes[0], **self.settings, **said, "model_max_length": max_length}
        if self.kind is not BYTE_LEVEL and settings["tokenizer_class"] in OF_PADDLE:
            settings["tokenizer_class"] = self.kind.classes[0]
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n")

    def write_whole(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``special_tokens_map.json`` for other libraries, where :meth:`write` did not."""
        pad, cls, sep = (self.backend.id_to_token(number) for number in (self.pad, self.cls, self.sep))
        if not (folder / WHOLE).exists():
            whole = Tokenizer.from_str(self.backend.to_str())
            whole.post_processor = self.kind.processor((sep, self.sep), (cls, self.cls))
            whole.save(str(folder / WHOLE))
        if not (folder / SPECIAL_MAP).exists():
            usual = tokenizer_settings.special_tokens(folder / SETTINGS, read_if_there(folder / SETTINGS), self.kind)
            unknown = self.backend.model.unk_token or usual["[UNK]"]
            tokens = {**usual, "[UNK]": unknown, "[PAD]": pad, "[CLS]": cls, "[SEP]": sep}
            special = {tokenizer_settings.key_of(name): token for name, token in tokens.items()}
            (folder / SPECIAL_MAP).write_text(json.dumps(special, indent=1) + "\n")
        if any(self.settings.get(key) is False for key in OF_FILE_ALONE):
            said = {**read_if_there(folder / SETTINGS), "tokenizer_class": GENERIC[0]}
            (folder / SETTINGS).write_text(json.dumps(said, indent=1) + "\n")


def plain(vocab: Path, lower_case: bool = True) -> TextTokenizer:
    """BERT's own way with a ``vocab.txt``.

    Raises:
        UserError: if the file is none.
    """
    ids = read_vocab(vocab)
    pad, cls, sep = (ids[name] for name in ("[PAD]", "[CLS]", "[SEP]"))
    return TextTokenizer(wordpiece(ids, lower_case), pad, cls, sep, lower_case, file_digest(vocab), vocab)


def read_tokenizer(folder: Path, lower_case: bool | None = None, vocab: Path | None = None) -> TextTokenizer:
    """The tokenizer of a model folder.

    Args:
        lower_case: what ``model.lower_case`` says; it decides where the folder says nothing.
        vocab: a ``vocab.txt`` for a folder without one.

    Raises:
        UserError: if files are missing, damaged or contradict each other or ``lower_case``, or ask for what is not
            supported.
    """
    place, whole = folder / SETTINGS, folder / WHOLE
    said = read_if_there(place)
    merged = {**read_if_there(folder / SPECIAL_MAP), **said}
    name = said.get("tokenizer_class") or read_if_there(folder / "config.json").get("tokenizer_class")
    found = backends.from_whole(whole, said) if whole.exists() else None
    is_bpe = isinstance(found.model, BPE) if found else (folder / PIECES).exists()
    kind = BYTE_LEVEL if is_bpe else WORDPIECE
    tokenizer_settings.check(place, said, name, kind, whole.exists())
    special = tokenizer_settings.special_tokens(place, merged, kind)
    added = tokenizer_settings.added_tokens(folder, merged, kind)
    if is_bpe and vocab is not None:
        raise UserError(f"model.vocab: {folder} has byte-level BPE, which no {VOCAB} is for; leave it out")
    vocab = None if is_bpe else folder / VOCAB if (folder / VOCAB).exists() else vocab
    if found:
        backend = found
        backends.adjust(backend, said)
        if vocab is not None:
            backends.check_vocab(whole, backend, vocab)
    elif is_bpe:
        backend = backends.byte_level(folder, said)
    elif vocab is not None:
        lines = read_vocab(vocab, tuple(special.values()))
        if lower_case and said.get("do_lower_case") is None:
            _check_capitals(folder, vocab, lines)
        ids = backends.with_added(place, lines, added)
        backend = backends.wordpiece(ids, said, lower_case is not False, special["[UNK]"])
    else:
        raise UserError(
            f"model.path: no {VOCAB} or {WHOLE} in {folder}; give the model's vocabulary with model.vocab=..."
        )
    typed = tokenizer_settings.has_types(place, said, kind)
    lowers = _lower_case(folder, backend, said, lower_case)
    backends.add(place, backend, added, special)
    missing = [special[name] for name in SPECIAL[:4] if backend.token_to_id(special[name]) is None]
    if missing:
        raise UserError(f"{whole if found else folder}: no token {', '.join(missing)}")
    pad, cls, sep = (backend.token_to_id(special[name]) for name in ("[PAD]", "[CLS]", "[SEP]"))
    if found:
        backends.check_places(whole, backend, kind, cls, sep)
    untyped = ["one token type"] if typed < kind.typed else []
    kind = replace(kind, typed=typed) if untyped else kind
    if vocab is not None and lowers is not None and not untyped and read_vocab(vocab, ()).keys() >= set(SPECIAL):
        usual = plain(vocab, lowers)
        if signature(backend) == signature(usual.backend):
            return usual
    decides = [signature(backend), pad, cls, sep, *untyped]
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    more = tuple(path for path in (whole, folder / ADDED, folder / SPECIAL_MAP) if path.exists())
    return TextTokenizer(backend, pad, cls, sep, lowers, key, vocab, said, more, kind)


def _lower_case(folder: Path, backend: Tokenizer, said: Mapping[str, Any], wanted: bool | None) -> bool | None:
    """Whether capitals are lowered, which must not be against ``wanted``; None where it is not BERT's way."""
    lowers = normalizer_of(backend).get("lowercase")
    if lowers is not None and wanted is not None and lowers != wanted:
        given = said.get("do_lower_case") is not None
        place, key = (SETTINGS, "do_lower_case") if given else (WHOLE, "lowercase")
        raise UserError(
            f"model.lower_case: {wanted}, but {place} of {folder} has {key} {lowers}; "
            f"set model.lower_case={str(lowers).lower()}"
        )
    return lowers


def _check_capitals(folder: Path, vocab: Path, lines: Iterable[str]) -> None:
    """A vocabulary with capitals is not fed lower case where no file says so."""
    words = [word for word in lines if not word.startswith("[")]
    capitals = sum(word != word.lower() for word in words)
    if capitals > CASED * len(words):
        raise UserError(
            f"model.lower_case: true, but {capitals} entries of {vocab} have capitals and {folder} has no "
            f"{SETTINGS} that says do_lower_case; set model.lower_case=false"
        )

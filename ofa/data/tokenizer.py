"""The tokenizer of a model folder, as its files say: ``tokenizer.json``, or ``vocab.txt`` and the settings beside it.

A tokenizer that is nearly the model's gives another score in silence: nothing that decides ids is left out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, WhitespaceSplit
from tokenizers.processors import BertProcessing

from ofa.data import tokenizer_settings
from ofa.data.tokenizer_settings import (
    ADDED,
    CLASSES,
    GENERIC,
    OF_PADDLE,
    SETTINGS,
    SPECIAL_MAP,
    WHOLE,
    read_if_there,
)
from ofa.data.vocab import SPECIAL, read_vocab, wordpiece
from ofa.errors import UserError
from ofa.system.files import file_digest, require_regular

VOCAB = "vocab.txt"
FILES = (VOCAB, *tokenizer_settings.FILES)
CASED = 0.05  # share of words with capitals: none of a vocabulary for lower case, a third of BERT's cased one
# Settings that Transformers' BertTokenizer has no regard for beside a tokenizer.json; a class for any such file has.
OF_FILE_ALONE = ("do_basic_tokenize", "clean_text")
Added = Mapping[str, tuple[AddedToken, int | None]]


@dataclass(frozen=True)
class TextTokenizer:
    """Texts to token ids.

    Attributes:
        backend: encodes one text, without special tokens.
        pad, cls, sep: ids of [PAD], [CLS] and [SEP], or of what stands for them.
        lower_case: whether capitals are lowered; None where a tokenizer.json has its own way.
        key: digest of all that decides the ids; of BERT's own way, with ``lower_case``, that of ``vocab.txt``.
        vocab: the ``vocab.txt``; None if there is only a tokenizer.json.
        settings: of tokenizer_config.json, where they make a difference.
        more: the further files that do.
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

    @property
    def size(self) -> int:
        """How many embeddings it needs."""
        return max(self.backend.get_vocab().values()) + 1

    def write(self, folder: Path, max_length: int) -> None:
        """Write the files that :func:`read_tokenizer`, and Transformers, make this tokenizer of."""
        if self.vocab:
            shutil.copyfile(self.vocab, folder / VOCAB)
        else:
            ids = self.backend.get_vocab(with_added_tokens=False)
            lines = "".join(f"{token}\n" for token in sorted(ids, key=ids.__getitem__))
            (folder / VOCAB).write_text(lines, encoding="utf-8")
        for path in self.more:
            shutil.copyfile(path, folder / path.name)
        said = {} if self.lower_case is None else {"do_lower_case": self.lower_case}
        settings = {"tokenizer_class": CLASSES[0], **self.settings, **said, "model_max_length": max_length}
        if settings["tokenizer_class"] == OF_PADDLE:
            settings["tokenizer_class"] = CLASSES[0]
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n")

    def write_whole(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``special_tokens_map.json`` for other libraries, where :meth:`write` did not."""
        pad, cls, sep = (self.backend.id_to_token(number) for number in (self.pad, self.cls, self.sep))
        if not (folder / WHOLE).exists():
            whole = Tokenizer.from_str(self.backend.to_str())
            whole.post_processor = BertProcessing((sep, self.sep), (cls, self.cls))
            whole.save(str(folder / WHOLE))
        if not (folder / SPECIAL_MAP).exists():
            mask = read_if_there(folder / SETTINGS).get("mask_token", "[MASK]")
            tokens = {"unk": self.backend.model.unk_token, "pad": pad, "cls": cls, "sep": sep, "mask": mask}
            special = {f"{name}_token": token for name, token in tokens.items()}
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
    tokenizer_settings.check(place, said, name, whole.exists())
    special = tokenizer_settings.special_tokens(place, merged)
    added = tokenizer_settings.added_tokens(folder, merged, list(special.values()))
    vocab = folder / VOCAB if (folder / VOCAB).exists() else vocab
    if whole.exists():
        backend = _from_whole(whole, said, vocab)
    elif vocab is not None:
        lines = read_vocab(vocab, tuple(special.values()))
        if lower_case and said.get("do_lower_case") is None:
            _check_capitals(folder, vocab, lines)
        ids = _with_added(place, lines, added)
        backend = _wordpiece(ids, said, lower_case is not False, special["[UNK]"])
    else:
        raise UserError(
            f"model.path: no {VOCAB} or {WHOLE} in {folder}; give the model's vocabulary with model.vocab=..."
        )
    lowers = _lower_case(folder, backend, said, lower_case)
    _add(place, backend, added, special)
    missing = [special[name] for name in SPECIAL[:4] if backend.token_to_id(special[name]) is None]
    if missing:
        raise UserError(f"{whole}: no token {', '.join(missing)}")
    pad, cls, sep = (backend.token_to_id(special[name]) for name in ("[PAD]", "[CLS]", "[SEP]"))
    if whole.exists():
        _check_places(whole, backend, cls, sep)
    if vocab is not None and lowers is not None and read_vocab(vocab, ()).keys() >= set(SPECIAL):
        usual = plain(vocab, lowers)
        if _signature(backend) == _signature(usual.backend):
            return usual
    key = hashlib.sha256(json.dumps([_signature(backend), pad, cls, sep], sort_keys=True).encode()).hexdigest()
    more = tuple(path for path in (whole, folder / ADDED, folder / SPECIAL_MAP) if path.exists())
    return TextTokenizer(backend, pad, cls, sep, lowers, key, vocab, said, more)


def _from_whole(path: Path, said: Mapping[str, Any], vocab: Path | None) -> Tokenizer:
    """The tokenizer in a tokenizer.json, under the settings that tokenizer_config.json says otherwise."""
    require_regular(path)
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"{path}: not readable as a tokenizer ({str(error)[:200]})") from None
    backend.no_truncation()
    backend.no_padding()
    normalizer = _normalizer(backend)
    if normalizer.pop("type", None) == "BertNormalizer":
        backend.normalizer = BertNormalizer(**(normalizer | tokenizer_settings.of_normalizer(said)))
    if vocab is not None:
        lines, ids = read_vocab(vocab, ()), backend.get_vocab()
        added = {token.content for token in backend.get_added_tokens_decoder().values()}  # need no line
        own = backend.get_vocab(with_added_tokens=False).keys() - (added - lines.keys())
        for token in own | lines.keys():
            if (token in own and token not in lines) or ids.get(token) != lines.get(token, ids.get(token)):
                here, there = ids.get(token, "none"), lines.get(token, "none")
                raise UserError(
                    f"{path}: {token!r} is token {here}, in {vocab} it is {there}; "
                    "keep the one of the two files that the model was trained with"
                )
    return backend


def _normalizer(backend: Tokenizer) -> dict[str, Any]:
    return json.loads(backend.to_str())["normalizer"] or {}


def _wordpiece(ids: dict[str, int], said: Mapping[str, Any], lower_case: bool, unknown: str) -> Tokenizer:
    """WordPiece over ``ids`` as the settings say; BERT's way where they say nothing."""
    prefix = said.get("wordpieces_prefix")
    model = WordPiece(
        ids,
        unk_token=unknown,
        max_input_chars_per_word=100,
        continuing_subword_prefix=prefix if isinstance(prefix, str) else "##",
    )
    backend = Tokenizer(model)
    if said.get("do_basic_tokenize") is False:  # no cleaning and no lower case, either
        backend.pre_tokenizer = WhitespaceSplit()
        return backend
    backend.normalizer = BertNormalizer(**({"lowercase": lower_case} | tokenizer_settings.of_normalizer(said)))
    backend.pre_tokenizer = BertPreTokenizer()
    return backend


def _lower_case(folder: Path, backend: Tokenizer, said: Mapping[str, Any], wanted: bool | None) -> bool | None:
    """Whether capitals are lowered, which must not be against ``wanted``; None where it is not BERT's way."""
    lowers = _normalizer(backend).get("lowercase")
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


def _with_added(path: Path, lines: dict[str, int], added: Added) -> dict[str, int]:
    """The vocabulary with the tokens that were added to it later, under the ids they were given."""
    ids, tokens = dict(lines), {number: token for token, number in lines.items()}
    for content, (_, number) in added.items():
        if number is None:
            continue
        if ids.setdefault(content, number) != number or tokens.setdefault(number, content) != content:
            raise UserError(
                f"{path}: {content!r} was added as token {number}, but the vocabulary has {tokens.get(number)!r} there"
            )
    return ids


def _add(path: Path, backend: Tokenizer, added: Added, special: Mapping[str, str]) -> None:
    """Let the backend know what is a token wherever it stands."""
    there = {token.content for token in backend.get_added_tokens_decoder().values()}
    for content, (token, number) in added.items():
        unknown = backend.token_to_id(content) is None
        if content not in there and not (unknown and number is None and content in special.values()):
            (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        if number is not None and backend.token_to_id(content) != number:
            raise UserError(f"{path}: {content!r} was added as token {number}, it is {backend.token_to_id(content)}")


def _check_places(path: Path, backend: Tokenizer, cls: int, sep: int) -> None:
    """Refuse special tokens in other places than BERT's."""
    if backend.post_processor is None:
        return
    a, b = (backend.encode(text, add_special_tokens=False).ids for text in "ab")
    found = backend.encode("a", "b")
    if found.ids != [cls, *a, sep, *b, sep] or found.type_ids != [0] * (len(a) + 2) + [1] * (len(b) + 1):
        raise UserError(f"{path}: pairs become {' '.join(found.tokens)}; supported: [CLS] a [SEP] b [SEP]")


def _signature(backend: Tokenizer) -> dict[str, Any]:
    """All that decides the ids of a text, in one form for what is the same."""
    whole = json.loads(backend.to_str())
    normalizer = whole["normalizer"] or {}
    if normalizer.get("strip_accents") == normalizer.get("lowercase"):
        normalizer["strip_accents"] = None  # as where nothing is said
    return {key: whole[key] for key in ("normalizer", "pre_tokenizer", "model", "added_tokens")}

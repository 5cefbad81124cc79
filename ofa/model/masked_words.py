"""What a pretrained encoder's masked-language head would put in place of words: BERT's and ERNIE's, in both layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional

from ofa.model import network as models
from ofa.model.weights import stored_tensors
from ofa.supernet.blocks import base

if TYPE_CHECKING:
    from ofa.data.tokenizer import TextTokenizer

HEAD, MASK = "cls.predictions.", "[MASK]"
# Part -> its names after HEAD: Hugging Face's, an older one of these, Paddle's.
PARTS = {
    "weight": ("transform.dense.weight", "transform.weight"),
    "bias": ("transform.dense.bias", "transform.bias"),
    "scale": ("transform.LayerNorm.weight", "transform.LayerNorm.gamma", "layer_norm.weight"),
    "shift": ("transform.LayerNorm.bias", "transform.LayerNorm.beta", "layer_norm.bias"),
    "output": ("bias", "decoder.bias", "decoder_bias"),
}
# A word in so many is masked at once: the share that such heads are trained with. All words have had their turn after
# as many passes, where a pass for each word, as TinyBERT has, would take a hundred times as long.
ROUNDS, ROWS = 7, 32


@dataclass(frozen=True)
class MaskedWords:
    """An encoder with its masked-language head.

    Attributes:
        parts: the tensors of the head, by their part.
        words: the words that may be put in, with their ids.
    """

    encoder: nn.Layer
    parts: Mapping[str, Tensor]
    tokenizer: TextTokenizer
    words: Mapping[str, int]
    mask: int

    @classmethod
    def read(
        cls, path: Path, tokenizer: TextTokenizer, words: Mapping[str, int], allow_pickle: bool
    ) -> MaskedWords | None:
        """That of the model folder ``path``; None if it has no such head, or the tokenizer nothing to mask with."""
        _, raw = stored_tensors(path, allow_pickle)
        stored = {part: [raw[HEAD + name] for name in names if HEAD + name in raw] for part, names in PARTS.items()}
        mask = tokenizer.backend.token_to_id(MASK)
        if mask is None or not all(stored.values()):
            return None
        parts = {part: paddle.to_tensor(np.asarray(values[0], np.float32)) for part, values in stored.items()}
        if any("encoder.layer." in name for name in raw):  # PyTorch's layout has weights [out, in]
            parts["weight"] = parts["weight"].transpose([1, 0])
        encoder = models.load_encoder(path, 2, 0.0, allow_pickle)
        models.set_pad(encoder, tokenizer.pad)
        encoder.eval()
        return cls(encoder, parts, tokenizer, words, mask)

    def fits(self, texts: Sequence[Sequence[str]], count: int, max_seq_length: int) -> list[dict[int, list[str]]]:
        """For each text, given as words, the ``count`` words that fit best in place of each that is one token.

        Words of several tokens, and those beyond ``max_seq_length`` tokens, are not among the places.
        """
        found: list[dict[int, list[str]]] = [{} for _ in texts]
        masked = []  # number of the text, ids, and by place among these the word that is masked there
        for number, words in enumerate(texts):
            ids, places = self._ids(words, max_seq_length)
            order = sorted(places)
            for turn in range(min(ROUNDS, len(order))):
                hidden = {place: places[place] for place in order[turn::ROUNDS]}
                masked.append((number, [self.mask if at in hidden else one for at, one in enumerate(ids)], hidden))
        masked.sort(key=lambda one: len(one[1]))  # rows of about a length are padded little
        for start in range(0, len(masked), ROWS):
            chunk = masked[start : start + ROWS]
            for (number, _, hidden), best in zip(chunk, self._best(chunk, texts, count), strict=True):
                found[number] |= dict(zip(hidden.values(), best, strict=True))
        return found

    def _ids(self, words: Sequence[str], max_seq_length: int) -> tuple[list[int], dict[int, int]]:
        """[CLS] words [SEP] as ids, and of each word that is one of ``self.words`` its place there and in ``words``."""
        ids, places = [self.tokenizer.cls], {}
        for number, word in enumerate(words):
            pieces = self.tokenizer.backend.encode(word, add_special_tokens=False).ids
            if len(ids) + len(pieces) >= max_seq_length:
                break
            if word in self.words and pieces == [self.words[word]]:
                places[len(ids)] = number
            ids += pieces
        return [*ids, self.tokenizer.sep], places

    def _best(
        self, chunk: Sequence[tuple[int, list[int], dict[int, int]]], texts: Sequence[Sequence[str]], count: int
    ) -> list[list[list[str]]]:
        """For each row of ``chunk`` and each masked place in it, the words that fit best; not the one that stood."""
        ids = np.full((len(chunk), max(len(one) for _, one, _ in chunk)), self.tokenizer.pad, np.int64)
        for row, (_, one, _) in enumerate(chunk):
            ids[row, : len(one)] = one
        places = [(row, place) for row, (_, _, hidden) in enumerate(chunk) for place in hidden]
        scores = self._scores(ids, np.array(places))
        names, top = list(self.words), np.argsort(-scores, axis=1, kind="stable")[:, : count + 1]
        ranked, best = iter(top), []
        for number, _, hidden in chunk:
            stood = [texts[number][word] for word in hidden.values()]
            best.append([[w for w in (names[at] for at in next(ranked)) if w != own][:count] for own in stood])
        return best

    def _scores(self, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        """``[M, W]``: how well each of the words fits each of the ``places`` ``[M, 2]`` (row, column) of ``ids``."""
        with paddle.no_grad():
            tokens = paddle.to_tensor(ids)
            _, hidden = models.forward(self.encoder, tokens, paddle.zeros_like(tokens))
            at = paddle.gather_nd(hidden[-1], paddle.to_tensor(places))
            activate = getattr(functional, base(self.encoder).config.hidden_act)
            at = activate(at @ self.parts["weight"] + self.parts["bias"])
            at = functional.layer_norm(at, at.shape[-1:], self.parts["scale"], self.parts["shift"], 1e-12)
            chosen = paddle.to_tensor(np.array(list(self.words.values())))
            table = paddle.gather(base(self.encoder).embeddings.word_embeddings.weight, chosen)
            return (at @ table.t() + paddle.gather(self.parts["output"], chosen)).numpy()

"""Cut the embeddings of tokens that no training row needs from the teacher, as it is and as it was permuted.

The networks are cut from these and read the smaller vocabulary, so that it goes wherever their folders go.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa.data.batches import collate
from ofa.data.seen_tokens import cut, kept_ids, rows_changed
from ofa.data.tokenizer import TextTokenizer
from ofa.errors import UserError
from ofa.model import network as models
from ofa.model.folder import read_folder, read_weights, write_folder
from ofa.model.network import forward_of
from ofa.stages.context import StageContext
from ofa.stages.inputs import Inputs

log = logging.getLogger(__name__)
PROVED = 64  # rows of each split whose logits are compared


def run(context: StageContext) -> None:
    """Writes ``teacher/`` and ``model/`` (the permuted teacher) with the smaller vocabulary, and ``vocabulary.json``.

    Raises:
        UserError: if a row whose tokens all stay is read otherwise, or answered otherwise to the bit.
    """
    inputs = context.inputs
    kept = kept_ids(inputs.tokenizer, np.unique(context.with_more(inputs.encoded("train")).input_ids))
    smaller = cut(inputs.tokenizer, kept)
    for source, name in ((context.needs["finetune"], "teacher"), (context.needs["reorder"], "model")):
        cut_embeddings(source / "model", context.folder / name, kept, smaller)
    cut_inputs = inputs.with_tokenizer_of(context.folder / "teacher")
    for split in ("train", *inputs.dev):
        _prove(context, cut_inputs, split, kept)
    changed = {split: float(rows_changed(encoded, kept).mean()) for split, encoded in inputs.dev.items()}
    record = {"tokens": len(kept), "of": inputs.tokenizer.size, "changed": changed}
    (context.folder / "vocabulary.json").write_text(json.dumps(record, indent=1) + "\n")
    shares = ", ".join(f"{share:.2%} of the rows of {split}" for split, share in changed.items())
    log.info("vocabulary: %s of %s tokens stay; %s read otherwise", f"{len(kept):,}", f"{record['of']:,}", shares)


def cut_embeddings(source: Path, target: Path, kept: np.ndarray, smaller: TextTokenizer) -> None:
    """Write the model folder ``source`` as ``target``, with the embeddings ``kept`` and their tokenizer."""
    folder = read_folder(source)
    tensors, words = read_weights(folder), f"{folder.architecture.name}.embeddings.word_embeddings.weight"
    tensors[words] = tensors[words][kept]
    shape = replace(folder.shape, vocab_size=len(kept))
    write_folder(replace(folder, path=target, shape=shape, pad=smaller.pad), tensors)
    smaller.write(target, shape.max_position_embeddings)
    smaller.write_whole(target)


def _prove(context: StageContext, cut_inputs: Inputs, split: str, kept: np.ndarray) -> None:
    """Compare the token ids of every row of ``split`` whose tokens all stay, and the logits of some of them."""
    before, after = context.inputs.encoded(split), cut_inputs.encoded(split)
    same = np.flatnonzero(~rows_changed(before, kept))
    old, new = before.take(same), after.take(same)
    if len(old.input_ids) != len(new.input_ids) or (old.input_ids != kept[new.input_ids]).any():
        raise UserError(f"ofa.vocabulary: rows of {split} whose tokens all stay are read otherwise; allowed: full")
    if not len(same):
        return
    logits = []
    for path, encoded in ((context.needs["finetune"] / "model", old), (context.folder / "teacher", new)):
        batch = collate(encoded, np.arange(min(PROVED, len(same))))
        logits.append(forward_of(models.load(path)[0])(batch.input_ids, batch.token_type_ids))
    if (logits[0] != logits[1]).any():
        raise UserError(f"ofa.vocabulary: rows of {split} whose tokens all stay are answered otherwise; allowed: full")

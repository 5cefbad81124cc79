"""Make copies of the training rows with some of their words replaced, which distillation learns from, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from ofa.data import augment
from ofa.data.augment import Fits, Words
from ofa.data.tokens import held_out
from ofa.data.unlabelled import Texts, Unlabelled
from ofa.errors import Interrupted
from ofa.model.folder import read_folder, read_weights
from ofa.model.masked_words import MaskedWords
from ofa.stages.context import StageContext

log = logging.getLogger(__name__)
ROWS = 256  # rows between two looks at whether the job is to stop


def run(context: StageContext) -> None:
    """Writes ``augmented.jsonl``, the copies that are new, and ``augmented.json``: how many, their digest, and ``by``.

    Rows that are held out for a search have no copies, and a copy that is a training, dev or test row is left out.

    Raises:
        Interrupted: if the job is to stop.
        UserError: if no copy is new.
    """
    config, rows = context.config, context.inputs.rows["train"]
    numbers, _ = held_out(len(rows), config.search.held_out, config.trainer.seed)
    columns, tokenizer = rows.columns, context.inputs.tokenizer
    words = [[augment.words_of(column[number], tokenizer) for column in columns] for number in numbers]
    by, fits = _source(context, words)
    log.info("augment: words are replaced as %s say", by)
    path = context.work / "copies.jsonl"
    augment.write(path, _copies(context, numbers.tolist(), words, fits))
    splits = {name: augment.as_words(split, tokenizer) for name, split in context.inputs.rows.items()}
    found = Unlabelled.scan([path], augment.task_of_copies(config.task), splits, "ofa.augment.copies")
    augment.keep(found, by, context.folder)


def _copies(
    context: StageContext,
    numbers: Sequence[int],
    words: Sequence[Sequence[Words]],
    fits: Callable[[Sequence[Words]], Sequence[Fits]],
) -> Iterator[Texts]:
    """The copies of each row; what is drawn depends on the seed and the row's number alone."""
    settings, seed = context.config.ofa.augment, context.config.trainer.seed
    for start in tqdm(range(0, len(numbers), ROWS), desc="augment", leave=False, dynamic_ncols=True):
        if context.stop():
            raise Interrupted(f"augment stopped after {start} rows")
        chunk = words[start : start + ROWS]
        found = iter(fits([text for row in chunk for text in row]))
        for number, row in zip(numbers[start : start + ROWS], chunk, strict=True):
            of_row = [next(found) for _ in row]
            if not all(row):
                continue  # the tokenizer sees no word in one of its texts, as in one of a zero-width space
            rng = np.random.default_rng([seed, number])
            yield from augment.copies_of(row, of_row, settings.copies, settings.share, rng)


def _source(
    context: StageContext, words: Sequence[Sequence[Words]]
) -> tuple[str, Callable[[Sequence[Words]], Sequence[Fits]]]:
    """What says which words fit, by name: the model's masked-language head, or else the teacher's embeddings."""
    config, inputs = context.config, context.inputs
    settings, known = config.ofa.augment, augment.whole_words(inputs.tokenizer)
    if inputs.folder is not None:
        pickle = config.model.allow_pickle
        head = MaskedWords.read(inputs.folder.path, inputs.tokenizer, known, pickle)
        if head is not None:
            length = config.trainer.max_seq_length
            return "masked-language head", lambda texts: head.fits(texts, settings.candidates, length)
    folder = read_folder(context.needs["finetune"] / "model")
    table = read_weights(folder)[f"{folder.architecture.name}.embeddings.word_embeddings.weight"]
    wanted = {word for row in words for text in row for word in text}
    near = augment.neighbours(known, wanted, table, settings.candidates)

    def fits(texts: Sequence[Words]) -> list[Fits]:
        return [{place: near[word] for place, word in enumerate(text) if word in near} for text in texts]

    return "neighbours among word embeddings", fits

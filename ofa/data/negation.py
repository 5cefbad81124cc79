"""The embedded task "negation": opinions in which scope, contrast and order decide, not the words.

Every sentence but a plain few has a twin of the same words and the opposite label, so a bag of words is
near chance while a network with attention can learn the rules. Nothing is downloaded.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

TRAIN_ROWS = 12_000
DEV_ROWS = 1_000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THINGS = _words(
    "film plot book song band hotel room staff food soup bread coffee phone screen battery camera car engine "
    "train garden museum concert lecture course teacher story ending music voice service"
)
GOOD = _words("good great lovely brilliant charming clever fresh bright warm superb moving elegant honest funny")
BAD = _words("bad awful dreadful boring clumsy dull stale gloomy cold poor hollow ugly dishonest tedious")
BETTER = _words("better nicer stronger finer smarter kinder")
WORSE = _words("worse weaker sillier poorer duller ruder")
WHO = _words("critics guests friends visitors readers neighbours students parents")
DENIALS = ("it is false", "i deny")
OPENINGS = ("", "", "", "honestly ,", "in the end ,", "this time ,", "to my surprise ,")
# Each maker returns a sentence of the label it is given: 1 positive, 0 negative.
Maker = Callable[[random.Random, int], str]


def _adjective(rng: random.Random, label: int) -> str:
    return rng.choice(GOOD if label else BAD)


def _plain(rng: random.Random, label: int) -> str:
    """The words themselves decide: what the other rules build on."""
    return f"the {rng.choice(THINGS)} was {_adjective(rng, label)}"


def _negated(rng: random.Random, label: int) -> str:
    """A negation turns the adjective round; a negation of something else does not."""
    thing, other = rng.sample(THINGS, 2)
    if rng.random() < 0.5:
        return f"i had not seen the {other} but the {thing} was {_adjective(rng, label)}"
    return f"i had seen the {other} but the {thing} was not {_adjective(rng, 1 - label)}"


def _not_but(rng: random.Random, label: int) -> str:
    """Not A but B: B holds."""
    return f"the {rng.choice(THINGS)} was not {_adjective(rng, 1 - label)} but {_adjective(rng, label)}"


def _although(rng: random.Random, label: int) -> str:
    """The main clause decides, wherever it stands."""
    side, main = rng.sample(THINGS, 2)
    minor = f"although the {side} was {_adjective(rng, 1 - label)}"
    major = f"the {main} was {_adjective(rng, label)}"
    return f"{minor} , {major}" if rng.random() < 0.5 else f"{major} {minor}"


def _compared(rng: random.Random, label: int) -> str:
    """The opinion is about ours, the better one or the worse one, whichever is named first."""
    ours, theirs = f"our {rng.choice(THINGS)}", f"their {rng.choice(THINGS)}"
    if rng.random() < 0.5:
        return f"{ours} was {rng.choice(BETTER if label else WORSE)} than {theirs}"
    return f"{theirs} was {rng.choice(WORSE if label else BETTER)} than {ours}"


def _relative(rng: random.Random, label: int) -> str:
    """The main verb decides, not the verb of the clause inside."""
    inner, outer = ("did not", "did") if label else ("did", "did not")
    return f"the {rng.choice(WHO)} who {inner} know the {rng.choice(THINGS)} {outer} like the {rng.choice(THINGS)}"


def _denied(rng: random.Random, label: int) -> str:
    """The opposite of a whole opinion: the hardest, two rules at once."""
    inside = rng.choice((_plain, _not_but))
    return f"{rng.choice(DENIALS)} that {inside(rng, 1 - label)}"


RULES: tuple[tuple[Maker, float], ...] = (  # and the share of each
    (_plain, 0.20),
    (_negated, 0.20),
    (_not_but, 0.14),
    (_although, 0.14),
    (_compared, 0.12),
    (_relative, 0.14),
    (_denied, 0.06),
)


def negation_rows(count: int, seed: int) -> list[tuple[str, int]]:
    """``count`` different sentences with their labels, as many of each as chance gives."""
    rng = random.Random(seed)
    makers, weights = zip(*RULES, strict=True)
    found: dict[str, int] = {}
    while len(found) < count:
        label = rng.randrange(2)
        maker: Maker = rng.choices(makers, weights)[0]
        sentence = f"{rng.choice(OPENINGS)} {maker(rng, label)} .".strip()
        found.setdefault(sentence, label)
    rows = list(found.items())
    rng.shuffle(rows)  # short rules run out of new sentences; the last rows must not lack them
    return rows


def write_negation(folder: Path, seed: int = 0, train_rows: int = TRAIN_ROWS, dev_rows: int = DEV_ROWS) -> None:
    """Write ``train.tsv`` and ``dev.tsv`` in the layout of SST-2; the same seed gives the same bytes.

    No sentence is in both. Each file is written beside and renamed.

    Raises:
        OSError: if the folder cannot be written.
    """
    rows = negation_rows(train_rows + dev_rows, seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train.tsv", rows[:train_rows]), ("dev.tsv", rows[train_rows:])):
        beside = folder / f".{name}.{os.getpid()}.tmp"
        lines = ["sentence\tlabel", *(f"{sentence}\t{label}" for sentence, label in part)]
        beside.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))
        os.replace(beside, folder / name)

"""The product from Python: run a job, look at what it found, load a network and ask it.

    import ofa

    run = ofa.run("experiment=quickstart", "ofa.widths=[1,0.5]")
    print(run.table())
    classify = ofa.load(run.recommended.folder)
    classify(["the film was not good"])

Settings are written as on the command line. A mistake raises :class:`ofa.UserError` with the words of the command.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa.deploy.serving import TextClassifier, texts_of
from ofa.errors import UserError
from ofa.predict import classifier
from ofa.results import collect, report
from ofa.results.record import Results

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Recommended:
    """The network to ship, and how to run it.

    Attributes:
        folder: of its exported files; ``ofa.load`` of it answers in ``precision``, where ONNX Runtime has that.
        engine, precision, batch_size: of the latency it was chosen by; None where it was chosen by its size.
        score: of the network in FP32 on the dev rows, 0 to 1.
        words: the sentence of the report.
    """

    name: str
    folder: Path
    engine: str | None
    precision: str | None
    batch_size: int | None
    score: float
    words: str


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: ``<output_dir>/runs/<name>``.

    Raises:
        UserError: when its results are asked for, if the folder is no finished run.
    """

    folder: Path

    @cached_property
    def results(self) -> Results:
        """Everything in its ``results.json``, as types."""
        return collect.read_given(Path(self.folder))

    @property
    def reason(self) -> str:
        """The recommendation in words; where there is none, why."""
        return self.results.recommended.words if self.results.recommended else "its networks were not scored"

    @property
    def recommended(self) -> Recommended | None:
        """The network to take; None where nothing is recommended (see ``reason``)."""
        advice = self.results.recommended
        network = self.results.network(advice.name) if advice else None
        if advice is None or network is None:
            return None
        folder = Path(self.folder) / network.name
        how = (advice.engine, advice.precision, advice.batch_size)
        return Recommended(network.name, folder, *how, network.score, advice.words)

    def to_frame(self) -> pandas.DataFrame:
        """A row for every network, ``name`` as index: scores from 0 to 1, parameters, MACs, latencies in ms."""
        import pandas

        rows = []
        for entry in self.results.to_json().get("widths", []):
            plain = {key: value for key, value in entry.items() if not isinstance(value, dict | list)}
            rows.append({**plain, **entry["metrics"], **entry["latency_ms"]})
        return pandas.DataFrame(rows).set_index("name") if rows else pandas.DataFrame()

    def table(self) -> str:
        """The table of the report, in Markdown; empty where no networks were scored."""
        if self.results.recommended is None:
            return ""
        header, *rows = report.table(self.results)
        lines = [header, ["---"] * len(header), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Classifier:
    """A network that answers: ``classify("a text")``, ``classify(["one", "two"])``, ``classify(firsts, seconds)``.

    Runs on the CPU; in ONNX Runtime without Paddle.
    """

    def __init__(self, network: TextClassifier) -> None:
        self._network, self.settings, self.labels = network, network.settings, network.labels

    def __call__(self, texts: Any, pairs: Any = None) -> list[dict[str, Any]]:
        """An answer for each text or pair of texts.

        Args:
            texts: a text or a sequence of them; for a task of pairs also a sequence of pairs.
            pairs: the second text of each row.

        Returns:
            ``{"label", "probability", "probabilities": {label: p}}``, ``{"score"}`` of a regression task, or
            ``{"labels", "probabilities": {label: p}}`` where a row has several, the likeliest first.

        Raises:
            UserError: if something is no text, or texts and task do not fit.
        """
        pair = self.settings["pair"]
        if pair and pairs is None and not isinstance(texts, str):
            texts, pairs = _parted(texts)
        if pair != (pairs is not None):
            raise UserError(f"this network takes {'pairs of texts' if pair else 'single texts, no pairs'}")
        table = {"text": texts, **({"text_pair": pairs} if pair else {})}
        columns = texts_of(table, list(table))
        if not columns[0]:
            return []
        logits = self._network.logits(columns[0], columns[1] if pair else None)
        kind = self._network.kind
        answers = [
            dict(zip(kind.answer, row, strict=True)) for row in zip(*kind.answers(logits, self.labels), strict=True)
        ]
        if kind.has_classes:
            for answer, shares in zip(answers, kind.probabilities(logits), strict=True):
                answer["probabilities"] = dict(zip(self.labels, map(float, shares), strict=True))
        return answers


def _parted(rows: Any) -> tuple[list[str], list[str]]:
    """The first and the second texts of pairs."""
    rows = list(rows) if isinstance(rows, Iterable) else [rows]
    if not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        raise UserError("this network takes pairs of texts: [(first, second), ...]")
    return [row[0] for row in rows], [row[1] for row in rows]


def run(*settings: str) -> Run:
    """Run a job, or find it finished, and return its run. Says what the command says, or logs as you set it up.

    Args:
        settings: as on the command line, each ``key=value``; nothing needs quoting.

    Raises:
        UserError: for a mistake in the settings or the data.
        KeyboardInterrupt: if it was stopped; the same call goes on from the last checkpoint.
    """
    from ofa.jobs import start
    from ofa.settings import compose
    from ofa.settings.explain import explain

    try:
        config, results = start.run(compose.compose(settings))
    except OSError as error:  # of a file or folder that a setting names
        raise UserError(explain(error)) from None
    return Run(Path(config.output_dir).expanduser() / "runs" / str(results.run))


def load(
    path: str | Path, network: str | None = None, precision: str | None = None, engine: str = "onnxruntime"
) -> Classifier:
    """A network to ask, of a run's folder or of an exported network's own.

    Args:
        network: of a run, its name, e.g. ``w0.5``; None: the recommended one.
        precision: ``fp32`` or ``int8``; None: of the recommended network, given by its run or by its folder in the
            run's, int8 where it is recommended; else fp32.
        engine: ``onnxruntime``; ``openvino``, of the extra of that name; or ``paddle``, which loads Paddle and runs
            fp32.

    Raises:
        UserError: if the folder is neither, or has no such network, engine or precision.
    """
    return Classifier(classifier(Path(path), network, precision, engine))

"""The settings of ``task``: the rows, their labels, and how answers are scored."""

from __future__ import annotations

from dataclasses import dataclass

from ofa.settings.fields import added, collected, how, setting

KINDS = ("classes", "score", "multi_label")  # of tasks: one class of several, a number (regression), any classes
# Metric -> the kind of task it is for; `ofa/evaluation/metrics.py` computes them.
METRICS = {
    **dict.fromkeys(("accuracy", "f1", "matthews"), "classes"),
    **dict.fromkeys(("pearson", "spearman"), "score"),
    **dict.fromkeys(("micro_f1", "macro_f1", "exact_match"), "multi_label"),
}


@dataclass
class TaskConfig:
    """One classification or regression task and the layout of its files.

    ``quoting`` acts through the rows that are read, ``teacher_labels`` through the order of classes that is found.
    """

    name: str = collected("???")  # of the task, in the names of runs
    data_dir: str | None = None  # folder with the files, or the GLUE folder above it; null: <cache_dir>/glue
    folder: str = ""  # the task's folder in the GLUE layout, e.g. SST-2
    hub: str | None = added(None)  # a data set of Hugging Face's hub: owner/name, or owner/name:configuration
    url: str | None = None  # a zip archive with that folder, fetched when the files are nowhere else
    sha256: str | None = how(None)  # of that archive; null: not checked
    train: str = "train.tsv"  # the file of training rows; its ending says its form: .tsv, .csv, .jsonl
    # Split name -> file; the first is the task's dev split. Hydra merges mappings, so a default here
    # would stay as a further split of every task that names its own.
    dev: dict[str, str] = setting({})
    # Rows that are scored once, at the end, and decide nothing: a file, or this share of the training rows, held out.
    test: str | None = None
    test_share: float | None = None
    dev_share: float | None = added(None)  # share of training rows held out in place of the one dev split's file
    # Files of rows without labels, as train's: the teacher answers them, and distillation learns from them, too.
    unlabelled: list[str] = added([])
    columns: list[str] | None = None  # names of the columns of files without a header line
    text: list[str] = setting([])  # one or two columns of text
    label: str = "label"  # the column of labels or scores
    labels: list[str] = setting([])  # class names in class order; empty: a score (regression)
    label_values: list[str] | None = None  # what the files say for each class; null: the class names
    # What a finished teacher calls each of them, names or ids; null: the same, or the ids 0, 1, ...
    teacher_labels: list[str] | None = how(None)
    multi_label: bool = added(False)  # a row has any number of the classes, or none
    label_separator: str = added(",")  # between the labels of a row; in JSON lines a list does without
    score_range: list[float] | None = None  # lowest and highest score of a regression task
    metrics: list[str] = setting(["accuracy"])  # the first is the task's score
    # none: tabs and ends of lines always part; csv: not between quotes, doubled ones are quotes, as pandas writes them.
    # null: csv for .csv files; else none, but stop where a file looks like the other.
    quoting: str | None = how(None)
    bad_rows: str = "error"  # error: stop at a malformed row; skip: leave it out and say how many
    max_train_rows: int | None = None  # the first rows only
    max_dev_rows: int | None = None  # the same of every dev split
    generator: str | None = None  # a task the project writes itself (quickstart): "negation"

    @property
    def kind(self) -> str:
        """One of ``KINDS``: what losses, metrics, the type of a label and a served answer are looked up by."""
        return "multi_label" if self.multi_label else "classes" if self.labels else "score"

    @property
    def pair(self) -> bool:
        """Whether a row has two texts."""
        return len(self.text) > 1

    @property
    def outputs(self) -> list[str]:
        """Names of the logits: the classes, or the one score."""
        return self.labels or ["score"]

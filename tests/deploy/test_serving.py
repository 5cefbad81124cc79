"""What a served model is asked, in every form, and what of it is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.deploy.engines import load_engine
from ofa.deploy.serving import SECOND, TEXT, TextClassifier, texts_of
from ofa.errors import UserError

PAIR = [TEXT, SECOND]


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_every_form_of_the_same_texts_is_the_same(texts):
    forms = [
        texts,
        np.array(texts, object),
        pandas.Series(texts, dtype=object),
        pandas.Series(texts, name="words", dtype=object),
        {TEXT: texts},
        {TEXT: np.array(texts, object)},
        pandas.DataFrame({TEXT: texts, "more": range(len(texts))}),
        pandas.DataFrame([{TEXT: texts}]),  # what MLflow makes of a dictionary of lists
    ]
    assert [texts_of(form, [TEXT]) for form in forms] == [[texts]] * len(forms)
    assert texts_of(texts[0], [TEXT]) == texts_of({TEXT: texts[0]}, [TEXT]) == [texts[:1]]
    assert texts_of(pandas.DataFrame([{TEXT: texts, SECOND: texts[::-1]}]), PAIR) == [texts, texts[::-1]]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [(None, "NoneType"), (float("nan"), "float"), (7, "int"), (["a", "b"], "list"), ({"a": 1}, "dict")],
)
def test_a_cell_that_is_no_text_is_named(cell, kind):
    for form in ({TEXT: ["a", cell]}, pandas.DataFrame({TEXT: pandas.Series(["a", cell], dtype=object)})):
        with pytest.raises(UserError, match=rf"^text\[1\]: {kind} is no text; allowed: a string"):
            texts_of(form, [TEXT])


def test_half_a_character_is_no_text():
    with pytest.raises(UserError, match=r"^text\[1\] holds half of a character \(a lone surrogate\)"):
        texts_of(["a", "\ud83d"], [TEXT])
    assert texts_of(["\U0001f600"], [TEXT]) == [["\U0001f600"]]


def test_columns_that_are_missing_or_unequal_are_named():
    with pytest.raises(UserError, match="^no column text; the model takes text$"):
        texts_of({"txt": ["a"]}, [TEXT])
    with pytest.raises(UserError, match="need a table with the columns text, text_pair"):
        texts_of(["a"], PAIR)
    with pytest.raises(UserError, match="2 in text, 1 in text_pair"):
        texts_of({TEXT: ["a", "b"], SECOND: ["c"]}, PAIR)


def test_it_runs_the_operations_that_were_timed(served_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path: str, options: onnxruntime.SessionOptions, *given, **named) -> None:
            options.optimized_model_filepath = f"{served_folder}.{len(opened)}.onnx"
            opened.append(Path(options.optimized_model_filepath))
            super().__init__(path, options, *given, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    TextClassifier(served_folder)
    load_engine(served_folder, "onnxruntime")
    served, timed = ([node.op_type for node in onnx.load(path).graph.node] for path in opened)
    assert served == timed and "LayerNormalization" in timed


def test_no_rows_have_no_answers(served_folder: Path) -> None:
    """As a registered model is asked by a table from which everything was filtered."""
    found = TextClassifier(served_folder).predict(pandas.DataFrame({TEXT: []}))
    assert len(found) == 0 and list(found.columns) == ["label", "probability"]

"""Chinese names in pictures, and titles that would leave them."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.results import results
from matplotlib import font_manager

from ofa.results.figures import draw
from ofa.results.lettering import CHINESE, title


@pytest.mark.filterwarnings("error")
def test_a_chinese_name_is_drawn_without_a_word_about_fonts(tmp_path: Path, drawn: list, monkeypatch) -> None:
    monkeypatch.setattr(font_manager, "get_font_names", lambda: [])
    draw(results("客服意图"), tmp_path / "figure.png")
    assert drawn[0]._suptitle.get_fontfamily() == ["sans-serif"]


def test_a_chinese_font_stands_behind_the_usual_one(tmp_path: Path, drawn: list) -> None:
    here = [name for name in CHINESE if name in font_manager.get_font_names()]
    if not here:
        pytest.skip("Matplotlib knows no Chinese font on this machine")
    draw(results("客服意图"), tmp_path / "figure.png")
    assert drawn[0]._suptitle.get_fontfamily() == ["sans-serif", *here]


def test_a_title_has_as_many_lines_as_it_needs() -> None:
    assert title(["a", "", "b"], 6.2) == "a; b"
    assert title(["network " * 8, "of the task"], 6.2).count("\n") == 1

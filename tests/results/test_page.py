"""The report as a page that stands alone."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.results import results, timed

from ofa.results import advice, collect
from ofa.results.page import page


def test_a_run_leaves_a_page_with_its_tables_and_its_figure_in_it(tmp_path: Path) -> None:
    found = timed(results(target="t4"), [4.0, 3.0, 2.0])
    found = replace(found, recommended=advice.recommend(found, 0.5))
    assert tmp_path / "report.html" in collect.write(tmp_path, found)
    text = (tmp_path / "report.html").read_bytes().decode()
    assert '<meta charset="utf-8">' in text and "<title>sst2, toy, seed 1</title>" in text
    assert text.count("<table>") == 2 and ">★ width 0.75</td>" in text
    assert f"<strong>{found.recommended.words}</strong>" in text
    (source,) = re.findall(r'src="([^"]*)"', text)
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == (tmp_path / "figure.png").read_bytes()
    assert "http" not in text.replace(content, ""), "nothing is fetched from elsewhere"


@pytest.mark.parametrize(("written", "shown"), [("<script>x()</script>", "&lt;script&gt;"), ("a & b", "a &amp; b")])
def test_names_that_look_like_html_are_text(written: str, shown: str, tmp_path: Path) -> None:
    text = page(f"# {written}\n\n| a |\n| :- |\n| {written} |\n", tmp_path)
    assert text.count(shown) == 3 and "<script" not in text

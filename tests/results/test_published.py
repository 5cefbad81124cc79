"""The published figures: where they are shown, and that the page of the recipe has the same."""

from __future__ import annotations

from collections.abc import Callable

from helpers.results import results
from helpers.toys import REPO

from ofa.results import aggregate, published
from ofa.settings.schema import Config

# Rows to learn from or to score on that the published figures are not of.
OTHER_ROWS = ("task.test_share=0.1", "task.dev_share=0.1", "task.unlabelled=[more.tsv]")


def test_published_figures_stand_only_beside_the_published_recipe(compose: Callable[..., Config]) -> None:
    recipe = ["experiment=published_recipe", "task=mrpc"]
    assert published.expected(compose(*recipe, "trainer.seed=3"))["f1"] == [0.91667, 0.91740]
    for change in (
        "trainer.distill.epochs=5",
        "model=bert_6x384",
        "task.max_train_rows=9",
        "ofa.hidden_weight=1",
        *OTHER_ROWS,
    ):
        assert published.expected(compose(*recipe, change)) == {}, change
    row = results("mrpc", 1, {1.0: 0.9, 2 / 3: 0.8}, published={"accuracy": [0.88235, 0.88480]})
    table = aggregate.published_table(aggregate.summarise([("", row)]))
    assert table[1] == ["mrpc", "accuracy", "0.88235", "0.9300", "0.88480", "0.8000"]


def test_the_page_has_the_same_published_figures() -> None:
    page = (REPO / "docs/en/recipe.md").read_text()
    for metrics in published.SCORES.values():
        for pair in metrics.values():
            assert all(str(figure)[1:] in page for figure in pair), pair

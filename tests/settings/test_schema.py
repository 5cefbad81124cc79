"""What the settings are to the rest: kinds of tasks and the tables that are looked up by them."""

from __future__ import annotations

from dataclasses import dataclass

from ofa.data import kinds
from ofa.evaluation import metrics
from ofa.settings.fields import added, collected, how, how_keys, key_of, setting, what
from ofa.settings.schema import Config
from ofa.settings.task import KINDS, METRICS, TaskConfig


def test_every_kind_of_task_is_an_object() -> None:
    assert list(kinds.KINDS) == list(KINDS)


def test_the_settings_allow_the_metrics_that_can_be_computed() -> None:
    assert {name: kind for name, (_, kind) in metrics.METRICS.items()} == METRICS
    assert set(METRICS.values()) == set(KINDS)


def test_a_task_is_of_one_kind_and_has_its_logits() -> None:
    classes, score = TaskConfig(labels=["no", "yes", "maybe"]), TaskConfig(score_range=[0, 5])
    assert (classes.kind, classes.outputs) == ("classes", ["no", "yes", "maybe"])
    assert (score.kind, score.outputs) == ("score", ["score"])


@dataclass
class Inner:
    size: int = 3
    log: int = how(1)
    depths: list[float] = added([1.0])


@dataclass
class Outer:
    inner: Inner = setting(Inner)
    named: dict[str, Inner] = setting({})
    shown: float = collected(0.5)
    place: Inner = how(Inner)


@dataclass
class Later:
    more: Inner = added(Inner)


def test_what_decides_a_result_is_nested_without_the_rest() -> None:
    outer = Outer(named={"a": Inner(4, 9)})
    assert what(outer) == {"inner": {"size": 3}, "named": {"a": {"size": 4}}, "shown": 0.5}
    assert key_of(outer) == {"inner": {"size": 3}, "named": {"a": {"size": 4}}}
    assert how_keys(Outer) == ["inner.log", "place"]


def test_a_setting_that_came_later_counts_once_it_is_not_neutral() -> None:
    assert key_of(Inner(depths=[1.0, 0.5])) == {"size": 3, "depths": [1.0, 0.5]}
    assert what(Inner(depths=[1.0])) == {"size": 3}


def test_a_section_that_came_later_is_neutral_whatever_it_says_of_how_it_runs() -> None:
    assert what(Later()) == what(Later(Inner(log=5))) == {}
    assert what(Later(Inner(4))) == {"more": {"size": 4}}


def test_defaults_are_not_shared() -> None:
    first, second = Config(), Config()
    first.ofa.widths.append(0.1)
    first.ofa.importance.rows = 1
    first.trainer.finetune.epochs = 99
    first.task.dev["x"] = "y"
    assert second == Config() and second != first

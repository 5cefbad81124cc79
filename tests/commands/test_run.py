"""What becomes of a command's words before Hydra reads them."""

from __future__ import annotations

import pytest
from hydra._internal.utils import get_args_parser

from ofa.commands.run import VALUED, options_first


@pytest.mark.parametrize(
    "words",
    [
        ["task=cola", "-m", "trainer.seed=1,2"],
        ["task=cola", "--cfg", "job", "trainer.seed=1", "--resolve", "debug=true"],
        ["task=cola", "-cd", "/conf/a=b", "~tracking", "--multirun", "+task.name=x"],
    ],
)
def test_an_option_among_the_settings_is_an_option(words: list[str]) -> None:
    """Hydra's parser ends such a command: "unrecognized arguments: trainer.seed=1,2", after ten lines of usage."""
    found = get_args_parser().parse_args(options_first(words))
    assert found.overrides == [word for word in words if "=" in word and "/" not in word or word.startswith("~")]
    assert found.multirun == bool({"-m", "--multirun"} & set(words))
    assert (found.cfg, found.config_dir) == (
        "job" if "--cfg" in words else None,
        "/conf/a=b" if "-cd" in words else None,
    )


def test_the_options_that_take_a_word_are_hydras() -> None:
    actions = get_args_parser()._actions
    assert {name for action in actions if action.nargs != 0 for name in action.option_strings} == VALUED

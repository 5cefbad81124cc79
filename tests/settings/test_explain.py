"""What an exception means to a user: the right setting, or none, and never a password."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hypothesis import given
from hypothesis import strategies as st

from ofa.settings.explain import explain, naming_setting
from ofa.settings.schema import Config

ODD = st.text(st.sampled_from("'\"{}[](),$=:@\\ /?#"), max_size=3)


@given(ODD, ODD, st.sampled_from(("", "'", '"')))
def test_an_address_that_hydra_cannot_read_is_not_shown(before, after, quote):
    override = f"tracking.uri={quote}http://me:{before}s3cret{after}@host:5000{quote}"
    try:
        OverridesParser.create().parse_overrides([override])
    except OverrideParseException as error:
        said = explain(error)
        assert "s3cret" not in said and said.startswith("tracking.uri: ") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "key"),
    [("out/runs/x", "output_dir"), ("out/cache/x", "cache_dir"), ("data/train.tsv", "task.data_dir"), ("home/x", None)],
)
def test_an_error_is_blamed_on_the_setting_whose_path_it_is(tmp_path, place, key):
    config = Config(output_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "out" / "cache"))
    config.task.data_dir = str(tmp_path / "data")
    with pytest.raises(OSError) as caught, naming_setting(config):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / place))
    first, *rest = explain(caught.value).splitlines()
    assert first == f"{tmp_path / place}: Read-only file system"
    blamed = [name for name in ("output_dir", "cache_dir", "task.data_dir", "model.path") if name in "".join(rest)]
    assert blamed == ([key] if key else [])


def test_an_error_without_a_path_blames_nothing():
    with pytest.raises(OSError) as caught, naming_setting(Config(output_dir=str(Path.cwd()))):
        raise OSError(errno.EIO, "Input/output error")
    assert "output_dir" not in explain(caught.value)

"""Addresses and paths among the settings: nothing fetched from elsewhere than meant, and no password shown or kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa.settings.places import kept_secrets, path_problems, url_problems
from ofa.settings.schema import Config, ModelConfig, TaskConfig

SECRET = "s3cret"
AROUND = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=6)
SCHEMES = st.sampled_from(("http", "https", "ftp", "s3"))


@given(SCHEMES, AROUND, AROUND, AROUND)
def test_a_password_in_an_address_is_said_nowhere(scheme: str, user: str, before: str, after: str) -> None:
    address = f"{scheme}://{user}:{before}{SECRET}{after}@host/x.zip"
    config = Config(
        task=TaskConfig(name="t", url=address, data_dir=address), model=ModelConfig("m", pretrained=address)
    )
    said = [*url_problems(address), *path_problems(config), *kept_secrets({"task": {"dev": [address]}})]
    assert len(said) >= 3 and SECRET not in "".join(said)


@pytest.mark.parametrize(
    "url", [None, "file:///a/b@c.zip", "https://host/x.zip", "http://me:pa%2Fss@host:80/x.zip?key=1"]
)
def test_sound_addresses(url: str | None) -> None:
    assert not list(url_problems(url))


@pytest.mark.parametrize(
    "url", ["http://me:pa/ss@host/x.zip", "http://me:pass@host:port/x", "http:///x.zip", "http://"]
)
def test_addresses_that_cannot_be_taken_apart(url: str) -> None:
    (line,) = url_problems(url)
    assert line.startswith("task.url: this address cannot be taken apart") and "ss@" not in line


def test_an_address_is_no_path() -> None:
    """Taken as one, s3://bucket is a folder named s3: in the working folder."""
    config = Config(output_dir="s3://bucket/x", model=ModelConfig(name="m", path="http://me:pass@host/bert?key=1"))
    assert list(path_problems(config)) == [
        "output_dir: 's3://bucket/x' is an address; allowed: a path on this machine",
        "model.path: 'http://host/bert' is an address; allowed: a path on this machine",
    ]


def test_what_a_sweep_would_write_to_disk() -> None:
    references = {"tracking": {"uri": "${oc.env:MLFLOW_TRACKING_URI,null}"}, "task": {"url": "https://host/x.zip"}}
    assert not list(kept_secrets(references))
    first, second = kept_secrets({"tracking": {"uri": "http://me:x@h"}, "task": {"url": "https://h/x.zip?key=1"}})
    assert first.startswith("tracking.uri: Hydra writes") and "MLFLOW_TRACKING_URI in the environment" in first
    assert second.startswith("task.url: Hydra writes") and "task.url='${oc.env:NAME}'" in second

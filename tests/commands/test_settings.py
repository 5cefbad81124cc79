"""``ofa settings``: what it says of each setting is what the schema and the groups' files say."""

from __future__ import annotations

from functools import reduce

import pytest
from helpers.toys import REPO

from ofa.commands import settings
from ofa.errors import UserError
from ofa.settings import groups, schema, types
from ofa.settings.schema import Config


def said(*keys: str, capsys: pytest.CaptureFixture) -> str:
    assert settings.main(list(keys)) == 0
    return capsys.readouterr().out


def test_every_setting_has_a_meaning_and_is_listed(capsys: pytest.CaptureFixture) -> None:
    text = said(capsys=capsys)
    for key, owner in settings.entries(Config):
        assert f"\n{key} = " in text
        assert settings.comments(owner)[key.rpartition(".")[2]], f"{key} has no comment in the schema"
    assert {key for key, _ in settings.entries(Config)} == set(types.keys())
    assert "    trainer: from_scratch, recipe\n" in text


def test_one_setting_with_its_default_and_the_files_that_set_it(capsys: pytest.CaptureFixture) -> None:
    text = said("ofa.widths", capsys=capsys)
    assert text.splitlines()[0] == "ofa.widths = [1,0.8333,0.6667,0.5]  (by ofa=dynabert)"
    assert "shares of the heads and neurons" in text and "each entry a number" in text
    assert text.splitlines()[-1].strip() == "ofa=quarters sets [1,0.75,0.5]"
    assert said("trainer.final.epochs", capsys=capsys).startswith("trainer.final.epochs = 0\n")
    assert said("cache_dir", capsys=capsys).startswith("cache_dir = ${oc.env:OFA_CACHE,'~/.cache/ofa'}  (by config.")


def test_defaults_are_those_that_hydra_composes(compose) -> None:
    config = compose()
    found = {key: groups.chosen(key) for key, _ in settings.entries(Config)}
    plain = {key: value for key, (value, source) in found.items() if source and "${" not in str(value)}
    assert len(plain) > 20
    del plain["hardware.engines"]  # of dataclasses, once it is composed
    for key, value in plain.items():
        composed = reduce(getattr, key.split("."), config)
        # Plain YAML takes 2e-5 for text, and it is shown as it stands in the file.
        assert (float(value) if isinstance(composed, float) else value) == composed, key


def test_a_section_a_group_and_a_slip(capsys: pytest.CaptureFixture) -> None:
    text = said("ofa.importance", capsys=capsys)
    assert [line.split(" = ")[0] for line in text.splitlines() if " = " in line] == [
        "ofa.importance.split", "ofa.importance.rows", "ofa.importance.batch_size", "ofa.importance.method",
    ]  # fmt: skip
    assert said("launch", capsys=capsys) == "launch=NAME takes one of: joblib, processes, ray, slurm\n"
    with pytest.raises(UserError, match=r"ofa.widhts: no such setting \(did you mean ofa.widths\?\)"):
        settings.tell("ofa.widhts")


def test_a_comment_above_is_shared_by_those_that_have_none() -> None:
    found = settings.comments(schema.TaskConfig)
    assert found["test"] == found["test_share"] and found["test"].startswith("Rows that are scored once")
    assert found["columns"] == "names of the columns of files without a header line"
    assert found["dev"].startswith("Split name -> file;") and found["dev"].endswith("that names its own.")


def test_the_reference_is_current() -> None:
    written = (REPO / "docs" / "en" / "reference.md").read_text()
    assert written == f"{settings.reference()}\n", "ofa settings --markdown > docs/en/reference.md"

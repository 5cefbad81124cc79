"""The tracking URI: where the database is whatever its path, and no password on disk or on the terminal."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from helpers.toys import REPO
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ofa.commands import ui
from ofa.errors import UserError
from ofa.settings.compose import without_secrets_in
from ofa.settings.schema import TrackingConfig
from ofa.system.redact import without_secrets
from ofa.tracking.address import database_path, default_uri, reach, tracking_uri
from ofa.tracking.journal import Journal
from ofa.tracking.sender import Sender
from ofa.tracking.server import Server

SECRET = "s3cret"
LINE = st.characters(exclude_categories=("C", "Zl", "Zp"))
AROUND = st.text(LINE, max_size=6)
PASSWORDS = st.builds("{}{}{}".format, AROUND, st.just(SECRET), AROUND)
QUERY = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6)
SERVERS = ("http://{}host:5000", "https://{}host/mlflow", "postgresql://{}host/db", "mysql+pymysql://{}host:3306/db")
ODD_NAMES = ("lr%20x", "my runs", "50%", "q?x", "h#y", "it's", "a$b", "%25?# &", "中文", "me@work")


@given(AROUND, PASSWORDS, QUERY, st.sampled_from(SERVERS), st.sampled_from(("", "?token=s3cret")), AROUND)
def test_no_part_of_a_password_remains_in_any_text(user, password, query, server, token, words):
    address = server.format(f"{user}:{password}@") + token + (query if token else "")
    kept = without_secrets(f"{words} '{address} {words}")
    assert SECRET not in kept
    if "@" not in query and not any(mark in words for mark in ("@", "?", "://")):
        assert kept == f"{words} '{server.format('')} {words}"


@given(AROUND, PASSWORDS, QUERY, st.sampled_from(SERVERS))
def test_an_address_is_used_without_showing_its_secrets_or_refused_without_showing_it(user, password, query, server):
    address = server.format(f"{user}:{password}@") + (f"?token={SECRET}{query}" if query else "")
    try:
        used = tracking_uri(TrackingConfig(uri=address), Path("out"))
    except UserError as error:
        assert SECRET not in str(error) and "cannot be taken apart" in str(error)
        assert str(error).count("\n") == 1
    else:
        assert used == address and without_secrets(used) == server.format("")
    yaml = OmegaConf.to_yaml({"tracking": {"uri": address, "experiment": "ofa"}, "task": {"url": address}})
    assert SECRET not in without_secrets_in(yaml)


@pytest.mark.parametrize("address", ["http://me:pa'ss@host", "http://me:pa ss@host", "postgresql://me:pa/ss@host/db"])
def test_odd_passwords_are_usable_and_kept_nowhere(tmp_path, address):
    journal = Journal(tmp_path / "job")
    Sender(journal, Server(tracking_uri(TrackingConfig(uri=address), tmp_path), "ofa", tmp_path))
    journal.close()
    state = json.loads(journal.mark.read_text())
    assert "ss@" not in journal.mark.read_text() and "pa" not in state["uri"]
    assert state["secret"] and Server.of_journal(state) is None


@pytest.mark.parametrize(
    "address",
    [
        "http://me:pa/ss@host",  # urllib takes pa for a port
        "http://me:12/ss@host",  # and this for host me, port 12
        "http://me:12?ss@host",
        "http://me:p@ss@host/a@b",
        "postgresql://me:p@ss@host/db",  # SQLAlchemy ends the password at the first @
        "postgresql://me/ss@host/db",
        "http://me:pass@",
        "http://me:pass@[host",
        "http://me:pass@host:port",
        "http://me:pass@host/\tx",
        "sqlite://me:pass@host/db",
        "me:pass@host",
    ],
)
def test_what_two_libraries_could_read_differently_is_refused_unseen(address):
    with pytest.raises(UserError, match=r"^tracking\.uri: this address cannot be taken apart") as refused:
        tracking_uri(TrackingConfig(uri=address), Path("out"))
    assert address not in str(refused.value) and "pass@" not in str(refused.value)


def test_a_file_with_an_at_sign_has_no_user():
    uri = "sqlite:////home/me@work/mlflow.db"
    assert without_secrets(f"'{uri}' is not usable") == f"'{uri}' is not usable"
    assert tracking_uri(TrackingConfig(uri=uri), Path("out")) == uri


def test_settings_without_an_address_keep_their_text():
    yaml = "task:\n  labels:\n  - 'no'\n  - '1e-3'\n  data_dir: 'a: b # c'\n  rate: 1.0e-05\n  url: null\n"
    assert without_secrets_in(yaml) == yaml


@given(st.text(LINE, min_size=1).filter(lambda name: "/" not in name))
def test_the_default_database_is_in_its_folder_whatever_its_name(name):
    assert database_path(default_uri(Path("/out") / name)) == Path("/out") / name / "mlflow.db"


@pytest.mark.process
@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_printed_command_shows_that_database(tmp_path, name):
    """The words printed are taken apart by a shell, as a user's paste would be."""
    out = tmp_path / name
    command = Server(default_uri(out), "ofa", out).page("0123").command
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert words.stdout.splitlines() == ["ofa", "ui", "--output-dir", str(out)]
    assert ui.command(out, 5000)[-1] == default_uri(out)


def test_the_environment_names_the_server_where_the_settings_do_not(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://host")
    settings = OmegaConf.load(REPO / "conf" / "tracking" / "mlflow.yaml")
    assert settings.uri == "ftp://host"
    with pytest.raises(UserError, match=r"^MLFLOW_TRACKING_URI: 'ftp://host' is not usable; allowed: sqlite://"):
        tracking_uri(TrackingConfig(uri=settings.uri), Path("out"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_uri(TrackingConfig(uri=settings.uri), Path("out")) == default_uri(Path(os.getcwd()) / "out")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert settings.uri is None


def test_the_database_can_be_written_by_whom_the_umask_says(tmp_path):
    before = os.umask(0o002)
    try:
        reach(default_uri(tmp_path / "shared"))
    finally:
        os.umask(before)
    assert (tmp_path / "shared" / "mlflow.db").stat().st_mode & 0o777 == 0o664

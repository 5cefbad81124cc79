"""The journal on disk: cut or damaged anywhere, what is whole of it is read, and nothing ends in an exception."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from helpers.reporting import assert_whole, begin, conclude, kill, sqlite, train
from hypothesis import given
from hypothesis import strategies as st

from ofa.tracking.__main__ import main
from ofa.tracking.journal import Journal, read_mark
from ofa.tracking.server import Server
from ofa.tracking.tracker import nest

ENTRIES = [
    {"op": "run", "run": "job", "name": "jöb", "tags": {}, "ms": 1},
    {"op": "params", "run": "job", "values": {"a": "1"}},
    {"op": "run", "run": "w0.5", "name": "w0.5 job", "tags": {}, "ms": 2},
    {"op": "metrics", "run": "w0.5", "values": {"x": 0.5}, "step": 1, "ms": 3},
    {"op": "end", "status": "KILLED", "ms": 4},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
KEYS = ("sent", "runs", "uri", "experiment", "output_dir", "secret")
STRINGS = st.dictionaries(st.sampled_from(("job", "w0.5", "0.5")), st.text(max_size=3))


def written(folder: Path) -> Journal:
    journal = Journal(folder)
    for entry in ENTRIES:
        journal.add(dict(entry))
    journal.close()
    return journal


@given(st.data())
def test_a_journal_cut_at_any_byte_is_a_prefix_of_its_entries(data):
    with tempfile.TemporaryDirectory() as place:
        journal = written(Path(place))
        raw = journal.path.read_bytes()
        journal.path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
        again = Journal(Path(place))
        kept = len(again.entries) if again.resumed else 0
        assert again.entries[:kept] == journal.entries[:kept]
        again.add({"op": "end", "status": "FINISHED", "ms": 9})  # and it goes on from there
        again.close()
        assert again.path.read_text().count("\n") == len(again.entries)


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON | STRINGS)), st.booleans())
def test_any_mark_is_read_or_started_afresh(state, cut):
    with tempfile.TemporaryDirectory() as place:
        written(Path(place))
        text = json.dumps(state)
        (Path(place) / "tracking.json").write_text(text[:-1] if cut else text)
        journal = Journal(Path(place))
        assert 0 <= journal.sent <= len(journal.entries) == len(ENTRIES) + 1
        opened = {entry["run"] for entry in journal.entries[: journal.sent] if entry["op"] == "run"}
        assert opened <= journal.runs.keys()
        server = Server.of_journal(journal.state)
        assert server is None or isinstance(server.uri, str)
        journal.close()
        assert nest(Path(place), Path(place), {}) in (True, False)


@pytest.mark.parametrize("mark", [b'{"sent": null}', b"[1]", b'"x"', b"", b"\xff", b"[" * 100_000, b'{"sent": 1e999}'])
@pytest.mark.database
@pytest.mark.usefixtures("impatient")
def test_a_damaged_mark_doubles_nothing(out, mark):
    tracker = begin(out)
    train(tracker, range(3))
    kill(tracker)
    tracker.journal.mark.write_bytes(mark)
    tracker = begin(out)
    train(tracker, range(5))
    conclude(tracker, out)
    tracker.finish("FINISHED")
    assert_whole(sqlite(out))


def test_runs_of_an_older_journal_go_by_the_names_of_their_sub_networks(tmp_path):
    journal = written(tmp_path)
    journal.path.write_text(journal.path.read_text().replace('"w0.5"', '"0.5"'))
    journal.mark.write_text(json.dumps({"sent": 4, "runs": {"job": "a", "0.5": "b"}}))
    again = Journal(tmp_path)
    assert again.entries == journal.entries and again.runs == {"job": "a", "w0.5": "b"} and again.sent == 4
    assert not again.add({"op": "metrics", "run": "w0.5", "values": {"x": 0.5}, "step": 1, "ms": 9})
    again.close()


@pytest.mark.parametrize("line", ['{"op": "metrics"}', '{"op": ["run"]}', '{"op": "x"}', "[" * 100_000, "7", "\x00"])
def test_a_line_that_is_no_entry_is_dropped(tmp_path, line):
    journal = written(tmp_path)
    with journal.path.open("a") as file:
        file.write(f"{line}\n")
    again = Journal(tmp_path)
    assert again.entries == journal.entries
    again.close()


def test_a_folder_that_cannot_be_written_to_is_said_in_a_line(tmp_path, capsys):
    """As on a read-only disk: the lock cannot be opened."""
    written(tmp_path)
    (tmp_path / "tracking.lock").unlink()
    (tmp_path / "tracking.lock").mkdir()
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "tracking.lock" in said and said.count("\n") <= 2
    assert read_mark(tmp_path)["sent"] == 0

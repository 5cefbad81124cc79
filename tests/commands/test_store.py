"""``ofa store``: what there is, what is removed, and what stays; a slip removes nothing."""

import errno
import shutil

import pytest
from helpers.stores import aged_store, names

from ofa.commands.store import days, main


@pytest.fixture
def store(tmp_path):
    return aged_store(tmp_path / "store")


def test_the_networks_of_a_finished_run_are_kept_until_its_folder_is_removed(store, capsys):
    run = store.root.parent / "runs" / "a"
    run.mkdir(parents=True)
    for name in ("w1", "recommended"):
        (store.root / "finetune-a" / "w1").mkdir(exist_ok=True)
        (run / name).symlink_to("../../store/finetune-a/w1")
    (run / "report.md").write_text("")
    (run / "elsewhere").symlink_to("/tmp")
    command = ["clean", "--output-dir", str(store.root.parent), "--keep-gb", "0"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert names(store.entries()) == ["finetune-a"] and (run / "recommended").is_dir()
    assert "removed, 3 folders" in said and "kept, 1 folders with the networks of finished runs" in said
    assert f"remove the folders of its runs in {run.parent} first" in said
    shutil.rmtree(run)
    assert main(command) == 0
    assert "kept" not in capsys.readouterr().out and store.entries() == []


def test_the_command_lists_and_cleans(store, capsys):
    assert main(["list", "--output-dir", str(store.root.parent)]) == 0
    assert "finetune-a" in capsys.readouterr().out
    assert main(["clean", "--output-dir", str(store.root.parent), "--older-than", "30d"]) == 0
    assert "removed, 2 folders" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["clean", "--output-dir", str(store.root.parent)])
    assert "clean needs --older-than or --keep-gb" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["clean", "--older-than", "soon"])
    assert "'soon' is no age; allowed: a number with d, h or m" in capsys.readouterr().err
    for wrong in ("-1", "nan", "much"):  # nothing is removed by a slip
        with pytest.raises(SystemExit):
            main(["clean", "--output-dir", str(store.root.parent), f"--keep-gb={wrong}"])
        assert f"'{wrong}' is no size; allowed: a number from 0, as 20" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["list", "--older-than", "30d"])
    assert "list takes neither --older-than nor --keep-gb" in capsys.readouterr().err
    assert days("36h") == 1.5


def test_a_read_only_disk_ends_cleaning_in_a_line(store, capsys, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(store.root / "locks"))

    monkeypatch.setattr("ofa.store.FileLock.acquire", refuse)
    assert main(["clean", "--output-dir", str(store.root.parent), "--keep-gb", "0"]) == 1
    assert capsys.readouterr().err == f"{store.root / 'locks'}: Read-only file system\n"

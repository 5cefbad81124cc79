"""Text stays as it was typed, on the command line and in files, or is refused by name."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.toys import REPO
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from ofa.settings.schema import Config
from ofa.settings.types import keys, kind_of, plain
from ofa.settings.words import as_pasted, as_typed, changed_by_yaml

TYPED = {
    "task.labels=[负面,正面]": "task.labels=['负面','正面']",
    "task.labels=[no,1.50, 2 ,true,null,'x']": "task.labels=[no,'1.50','2','true','null','x']",
    'task.labels=["a b",é]': "task.labels=[\"a b\",'é']",
    "task.dev={dev:数据.tsv,more:1.0}": "task.dev={dev:'数据.tsv',more:'1.0'}",
    "output_dir=/数据/${task.name}/x": "output_dir='/数据/${task.name}/x'",
    "output_dir=~/out": "output_dir='~/out'",
    "task.name=1e3": "task.name='1e3'",
    "tracking.experiment=a,é b": "tracking.experiment=a,'é b'",
    # Nothing to do: no text, no number, or not an override.
    "task.url=null": "task.url=null",
    "task.columns=null": "task.columns=null",
    "ofa.widths=[1,0.5]": "ofa.widths=[1,0.5]",
    "task=glob(s*)": "task=glob(s*)",
    "trainer.precision=choice(fp32,bf16)": "trainer.precision=choice(fp32,bf16)",
    "task.labels=[]": "task.labels=[]",
    "-m": "-m",
    "--config-dir=/é": "--config-dir=/é",
}


@pytest.mark.parametrize("argument", TYPED)
def test_what_hydra_would_refuse_or_change_is_put_in_quotes(argument: str) -> None:
    assert as_typed(argument) == TYPED[argument]
    assert as_typed(TYPED[argument]) == TYPED[argument]


WORDS = [
    "no",
    "yes",
    "1.50",
    "01",
    "1_000",
    "+1",
    "1e3",
    "TRUE",
    "null",
    "nan",
    "2020-01-01",
    "好",
    "好 的",
    "a-b",
    "#1",
]


def test_labels_are_the_words_of_the_command_line(compose: Callable[..., Config]) -> None:
    assert compose("task=custom", f"task.labels=[{','.join(WORDS)}]").task.labels == WORDS


@given(st.sampled_from([key for key in keys() if plain(kind_of(key)) is str]), st.text("abcñ好 019.e_-+~#", min_size=1))
def test_text_without_signs_is_read_as_it_was_typed(key: str, text: str) -> None:
    parsed = OverridesParser.create().parse_override(as_typed(f"{key}={text}"))
    read = parsed.value()
    assert isinstance(read, str) and read == text.strip(" ")


@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\"'\\\\$[](){},")))))
@example(["a (x)", "b", "1", "1.50", "null", "\\", '\\"', ""])
def test_a_list_of_texts_to_paste_is_read_as_it_was(texts: list[str]) -> None:
    (argument,) = shlex.split(as_pasted("task.teacher_labels", texts))
    read = OverridesParser.create().parse_override(as_typed(argument)).value()
    assert [str(getattr(one, "text", one)) for one in read] == texts


@pytest.mark.process
def test_words_that_yaml_changes_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    file = tmp_path / "task" / "mine.yaml"
    file.write_text(
        'defaults: [custom]\nlabels: [no, "yes", 1.50, 2, 0x10]\ndata_dir: /data\ntrain: on\nmax_dev_rows: 010\n'
    )
    assert list(changed_by_yaml(file, "task")) == [
        f'{file}:2: task.labels[0]: YAML reads no as false; write "no", with the quotes',
        f'{file}:2: task.labels[2]: YAML reads 1.50 as 1.5; write "1.50", with the quotes',
        f'{file}:2: task.labels[4]: YAML reads 0x10 as 16; write "0x10", with the quotes',
        f'{file}:4: task.train: YAML reads on as true; write "on", with the quotes',
    ]
    for flags in ([], ["-m"]):
        command = [sys.executable, "main.py", *flags, "--config-dir", str(tmp_path), "task=mine", "trainer.seed=1"]
        places = [f"output_dir={tmp_path}/out", f"cache_dir={tmp_path}/cache"]
        done = subprocess.run([*command, *places], cwd=REPO, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith(f"{file}:2: task.labels[0]: YAML reads no as false")
        assert "Traceback" not in done.stderr


def test_the_files_of_the_project_are_read_as_they_are_written() -> None:
    for path in sorted((REPO / "conf").rglob("*.yaml")):
        package = "" if path.parent.name in ("conf", "experiment", "launch", "sweeper") else path.parent.name
        assert list(changed_by_yaml(path, package)) == [], path

"""Bad data, settings, models and addresses: each is refused in a line or two before anything is made or lost.

Every case is one broken thing in a job that would otherwise run. `tests/data/test_rows.py` has more bad rows,
`tests/settings/test_mistakes.py` more broken settings; here they take the whole way from the command line.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.bad_cases import DATA, JOB, ROWS, SETTINGS, TRACKING, file
from helpers.bad_models import FOLDER, MODELS, one_type
from helpers.toys import REPO
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ofa.data.vocab import SPECIAL
from ofa.errors import UserError
from ofa.jobs.job import run_job
from ofa.jobs.preflight import check
from ofa.settings.explain import explain
from ofa.settings.schema import Config

pytestmark = pytest.mark.job

CASES = DATA | SETTINGS | MODELS | TRACKING


@pytest.fixture
def root(toy_folder: Path) -> Path:
    """A folder with data, a finished teacher, and the results of an earlier run."""
    root = toy_folder.parent
    (root / "data").mkdir()
    for name in ("train", "dev"):
        (root / "data" / f"{name}.tsv").write_text(ROWS)
    (root / "out" / "runs" / "earlier").mkdir(parents=True)
    (root / "out" / "runs" / "earlier" / "results.json").write_text('{"precious": true}')
    return root


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(compose: Callable[..., Config], overrides: list[str]) -> str | None:
    """What main.py would say; None if the job ran."""
    try:
        config = compose(*overrides)
        check(config)
        run_job(config, "")
    except (UserError, HydraException, OmegaConfBaseException, OSError) as error:
        return explain(error)
    return None


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 70
    assert len(CASES) == sum(map(len, (DATA, SETTINGS, MODELS, TRACKING))), "a name is used twice"


@pytest.mark.parametrize("name", CASES)
def test_refused_in_words_and_nothing_is_lost(name: str, root: Path, compose: Callable[..., Config]) -> None:
    prepare, overrides, *words = CASES[name]
    if prepare:
        prepare(root)
    before = contents(root / "out")
    said = run(compose, f"{JOB} {overrides}".format(root=root).split())
    assert said is not None, "the job ran"
    assert 1 <= len(said.splitlines()) <= 2 and max(map(len, said.splitlines())) < 500, said
    for part in words:
        assert part.format(root=root) in said, said
    assert "Traceback" not in said and "secret" not in said
    after = contents(root / "out")
    assert {path: after.get(path) for path in before} == before
    assert not list((root / "out" / "store").glob("*/stage.json")), "a stage was finished"


@pytest.mark.parametrize("overrides", ["", FOLDER])
def test_the_job_of_the_cases_is_sound(overrides: str, root: Path, compose: Callable[..., Config]) -> None:
    """Otherwise a case could be refused for something else."""
    assert run(compose, f"{JOB} {overrides}".format(root=root).split()) is None
    assert list((root / "out" / "store").glob("finetune-*/stage.json"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("hardware.device=gpu", "hardware.device: gpu is not there (this Paddle is built for CPU)"),
        ("hardware.device=cpu trainer.precision=bf16", "trainer.precision: bf16 needs a GPU"),
        ("hardware.device=auto trainer.precision=fp16", "trainer.precision: fp16 needs a GPU"),
    ],
)
def test_what_needs_a_gpu_is_refused_before_rows_are_read(
    overrides: str, words: str, root: Path, compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the Paddle that is installed; on a machine that has the one for GPUs, by what is set alone."""
    config = compose(*f"{JOB} {overrides}".format(root=root).split())
    monkeypatch.setattr("ofa.jobs.preflight.paddle_for_cpu", lambda: True)
    with pytest.raises(UserError, match=re.escape(words)):
        check(config)
    monkeypatch.setattr("ofa.jobs.preflight.paddle_for_cpu", lambda: False)
    if config.hardware.device != "cpu":
        check(config)


# What is done to the model's folder, what is set, and what the check of the settings says, without a row being read.
UNREAD = {
    "tokenizer.json": (file("toy/tokenizer.json", "{"), "", "tokenizer.json: not readable as a tokenizer"),
    "a setting": (
        file("toy/tokenizer_config.json", '{"do_lower_case": "no"}'),
        "",
        "tokenizer_config.json: do_lower_case is 'no'; allowed: true or false",
    ),
    "another class": (
        file("toy/tokenizer_config.json", '{"tokenizer_class": "BertJapaneseTokenizer"}'),
        "",
        "tokenizer_class is 'BertJapaneseTokenizer'; supported: BertTokenizer",
    ),
    "another vocabulary": (file("toy/vocab.txt", "\n".join(SPECIAL)), "", "model.vocab: the vocabulary has 5 entries"),
    "two vocabularies": (file("v.txt", "\n".join(SPECIAL)), "model.vocab={root}/v.txt", "{root}/v.txt differs from"),
    "pairs": (one_type, "task.text=[text,label] task.label=more", "has type_vocab_size 1: no type for second"),
    "a kind that is none": (
        None,
        "model.architecture=gpt2",
        "model.architecture: 'gpt2' is unknown; allowed: b",
    ),
    "words for bytes": (
        file("v.txt", "\n".join(SPECIAL)),
        "model=bert_4x128 model.path=null model.architecture=roberta model.vocab={root}/v.txt",
        "v.txt is for WordPiece, model.architecture=roberta has byte-level BPE",
    ),
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("hub", [False, True])
def test_a_model_that_is_here_is_read_before_the_first_job(
    name: str, hub: bool, root: Path, compose: Callable[..., Config]
) -> None:
    """By its path or, downloaded earlier, by its name."""
    prepare, overrides, words = UNREAD[name]
    if prepare:
        prepare(root)
    if hub:
        snapshot = root / "cache" / "models" / "models--me--toy" / "snapshots" / "1"
        shutil.copytree(root / "toy", snapshot)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("1")
        overrides = f"model.path=null model.name=x model.pretrained=me/toy {overrides}"
        if "architecture=roberta" in overrides:
            overrides += " model.pretrained=null"
    with pytest.raises(UserError) as error:
        check(compose(*f"{JOB} {FOLDER} {overrides}".format(root=root).split()))
    assert words.format(root=root) in str(error.value) and len(str(error.value).splitlines()) <= 2


MAIN = {
    "unwritable output": ("output_dir=/proc/x", "output_dir: /proc/x: No such file or directory"),
    "output is a file": ("output_dir={root}/data/dev.tsv", "output_dir: {root}/data/dev.tsv: File exists"),
    "bad row": ("task.labels=[no,yes]", "{root}/data/train.tsv:3: label 'maybe' is unknown; allowed: 'no', 'yes'"),
    "broken model": (FOLDER, "{root}/toy/model.safetensors: not a whole safetensors file"),
}


@pytest.mark.process
@pytest.mark.parametrize("name", [*MAIN, "with debug=true"])
def test_exit_status_and_terminal_of_main(name: str, root: Path) -> None:
    overrides, words = MAIN.get(name, MAIN["bad row"])
    shutil.copy(root / "data" / "dev.tsv", root / "toy" / "model.safetensors")
    before = contents(root)
    arguments = f"{JOB} {overrides}".format(root=root).split() + ["debug=true"] * (name not in MAIN)
    done = subprocess.run([sys.executable, "main.py", *arguments], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert words.format(root=root) in done.stderr
    assert ("Traceback" in done.stdout + done.stderr) == (name not in MAIN)
    after = contents(root)
    assert {path: after.get(path) for path in before} == before

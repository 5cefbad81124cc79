"""Shared pieces: a toy BERT, real tokens, the shared data where there is any."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ofa.data.tokenizer import plain
from ofa.data.vocab import SPECIAL
from ofa.model import network as models
from ofa.settings.compose import compose as compose_settings
from ofa.settings.compose import typed
from ofa.settings.groups import CONF
from ofa.settings.schema import Config
from ofa.system import process

process.prepare()  # before anything imports Paddle

import numpy as np
import paddle
import pytest
from helpers.servers import fresh_database
from helpers.toys import REPO, TOY, noisy
from hypothesis import settings
from omegaconf import OmegaConf

from ofa.deploy.export import export  # loads Paddle

# Properties: the same examples in every run, or, at night, many that nobody has seen yet.
settings.register_profile("day", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("night", max_examples=500, deadline=None, print_blob=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "day"))

SHARED = Path(os.environ.get("OFA_SHARED", REPO.parent / "shared"))


@pytest.fixture
def shared() -> Path:
    """The folder with real GLUE rows, a finetuned teacher and published latencies."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here (set OFA_SHARED)")
    return SHARED


@pytest.fixture
def toy() -> paddle.nn.Layer:
    """A plain BERT classifier, 3 layers of 4 heads and 64 neurons, no weight left at its start value."""
    paddle.seed(3)
    return noisy(models.build(TOY, dropout=0.0))


@pytest.fixture
def toy_folder(toy: paddle.nn.Layer, tmp_path: Path) -> Path:
    """The toy saved as a finished teacher of the classes no, maybe and yes, with a vocabulary of its size."""
    vocab = tmp_path / "toy-vocab.txt"
    vocab.write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), TOY.vocab_size))]) + "\n")
    models.save(toy, tmp_path / "toy", ("no", "maybe", "yes"), plain(vocab))
    return tmp_path / "toy"


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy as a deployable folder, with its graphs and what a server needs to know."""
    folder = tmp_path_factory.mktemp("served")
    network = noisy(models.build(TOY, dropout=0.0))
    (folder / "words.txt").write_text("\n".join([*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), TOY.vocab_size))]))
    models.save(network, folder, ("no", "maybe", "yes"), plain(folder / "words.txt"))
    export(network, folder)
    (folder / "serving.json").write_text('{"max_seq_length": 16, "pair": false, "kind": "classes"}')
    return folder


@pytest.fixture
def tokens() -> tuple[paddle.Tensor, paddle.Tensor]:
    """``input_ids`` and ``token_type_ids`` ``[5, 9]``, two of the rows padded."""
    rng = np.random.default_rng(0)
    input_ids = rng.integers(5, TOY.vocab_size, (5, 9))
    input_ids[1, 6:] = input_ids[3, 4:] = 0
    return paddle.to_tensor(input_ids), paddle.to_tensor((rng.random((5, 9)) < 0.3).astype("int64"))


@pytest.fixture
def compose() -> Callable[..., Config]:
    """Compose conf/ with overrides into a typed Config, as main.py does."""
    return lambda *overrides: typed(compose_settings(overrides))


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """The settings of ``experiment=quickstart`` with overrides; composed once, where these are values and no files."""
    folder = tmp_path_factory.mktemp("places")
    own = ["experiment=quickstart", f"output_dir={folder}", f"cache_dir={folder}"]
    composed = compose_settings(own)

    def with_overrides(*overrides: str) -> Config:
        if any(text.startswith("+") or (CONF / text.partition("=")[0]).is_dir() for text in overrides):
            return typed(compose_settings([*own, *overrides]))
        return typed(OmegaConf.merge(composed, OmegaConf.from_dotlist(list(overrides))))

    return with_overrides


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them."""
    from helpers.reporting import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def out(tmp_path: Path, empty_store: Path) -> Path:
    """An output folder whose MLflow store is there already."""
    fresh_database(empty_store, tmp_path / "out" / "mlflow.db")
    return tmp_path / "out"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """The figures that a test has saved, to look at what is in them."""
    from matplotlib.figure import Figure

    figures: list = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])
    return figures


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tracking waits seconds for, a test does not."""
    from ofa.tracking import sender, tracker

    monkeypatch.setattr(tracker, "TICK_S", 0.05)
    monkeypatch.setattr(tracker, "METER_S", 0.2)
    monkeypatch.setattr(sender, "RETRY_S", 0.05)
    monkeypatch.setattr(sender, "RETRY_MOST_S", 0.1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/model/golden.json anew")


@pytest.hookimpl(tryfirst=True)  # before what -m leaves out is chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of an exported folder has one exported first: it is no part of `make test-fast`."""
    for item in items:
        if "served_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("job")


# Small programs that are asked for a fact: which commit, which processor, whose library.
ASKED = {"git", "uname", "lscpu", "ldconfig", "gcc", "cc", "ps"}
started: list[str] = []  # programs that the test which runs now has started


def _note_process(event: str, arguments: tuple) -> None:
    if event == "subprocess.Popen":
        program = Path(os.fsdecode(arguments[0] or arguments[1][0])).name
        if program not in ASKED:
            started.append(program)
    elif event in {"os.fork", "os.posix_spawn", "os.system"}:
        started.append(event)
    elif event == "os.kill" and arguments[0] == os.getpid():
        raise RuntimeError("a test may end all others by a signal to itself: send it in a process of its own")


sys.addaudithook(_note_process)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test that starts a process and is not marked so: it would be part of `make test-fast`."""
    yield
    programs, started[:] = list(started), []
    if programs and not item.get_closest_marker("process"):
        pytest.fail(f"starts {', '.join(programs)}: mark it with @pytest.mark.process", pytrace=False)

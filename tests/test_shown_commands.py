"""The commands that the pages show are commands: their settings pass the rules, the first steps run as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from test_readme import WRITTEN, shell

from ofa.commands.plan import plan
from ofa.jobs import preflight
from ofa.settings import compose
from ofa.settings.words import as_typed

# The quickstart with fewer steps, yet enough for a teacher that learned; whatever a network loses, one is taken.
FEWER = "task.max_dev_rows=200 hardware.threads=1 trainer.finetune.epochs=2 trainer.distill.max_steps=10"
FEWER += " ofa.tolerance=50 ofa.importance.rows=64 'latency.batch_sizes=[2]' 'latency.engines=[onnxruntime]'"
PLUGINS = ("launch=", "sweeper=", "hydra.")  # of an optional extra: tests/commands/test_launchers.py


def jobs(page: str) -> list[tuple[str, ...]]:
    """The settings of each job or sweep that a page shows."""
    found = []
    for command in shell((REPO / page).read_text()):
        given = re.fullmatch(r"(?:python main\.py|ofa(?: run| sweep)?) ((?:-m )?\S+=.*)", command)
        if given:
            found.append(tuple(word for word in shlex.split(given[1]) if word != "-m"))
    return found


SHOWN = sorted({settings for page in WRITTEN for settings in jobs(page)})


def first(text: str) -> str:
    """The setting of a sweep's first job."""
    override = OverridesParser.create().parse_override(as_typed(text))
    if override.is_sweep_override() and not isinstance(override.value(), Glob):
        return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
    return text


def test_pages_show_jobs() -> None:
    assert len(SHOWN) > 12
    assert ("task=sst2", "ofa.widths=[1,0.75,0.5]") in SHOWN


@pytest.mark.parametrize("settings", SHOWN, ids=" ".join)
def test_settings_that_are_shown_compose_and_pass_the_rules(settings: tuple[str, ...]) -> None:
    own = [first(text) for text in settings if not text.startswith(PLUGINS) and "glob(" not in text]
    problems = preflight.problems(compose.typed(compose.compose(own)))
    assert not [problem for problem in problems if not re.search("/data|/models", problem)]


def limits(page: str) -> list[tuple[str, ...]]:
    """The settings with limits that a page has in a sentence, of the default job."""
    words = re.findall(r"`([^`\n]*search\.max_\w+=\d[^`\n]*)`", (REPO / page).read_text())
    return [tuple({*word.split(), "ofa.sampling=layers"}) for word in words]


LIMITED = {settings for settings in SHOWN if any(text.startswith("search.max") for text in settings)}
LIMITED |= {tuple(sorted(settings)) for page in WRITTEN for settings in limits(page)}


@pytest.mark.parametrize("settings", sorted(LIMITED), ids=" ".join)
def test_limits_that_are_shown_can_be_met(settings: tuple[str, ...]) -> None:
    assert len(LIMITED) >= 4, "of both kinds"
    assert "w0.5" in plan(compose.typed(compose.compose([first(text) for text in settings])))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder to type commands in."""
    return tmp_path_factory.mktemp("home")


def type_in(home: Path, command: str) -> str:
    """What ``command`` prints in ``home``; it must succeed without the network."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    offline = {"HF_HUB_OFFLINE": "1", "OFA_CACHE": str(home / "cache")}
    environment = {**{key: value for key, value in os.environ.items() if key != "OFA_OUTPUT"}, **offline, "PATH": path}
    shell_of_users = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(shell_of_users, cwd=home, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(home: Path) -> str:
    """The name of the quickstart's run, made smaller."""
    assert "ofa experiment=quickstart" in shell((REPO / "README.md").read_text())
    type_in(home, f"ofa experiment=quickstart {FEWER}")
    (folder,) = (home / "outputs" / "runs").iterdir()
    return folder.name


@pytest.mark.process
@pytest.mark.parametrize("page", ["README.md", "docs/en/tutorial.md", "docs/en/use.md"])
def test_predict_as_the_pages_show_it(page: str, home: Path, run: str) -> None:
    (home / "new.csv").write_text('review\n"good, and\nnot bad"\nbad\n')
    (home / "texts.txt").write_text("the film was good\nthe film was bad\n")
    shown = [command for command in shell((REPO / page).read_text()) if "ofa predict" in command]
    assert shown
    for command in shown:
        said = type_in(home, command.replace("<name>", run))
        answers = (home / "answers.tsv").read_text() if "> answers.tsv" in command else said
        assert re.search(r"\b(negative|positive)\b", answers), command


@pytest.mark.process
def test_your_own_data_as_the_readme_shows_it(home: Path, tmp_path: Path) -> None:
    (shown,) = [command for command in shell((REPO / "README.md").read_text()) if "task=custom" in command]
    teams = ("billing", "support", "sales")
    lines = [f"about {team} {number}\tplease help {team}\t{team}\n" for number in range(40) for team in teams]
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text("subject\tbody\tteam\n" + "".join(lines))
    brief = shlex.join(["trainer.finetune.max_steps=2", "trainer.distill.max_steps=2", "stages=[evaluate]"])
    command = shown.replace("/data/tickets", str(tmp_path)).replace("python main.py", f"python {REPO}/main.py")
    said = type_in(home, f"{command} {brief} output_dir={tmp_path / 'out'}")
    assert re.search(r"width 0\.75", said)

"""Settings: everything under conf/ composes, mistakes are words, and imports run one way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from helpers.toys import REPO
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ofa.jobs.preflight import problems
from ofa.settings.compose import load
from ofa.settings.explain import explain
from ofa.settings.schema import Config

GROUPS = {
    "task": "afqmc cmnli cola custom mnli mrpc negation qnli qqp rte sst2 stsb tnews",
    "model": "bert_4x128 bert_4x256 bert_6x384 bert_base_uncased minilm_6x384 folder "
    "electra_small ernie_3_medium_zh roberta_base",
    "ofa": "dynabert quarters",
    "trainer": "from_scratch recipe",
    "hardware": "a100 cpu l4 t4 v100",
    "tracking": "mlflow none",
    "experiment": "glue_minilm published_recipe quickstart sst2_small",
    "launch": "joblib processes ray slurm",
    "sweeper": "optuna",
}
PLUGINS = {"joblib": "joblib_launcher", "ray": "ray_launcher", "optuna": "optuna_sweeper"}  # the rest: submitit
QUICKSTART = REPO / "conf" / "experiment" / "quickstart.yaml"
CHOICES = [(group, name) for group, names in GROUPS.items() for name in names.split()]


def test_every_file_under_conf_is_composed_here() -> None:
    found = {str(path.relative_to(REPO / "conf")) for path in (REPO / "conf").rglob("*.y*ml")}
    assert found == {f"{group}/{name}.yaml" for group, name in CHOICES} | {"config.yaml"}
    assert len(found) == 43


@pytest.mark.parametrize("group, name", CHOICES, ids=lambda value: value)
def test_composes_and_keeps_the_rules(
    group: str, name: str, compose: Callable[..., Config], tmp_path: Path, toy_folder: Path
) -> None:
    if group in ("launch", "sweeper"):
        plugin = f"hydra_plugins.hydra_{PLUGINS.get(name, 'submitit_launcher')}"
        pytest.importorskip(plugin, reason=f"{plugin} is not installed (pip install -e '.[sweep]')")
    more = (
        ["ofa=quarters"] if name in ("bert_4x128", "bert_4x256", "electra_small", "folder") else []
    )  # 4 heads have no sixths
    if name == "folder":
        more += [f"model.path={toy_folder}", "trainer.max_seq_length=32", "latency.seq_lengths=[32]"]
    config = compose(f"{group}={name}", *_places(tmp_path), *more)
    assert list(problems(config)) == []
    if hasattr(config, group):
        section = getattr(config, group)
        assert getattr(section, "name", name) == ("toy" if name == "folder" else name)  # that of the folder itself


def test_the_commands_of_the_readme_compose_as_written(compose: Callable[..., Config], tmp_path: Path) -> None:
    config = compose("task=sst2", "ofa.widths=[1,0.75,0.5]", *_places(tmp_path))
    assert list(problems(config)) == []
    assert config.ofa.widths == [1.0, 0.75, 0.5] and all(type(width) is float for width in config.ofa.widths)
    assert (config.task.folder, config.model.name, config.hardware.name) == ("SST-2", "bert_base_uncased", "t4")

    quick, preset = compose("experiment=quickstart"), yaml.safe_load(QUICKSTART.read_text())
    assert (quick.task.generator, quick.ofa.widths) == ("negation", preset["ofa"]["widths"])  # not the ofa group's
    assert quick.model.num_hidden_layers == preset["model"]["num_hidden_layers"]
    over = compose("experiment=quickstart", "trainer.finetune.epochs=1", "task=sst2", *_places(tmp_path))
    assert (over.task.name, over.trainer.finetune.epochs) == ("sst2", 1)  # the command line has the last word


def test_no_default_of_one_file_survives_in_another(compose: Callable[..., Config]) -> None:
    """Hydra merges mappings: a dev split or an engine of the default must not stay where another is chosen."""
    assert list(compose("task=mnli").task.dev) == ["dev_matched", "dev_mismatched"]
    assert list(compose("hardware=cpu").hardware.engines) == ["paddle", "onnxruntime"]


def test_settings_of_a_run_of_an_earlier_version_are_read(compose: Callable[..., Config], tmp_path: Path) -> None:
    saved = OmegaConf.create(asdict(compose("hardware=cpu", "latency.repeats=7")))
    del saved.latency.estimate_engines
    saved.latency.estimate_engine = "onnxruntime"
    OmegaConf.save(saved, tmp_path / "config.yaml")
    found = load(tmp_path / "config.yaml").latency
    assert (found.estimate_engines, found.repeats) == (["onnxruntime"], 7)


def _places(folder: Path) -> list[str]:
    return [f"output_dir={folder}/out", f"cache_dir={folder}/cache"]


# What main.py says, all in one process; it must end without Paddle having been imported.
_DRIVER = """
import io, json, runpy, sys
from contextlib import redirect_stderr, redirect_stdout
said = []
for arguments in json.loads(sys.argv[1]):
    sys.argv, out, err, status = ["main.py", *arguments], io.StringIO(), io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            runpy.run_path("main.py", run_name="__main__")
        except SystemExit as end:
            status = end.code
    said.append([status, err.getvalue(), out.getvalue()])
heavy = [name for name in ("paddle", "paddlenlp", "mlflow", "matplotlib") if name in sys.modules]
print(json.dumps([said, heavy]))
"""

# arguments; what each line of the answer says
MISTAKES: dict[str, tuple[str, list[str]]] = {
    "unknown key": (
        "trainer.finetune.epoch=3",
        [
            "trainer.finetune.epoch: no such setting (did you mean trainer.finetune.epochs?)",
            "allowed here: trainer.finetune.epochs, trainer.finetune.max_steps,",
        ],
    ),
    "unknown section": ("tsak.name=x", ["tsak: no such setting (did you mean task?)", "allowed here: task, model,"]),
    "unknown group": ("modle=bert_4x128", ["modle: no such setting (did you mean model?)", "allowed here: task,"]),
    "as others call it": (
        "lr=1e-5",
        [
            "lr: no such setting (did you mean trainer.finetune.learning_rate or trainer.distill.learning_rate?)",
            "allowed here:",
        ],
    ),
    "of several sections": (
        "batch_size=8",
        ["batch_size: no such setting (did you mean trainer.finetune.batch_size or trainer.d", "allowed here:"],
    ),
    "of both loops": ("epochs=1", ["epochs: no such setting (did you mean trainer.finetune.epochs or tr", "allowed"]),
    "near a section": ("seed=1", ["seed: no such setting (did you mean trainer.seed?)", "allowed here:"]),
    "key without section": ("widths=[1]", ["widths: no such setting (did you mean ofa.widths?)", "allowed here:"]),
    "added key": ("+ofa.width=[1]", ["ofa.width: no such setting (did you mean ofa.widths?)", "allowed here: ofa."]),
    "forced key": ("++trainer.foo=1", ["trainer.foo: no such setting", "allowed here: trainer.max_seq_length,"]),
    "key of an engine": (
        "hardware.engines.paddle.fuse=true",
        ["hardware.engines.paddle.fuse: no such setting (did you mean hardware.engines.paddle.fused?)", "allowed"],
    ),
    "entry of a mapping": ("task.dev.more=x.tsv", ["task.dev.more: no such entry; add it with +task.dev.more=..."]),
    "Hydra's own key": ("hydra.jobs=1", ["hydra.jobs: no such setting; see --hydra-help"]),
    "text for a number": ("trainer.seed=three", ["trainer.seed: 'three' is not allowed; allowed: a whole number"]),
    "share for a number": ("trainer.seed=2.5", ["trainer.seed: 2.5 is not allowed; allowed: a whole number"]),
    "null for a number": ("trainer.seed=null", ["trainer.seed: null is not allowed; allowed: a whole number"]),
    "number for a list": ("ofa.widths=0.5", ["ofa.widths: 0.5 is not allowed; allowed: a list in brackets, each"]),
    "text in a list": ("ofa.widths=[1,half]", ["ofa.widths[1]: 'half' is not allowed; allowed: a number"]),
    "number for a mapping": ("task.dev=[1]", ["task.dev: Cannot merge DictConfig with ListConfig; allowed: a mapping"]),
    "number for a section": ("ofa.importance=5", ["ofa.importance: 5 is not allowed; allowed: one of its keys: split"]),
    "no truth value": ("model.finetuned=so", ["model.finetuned: 'so' is not allowed; allowed: true or false, or null"]),
    "unknown choice": ("task=sst3", ["task: 'sst3' is unknown; allowed: afqmc, cmnli, cola, custom, mnli,"]),
    "unknown experiment": (
        "experiment=x",
        ["experiment: 'x' is unknown; allowed: glue_minilm, published_recipe, quickstart"],
    ),
    "null choice": ("task=null", ["A group takes the name of one of its files, e.g. task=sst2; --help lists"]),
    "bracket left open": ("ofa.widths=[1,0.5", ["cannot parse '[1,0.5'; expected key=value or key=[1,2]; quote"]),
    "two in one": ("trainer.seed=1=ofa.tolerance=2", ["cannot parse '='; expected key=value"]),
    "home folder": ("output_dir=~/.ofa-test ofa.tolerance=-1", ["ofa.tolerance: -1.0 is not allowed"]),
    "no value": ("ofa.widths", ["cannot parse 'ofa.widths'; expected key=value"]),
    "list in a list of numbers": ("ofa.widths=[[1,0.5],1]", ["ofa.widths[0]: [1, 0.5] is not allowed; allowed:"]),
    "list in a list of text": ("task.labels=[[no],[yes]]", ["task.labels[0]: ['no'] is not allowed; allowed: text"]),
    "list in a list of sizes": (
        "latency.seq_lengths=[[1]]",
        ["latency.seq_lengths[0]: [1] is not allowed;"],
    ),
    "mapping in a list": ("task.text=[{a:b}]", ["task.text[0]: {'a': 'b'} is not allowed; allowed: text"]),
    "reference to another type": (
        "ofa.widths=${ofa.tolerance}",
        ["ofa.widths: 0.5 is not allowed; allowed: a list in brackets, each entry a number"],
    ),
    "reference to entries of another type": (
        "task.text=${ofa.widths}",
        ["task.text[0]: 1.0 is not allowed;"],
    ),
    "reference to another section": (
        "trainer.finetune=${model}",
        ["trainer.finetune: another section is not allowed; allowed: one of its keys: epochs,"],
    ),
    "reference to itself": ("trainer.finetune=${trainer}", ["trainer.finetune: Interpolation to parent node"]),
    "long reference": ("tracking.uri=${model}", ["tracking.uri: While dereferencing interpolation '${model}'"]),
    "no digest": ("task.sha256=zz", ["task.sha256: 'zz' is not a SHA-256; allowed: 64 digits 0-9 and a-f, or null"]),
    "stage twice": ("stages=[finetune,finetune]", ["stages names finetune twice; allowed: each once"]),
    "thousands of threads": ("hardware.threads=100000", ["hardware.threads: 100000 is not allowed; allowed: up to"]),
    "thousands of devices": ("hardware.devices=100000", ["hardware.devices: 100000 is not allowed; allowed: up to"]),
    "thousands of jobs": (
        "sweep.parallel_jobs=1000000000 stages=[evaluate]",
        ["sweep.parallel_jobs: 1000000000 is not allowed; allowed: up to"],
    ),
    "sweep without -m": (
        "task=cola,sst2",
        ["'task=cola,sst2' is several values; add -m to run a job for each of them", "or write one value: a list in"],
    ),
    "range without -m": (
        "trainer.seed=range(1,3)",
        ["'trainer.seed=range(1,3)' is several values; add -m to run a job for each of them", "or write one value:"],
    ),
    "list for a choice": ("task=[a]", ["task: 'a' is unknown; allowed: see --help"]),
    "unknown reference": ("task.name=${nope}", ["task.name: Interpolation key 'nope' not found; allowed: text"]),
    "name of an earlier version": (
        "latency.estimate_engine=paddle",
        ["latency.estimate_engine: no such setting (did you mean latency.estimate_engines?)", "allowed here: "],
    ),
    "estimate for what is not described": (
        "hardware=a100 latency.estimate_engines=[tensorrt]",
        ["latency.estimate_engines: nothing is estimated for a100, it has no engines; leave it out"],
    ),
    "estimate twice": (
        "latency.estimate_engines=[paddle,paddle]",
        ["latency.estimate_engines names paddle twice; allowed: each once"],
    ),
    "group removed": ("~task", ["task.name: has no value; set it with task.name=..."]),
    "no folder for the model": ("model=folder", ["model.path: has no value; set it with model.path=<folder with"]),
    "width above 1": ("ofa.widths=[1,1.5]", ["ofa.widths: 1.5 is outside (0, 1]"]),
    "width of 0": ("ofa.widths=[1,0]", ["ofa.widths: 0 is outside (0, 1]"]),
    "width not a number": ("ofa.widths=[1,nan]", ["ofa.widths: nan is outside (0, 1]"]),
    "no full width": ("ofa.widths=[0.75,0.5]", ["ofa.widths: [0.75, 0.5] lacks 1.0, the full network"]),
    "no widths": ("ofa.widths=[]", ["ofa.widths: [] lacks 1.0, the full network"]),
    "part of a head": (
        "ofa.widths=[1,0.7]",
        ["ofa.widths: 0.7 of 12 heads is 8.4 heads, not a whole number; near it: 0.6667 (8 heads) and 0.75 (9 heads)"],
    ),
    "width twice": ("ofa.widths=[1,0.75,0.7501]", ["ofa.widths: 0.75, 0.7501 all keep 9 of 12 heads; allowed: each"]),
    "several at once": (
        "ofa.widths=[0.7,2] trainer.seed=-1 task.bad_rows=drop hardware.device=tpu latency.estimate_engines=[tvm]",
        [
            "task.bad_rows: 'drop' is unknown; allowed: error, skip",
            "ofa.widths: 0.7 of 12 heads",
            "ofa.widths: 2 is outside (0, 1]",
            "ofa.widths: [0.7, 2.0] lacks 1.0",
            "trainer.seed: -1 is outside [0, 4294967295]",
            "hardware.device: 'tpu' is unknown; allowed: auto, cpu, gpu",
            "latency.estimate_engines: 'tvm' is unknown; allowed: onnxruntime, onnxruntime_optimized, paddle, ",
        ],
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Exit status, stderr and stdout of main.py for every mistake, and for ``--help`` and ``--cfg job``."""
    cases = {name: arguments.split() for name, (arguments, _) in MISTAKES.items()}
    cases |= {"help": ["run", "--help"], "cfg": ["--cfg", "job", "task=sst2", "ofa.widths=[1,0.5]"]}
    run = [sys.executable, "-c", _DRIVER, json.dumps(list(cases.values()))]
    done = subprocess.run(run, cwd=REPO, env=_environment(tmp_path_factory.mktemp("out")), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    said, heavy = json.loads(done.stdout)
    assert heavy == [], "imported only to refuse a setting"
    return dict(zip(cases, said, strict=True))


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "OFA_OUTPUT": str(folder / "out"), "OFA_CACHE": str(folder / "cache")}


@pytest.mark.process
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_in_a_line_or_two(name: str, answers: dict[str, tuple[int, str, str]]) -> None:
    status, said, shown = answers[name]
    expected = MISTAKES[name][1]
    lines = said.splitlines()
    assert status == 1 and shown == ""
    assert len(lines) == len(expected), said
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start), said


EMPTY = {
    "task=glob(zzz*)": "task=glob(zzz*): no value, so this sweep has no jobs; allowed: afqmc, cmnli, cola,",
    "trainer.seed=range(1,1)": "trainer.seed=range(1,1): no value, so this sweep has no jobs; allowed: at least one",
}


@pytest.mark.process
@pytest.mark.parametrize("override", EMPTY)
def test_a_sweep_of_no_jobs_is_refused(override: str, tmp_path: Path) -> None:
    command = [sys.executable, "main.py", "-m", override, *_places(tmp_path)]
    done = subprocess.run(command, cwd=REPO, env=_environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(EMPTY[override]) and done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "sweeps").exists()


@pytest.mark.process
def test_help_and_cfg(answers: dict[str, tuple[int, str, str]]) -> None:
    status, _, text = answers["help"]
    assert status == 0
    for part in ("python main.py experiment=quickstart", "task: afqmc, cmnli, cola", "widths:", "--cfg job"):
        assert part in text
    status, _, text = answers["cfg"]
    assert status == 0 and "widths:\n  - 1.0\n  - 0.5\n" in text and "name: sst2" in text


@pytest.mark.process
def test_a_mistake_costs_a_second(tmp_path: Path) -> None:
    """About 0.8 s on an idle machine; the bound is wide for a busy one."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "main.py", "ofa.widths=[1,0.7]"], cwd=REPO, env=_environment(tmp_path), capture_output=True
    )
    assert time.monotonic() - started < 5
    assert done.returncode == 1 and done.stdout == b"" and done.stderr.count(b"\n") == 1


@pytest.mark.process
def test_a_tilde_in_output_dir_is_the_home_folder(tmp_path: Path) -> None:
    """Quoted, no shell expands it, and Hydra would make a folder of that name here."""
    command = [sys.executable, "main.py", "output_dir='~/out'", "ofa.widths=[1,0.7]"]
    done = subprocess.run(command, cwd=REPO, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True)
    assert done.returncode == 1
    assert (tmp_path / "out").is_dir() and not (REPO / "~").exists()


@pytest.mark.process
def test_nothing_of_a_job_imports_paddle_before_the_process_is_prepared() -> None:
    """Paddle's math library reads the environment as it loads; and bad rows are found without it."""
    code = (
        "import sys, ofa.jobs.job; print([name for name in ('paddle', 'paddlenlp', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/models/my-bert", "my-bert"), ("/models/my bert/", "my-bert"), ("a/.hidden", "hidden"), ("/", "folder")],
)
def test_a_run_on_a_folder_is_called_by_its_name(path: str, name: str, compose: Callable[..., Config]) -> None:
    assert compose("model=folder", f"model.path='{path}'").model.name == name
    assert compose("model=folder", f"model.path='{path}'", "model.name=mine").model.name == "mine"


def test_names_of_classes_may_stand_in_files(compose: Callable[..., Config], tmp_path: Path) -> None:
    """One file, or a second with what the rows say for each."""
    (tmp_path / "label.txt").write_bytes("\ufeff负面\r\n正面\r\n\r\n".encode())
    (tmp_path / "values.txt").write_text("0\n1\n")
    one = f"task.labels=${{lines:{tmp_path}/label.txt}}"
    config = compose("task=custom", one, f"task.label_values=${{lines:{tmp_path}/values.txt}}")
    assert (config.task.labels, config.task.label_values) == (["负面", "正面"], ["0", "1"])
    for content, said in ((None, "cannot be read (No such file or directory)"), (b"a\xff", "byte 2 is not UTF-8")):
        (tmp_path / "label.txt").unlink(missing_ok=True)
        if content:
            (tmp_path / "label.txt").write_bytes(content)
        with pytest.raises(OmegaConfBaseException) as error:
            compose("task=custom", one)
        assert explain(error.value).startswith(f"task.labels: ${{lines:{tmp_path}/label.txt}}: {said}")

"""What the command says to a mistake in its settings: a line or two, in a second, and nothing is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.toys import REPO

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
    "slip like a section": ("keeep=last", ["keeep: no such setting (did you mean ofa.keep?)", "allowed here: task,"]),
    "part left out": (
        "trainer.epoch=3",
        ["trainer.epoch: no such setting (did you mean trainer.finetune.ep", "allowed"],
    ),
    "of two sections": (
        "dropout=0",
        ["dropout: no such setting (did you mean model.dropout or ofa.dropout?)", "allowed here:"],
    ),
    "no underscore": ("model_path=x", ["model_path: no such setting (did you mean model.path?)", "allowed here:"]),
    "like no setting": ("nope=1", ["nope: no such setting", "allowed here: task, model,"]),
    "entry of a mapping": (
        "task.dev.more=x.tsv",
        ["task.dev.more: no such entry; add it with +task.dev.more=...; another file for the one there is: task.dev."],
    ),
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
        ["'task=cola,sst2' is several values; each takes a job of its own: add -m", "or write one value: a list in"],
    ),
    "range without -m": (
        "trainer.seed=range(1,3)",
        ["'trainer.seed=range(1,3)' is several values; each takes a job of its own: add -m", "or write one value:"],
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
    command = [sys.executable, "main.py", "-m", override]
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
def test_a_mistake_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """What it costs, `experiments/benchmark_distill/startup.py` measures: about half a second."""
    command = [sys.executable, "-X", "importtime", "main.py", "ofa.widths=[1,0.7]"]
    done = subprocess.run(command, cwd=REPO, env=_environment(tmp_path), capture_output=True, text=True)
    lines = done.stderr.splitlines()
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "ofa.settings.compose" in imported
    assert not imported & {"paddle", "paddlenlp", "mlflow", "onnx", "onnxruntime", "openvino", "matplotlib", "scipy"}
    said = [line for line in lines if not line.startswith("import time:")]
    assert done.returncode == 1 and done.stdout == "" and len(said) == 1


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

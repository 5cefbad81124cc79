"""The plan of the house as tests: who may import whom, which library has its one place, who does without Paddle."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.toys import REPO

# Package -> packages it may import from; `errors` is open to all. In this order the floors rise.
MAY_IMPORT = {
    "system": "",
    "store": "system",
    "settings": "system",
    "supernet": "system",
    "data": "settings system",
    "model": "settings supernet system",
    "hardware": "settings supernet system",
    "training": "data model settings supernet system",
    "evaluation": "data model system",
    "deploy": "data model settings system",
    "results": "hardware settings supernet system",
    "limits": "deploy hardware results settings supernet system",
    "stages": "data deploy evaluation limits model settings store supernet system training",
    "tracking": "deploy results settings supernet system",
    "jobs": "limits model results settings stages store supernet system tracking",
    "chosen": "data deploy model results settings system",
    "predict": "chosen data deploy settings system",
    "timing": "deploy model results settings store supernet system tracking",
    "api": "deploy jobs predict results settings",
    # Besides the table of names, which imports what it starts only then.
    "commands": "chosen deploy jobs limits model predict results settings stages store supernet system tracking",
    "__main__": "commands",
    "main": "__main__",
}
ONE_PLACE = {
    "mlflow": {"ofa.tracking.sender", "ofa.tracking.server", "ofa.tracking.registry"},
    "hydra": {"ofa.commands.run", "ofa.settings.compose", "ofa.jobs.hydra_callback"},
    "paddleslim": {"ofa.supernet.elastic"},
    "paddle.distributed": {"ofa.system.ranks"},
}
# What is imported at the top of these files must not load Paddle: settings and plans cost no minute.
WITHOUT_PADDLE = (
    "settings",
    "data",
    "results",
    "supernet.subnet",
    "supernet.operations",
    "supernet.cuts",
    "model.padded",
    "supernet.space",
    "supernet.layerwise",
    "supernet.nsga2",
    "supernet.layer_times",
    "deploy.engines",
    "deploy.graphs",
    "limits",
    "model.architectures",
    "model.folder",
    "model.hugging_face",
    "model.padded",
    "stages.context",
    "stages.inputs",
    "stages.keys",
    "stages.pipeline",
    "jobs",
    "tracking",
    "deploy.serving",
    "deploy.server",
    "api",
    "chosen",
    "predict",
    "commands",
    "hardware",
)
PADDLES = ("paddle", "paddlenlp", "paddleslim")
MOST_LINES, MOST_CLASS_LINES = 280, 150
PIPELINE = "stages/test_pipeline.py"
# Modules without a test file of their own name: where they are tested, and why there.
TESTED_IN = {
    "__main__": "commands/test_main.py",  # as commands
    "system.output": "commands/test_table.py",
    "settings.groups": "commands/test_settings.py",
    "timing": "commands/test_main.py",
    "errors": "jobs/test_preflight.py",  # two names; what is said with them
    "deploy.engines": "deploy/test_export.py",  # an export is made once for all that read it
    "deploy.graphs": "deploy/test_export.py",
    "deploy.latency": "deploy/test_export.py",
    "evaluation.parity": "deploy/test_export.py",
    "jobs.start": "commands/test_main.py",  # as commands, and from Python in test_api.py
    "data.lines": "data/test_rows.py",  # as files of rows have them
    "settings.bounds": "settings/test_rules.py",
    "settings.target": "test_hardware.py",
    "settings.task": "settings/test_schema.py",
    "settings.task_rules": "settings/test_rules.py",  # as preflight asks them all
    "settings.fields": "settings/test_schema.py",
    "model.modeling_ofa_bert": "interop/test_interop.py",  # with Transformers, which is installed there alone
    "supernet.cuts": "supernet/test_blocks.py",  # with the blocks that it is of
    **dict.fromkeys([f"stages.{name}" for name in ("context", "inputs", "finetune", "reorder", "distill")], PIPELINE),
    "stages.distill_depth": "stages/test_depth.py",
    "stages.final": "stages/test_depth.py",
    "stages.one_by_one": "stages/test_depth.py",
    "stages.specialise": "stages/test_search.py",
    "stages.shared_weights": "stages/test_scores.py",
    "stages.evaluate": PIPELINE,
    "deploy.smoothing": "deploy/test_quantize.py",
    "stages.export": PIPELINE,
    "stages.augment": "stages/test_learned_rows.py",
    "stages.latency": PIPELINE,
    "stages.layer_times": "stages/test_search.py",
    "system.redact": "tracking/test_address.py",  # no secret is written or said
    "tracking.__main__": "tracking/test_tracker.py",
    "tracking.logged": "tracking/test_pages.py",  # as MLflow shows it
    "tracking.server": "tracking/test_sender.py",
}


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _nodes(node: ast.AST, nested: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if _for_types(child) or (not nested and isinstance(child, ast.FunctionDef)):
            continue
        yield child
        yield from _nodes(child, nested)


def _imported(path: Path, nested: bool) -> set[str]:
    """Modules a file imports, inside functions too if ``nested``; ``from ofa.data import rows`` is ofa.data.rows."""
    found: set[str] = set()
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), nested):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in MODULES or part == "paddle.distributed" else str(node.module) for part in parts}
    return found


FILES = {
    ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [REPO / "main.py", *sorted((REPO / "ofa").rglob("*.py"))]
}
MODULES = set(FILES)
IMPORTS = {name: _imported(path, nested=True) for name, path in FILES.items()}
AT_TOP = {name: _imported(path, nested=False) for name, path in FILES.items()}


def _package(module: str) -> str:
    return module.split(".")[1] if module.startswith("ofa.") else module


def _reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    """Modules that ``start`` imports, directly or through others."""
    found: set[str] = set()
    rest = [start]
    while rest:
        new = imports.get(rest.pop(), set()) - found
        found |= new
        rest += new
    return found


def test_every_package_stands_in_the_table() -> None:
    assert {_package(name) for name in MODULES} == {*MAY_IMPORT, "errors", "ofa"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_follow_the_table(module: str) -> None:
    own = _package(module)
    allowed = {own, "errors", "ofa", *MAY_IMPORT.get(own, "").split()}
    others = {name for name in IMPORTS[module] & MODULES if _package(name) not in allowed}
    assert not others, f"{module} imports {sorted(others)}"


def test_no_module_reaches_itself() -> None:
    circles = [name for name in MODULES if name in _reached(name, IMPORTS)]
    assert not circles


def test_stages_do_not_import_each_other() -> None:
    names = ("context", "inputs", "keys", "pipeline", "runner", "shared_weights", "one_by_one")
    shared = {f"ofa.stages.{name}" for name in names}
    for name in MODULES - shared:
        if name.startswith("ofa.stages."):
            assert not {other for other in IMPORTS[name] if other.startswith("ofa.stages.")} - shared, name


@pytest.mark.parametrize("library", ONE_PLACE)
def test_each_library_has_its_one_place(library: str) -> None:
    users = {name for name, found in IMPORTS.items() if any(f"{module}.".startswith(f"{library}.") for module in found)}
    assert users and users <= ONE_PLACE[library]


@pytest.mark.parametrize("part", WITHOUT_PADDLE)
def test_no_paddle_is_loaded_at_the_top(part: str) -> None:
    modules = [name for name in MODULES if f"{name}.".startswith(f"ofa.{part}.")]
    assert modules
    for name in modules:
        loaded = {found for found in {name, *_reached(name, AT_TOP)} & MODULES if _loads_paddle(found)}
        assert not loaded, f"{name} loads Paddle through {sorted(loaded)}"


def _loads_paddle(module: str) -> bool:
    return any(name.split(".")[0] in PADDLES for name in AT_TOP[module])


def test_files_of_tests_and_studies_stay_small() -> None:
    lines = {
        str(path.relative_to(REPO)): path.read_text(encoding="utf-8").count("\n")
        for folder in ("tests", "experiments")
        for path in (REPO / folder).rglob("*.py")
    }
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_files_and_classes_stay_small(module: str) -> None:
    text = FILES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= MOST_LINES, f"{module}: is it two things?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MOST_CLASS_LINES, f"{module}.{node.name}: {lines} lines"


def test_a_package_s_door_is_words_only() -> None:
    doors = [FILES[name] for name in MODULES if FILES[name].name == "__init__.py" and name != "ofa"]
    assert len(doors) == 13
    for path in doors:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr) and "Start: " in ast.unparse(body[0]), path


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_its_tests(module: str) -> None:
    *packages, name = module.removeprefix("ofa.").split(".")
    own = REPO.joinpath("tests", *packages, f"test_{name}.py")
    elsewhere = TESTED_IN.get(module.removeprefix("ofa."))
    if FILES[module].name == "__init__.py" or module == "main":
        return  # words only; the command of a checkout, which the tests of commands start
    assert own.is_file() or elsewhere, f"{own.relative_to(REPO)} is missing"
    assert not own.is_file() or not elsewhere, f"{module} has its own tests now: take it off the list"
    assert not elsewhere or (REPO / "tests" / elsewhere).is_file()


def test_no_file_of_tests_is_empty() -> None:
    files = sorted((REPO / "tests").rglob("test_*.py"))
    assert [file.name for file in files if "def test_" not in file.read_text()] == []


def test_the_wheel_has_every_package() -> None:
    """setuptools takes the list as it is: a package that is not in it is missing where a wheel was installed."""
    listed = set(tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    assert listed == {name for name, path in FILES.items() if path.name == "__init__.py"} | {"ofa.conf"}


# What stands at the top of the repository, and nothing beside it: a run that was started here with another output_dir
# would be taken along by the next commit.
TOP = {"conf", "experiments", "ofa", "tests", "main.py", "Makefile", "pyproject.toml", "requirements.lock"}
TOP |= {"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff"}
TOP |= {"docs", "mkdocs.yml", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml", "Dockerfile", ".dockerignore"}
MADE = {".bin", ".db", ".lock", ".npz", ".onnx", ".pdiparams", ".pdparams", ".safetensors"}  # by runs


def test_the_repository_holds_nothing_that_a_run_made() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {Path(name) for name in listed.stdout.split("\0") if name}
    assert {path.parts[0] for path in tracked} <= TOP
    assert not {path for path in tracked if path.suffix in MADE} - {Path("requirements.lock")}

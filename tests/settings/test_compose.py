"""Settings: everything under conf/ composes, and keeps the rules."""

from __future__ import annotations

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

"""The model card of a network: its figures, and only such ways to load it as its config.json allows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from helpers.results import network, results, timed

from ofa.results.card import text, write_cards
from ofa.results.record import Recommendation
from ofa.results.reduced import Reduced
from ofa.settings.limits import SearchConfig
from ofa.settings.schema import Config, ModelConfig, TaskConfig

CONFIG = Config(
    task=TaskConfig("sst2", text=["sentence"], labels=["negative", "positive"]), model=ModelConfig("toy", path="none")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "w0.5").mkdir()
    (tmp_path / "w0.5" / "config.json").write_text(json.dumps({"pruned_heads": {}, "auto_map": {}}))
    return tmp_path / "w0.5"


def test_the_figures_of_a_network(folder: Path) -> None:
    found = timed(results(networks=(network(0.5, 0.91, lost=(1.2, 2.8), bytes=2_000_000),)), [5.0])
    found = replace(found, dev_rows=872, rows={"train": {"used": 4000, "left_out": 0}}, target="t4")
    card = text(CONFIG, folder, found.networks[0], found)
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["library_name"] == "transformers" and header["license"] == "other"
    for line in (
        "# sst2: toy, width 0.5",
        "sentence to one of the classes negative, positive.",
        "scored on 872 dev rows; trained on 4,000 rows, cut at 128 tokens.",
        "Scores: accuracy 0.9100, f1 0.8100.",
        "(0.9300): 2.00 (90% interval 1.2 to 2.8, paired bootstrap over the dev rows).",
        "Size: 50M parameters, 500 MACs per row, model.onnx 2MB.",
        "Latency: 5.00 ms per batch (t4, ",
        "That of none, which it was made from; its folder does not say which.",
    ):
        assert line in card, card


@pytest.mark.parametrize(
    ("drops", "said"),
    [
        (
            {"1": 1.13, "16": -0.2, "128": 0.0},
            "2MB, loses at most 1.13 points in a metric, at the worst of batches 1, 16, 128.",
        ),
        ({"32": 0.14}, "2MB, loses at most 0.14 points in a metric."),
        ({}, "2MB, loses at most 0.14 points in a metric."),
    ],
)
def test_what_int8_loses_at_most_is_that_of_the_worst_batch(folder: Path, drops: dict, said: str) -> None:
    small = Reduced("onnxruntime", "int8", 0.91, {}, 0.14, 2_000_000, (), {}, drop_in_batches=drops)
    assert f"INT8 (model.int8.onnx): {said}" in text(CONFIG, folder, network(0.5, 0.91, reduced=(small,)), results())


def test_rows_that_chose_among_networks_and_taught_none_are_not_counted_as_trained_on(folder: Path) -> None:
    found = replace(results(networks=(network(0.5, 0.91),)), rows={"train": {"used": 4000, "left_out": 0}})
    searched = replace(CONFIG, search=SearchConfig(max_macs=1e9, rows=500, unseen=True))
    assert "trained on 3,500 rows" in text(searched, folder, found.networks[0], found)


@pytest.mark.parametrize(
    ("described", "trusted", "plain"),
    [
        ({}, [], ["both"]),
        ({"auto_map": {}}, ["5"], ["4"]),
        ({"auto_map": {}, "layer_intermediate_sizes": [1]}, ["both"], []),
    ],
)
def test_code_is_trusted_only_where_it_has_to_be(folder: Path, described: dict, trusted: list, plain: list) -> None:
    (folder / "config.json").write_text(json.dumps(described))
    card = text(CONFIG, folder, network(0.5, 0.91), results())
    loads = [
        line for line in card.splitlines() if 'Classification.from_pretrained("FOLDER"' in line and "ORT" not in line
    ]
    assert len([line for line in loads if "trust_remote_code=True" in line]) == len(trusted)
    assert len([line for line in loads if "trust_remote_code=True" not in line]) == len(plain)


def test_the_licence_is_the_origin_s(folder: Path, tmp_path: Path) -> None:
    origin = tmp_path / "my-bert"
    origin.mkdir()
    config = replace(CONFIG, model=ModelConfig("toy", path=str(origin)))
    for card in ("# no header", "---\n[1]\n---\n", "---\n: : :\n---\n"):
        (origin / "README.md").write_text(card)
        assert "its folder does not say which" in text(config, folder, network(0.5, 0.91), results())
    (origin / "README.md").write_text("---\nlicense: mit\n---\n# A BERT")
    card = text(config, folder, network(0.5, 0.91), results())
    assert "That of my-bert, which it was made from: mit." in card and "\nlicense: mit\n" in card
    (folder / "README.md").write_text(card)  # of the next network that is made from this one
    again = replace(CONFIG, model=ModelConfig("toy", path=str(folder)))
    assert (
        card.partition("## Licence")[2] == text(again, folder, network(0.5, 0.91), results()).partition("## Licence")[2]
    )
    bare = text(replace(CONFIG, model=ModelConfig("toy")), folder, network(0.5, 0.91), results())
    assert "license" not in bare
    (folder / "README.md").write_text(f"{bare}\n## Contact\n\nAsk me.\n")
    assert text(again, folder, network(0.5, 0.91), results()).endswith("no other model's licence applies.\n")
    (folder / "README.md").write_text(bare.replace("---\n", "---\nlicense: mit\n", 1))  # as somebody has filled it in
    assert "which it was made from: mit." in text(again, folder, network(0.5, 0.91), results())


def test_what_has_learned_nothing_is_called_so(folder: Path) -> None:
    words = "Nothing to recommend: the teacher (0.0000) is no better than always giving the same answer."
    found = replace(results(), learned=False, recommended=Recommendation(words, 0.5))
    assert f"- **{words}**\n" in text(CONFIG, folder, network(0.5, 0.91), found)


def test_the_recommended_network_has_the_latency_that_it_was_chosen_by(folder: Path) -> None:
    found = timed(results(target="cpu"), [4.0, 3.0, 2.0], "measured", where="cpu")
    found = timed(found, [9.0, 8.0, 1.0], "measured", where="cpu", precision="int8", batch_size=1)
    figure = "cpu_int8_b1_s128_measured"
    found = replace(found, recommended=Recommendation("Take width 0.5.", 0.5, "w0.5", 0.5, 1.0, figure))
    said = text(CONFIG, folder, found.networks[2], found)
    assert "Latency: 2.00 ms per batch" in said and "Latency, as it is recommended to run: 1.00 ms per batch" in said
    assert "as it is recommended to run" not in text(CONFIG, folder, found.networks[1], found)


def test_a_folder_that_is_not_here_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = replace(results(), networks=(network(0.5, 0.91), network(1.0, 0.93)))
    write_cards(CONFIG, folder.parent, found)
    assert (folder / "README.md").is_file() and "w1: no model card is written" in caplog.text

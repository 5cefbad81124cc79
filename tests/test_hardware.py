"""The latency estimate: it grows with every size, gives the committed errors, and names what it knows."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, ValidationError

from ofa.errors import UserError
from ofa.hardware import (
    MODELS,
    engines_to_estimate,
    estimate,
    fastest_first,
    known_targets,
    load_target,
    main,
)
from ofa.settings.rules import hardware_problems
from ofa.settings.schema import HardwareConfig
from ofa.supernet.subnet import EncoderShape, SubNet

ROOT = Path(__file__).resolve().parents[1]
RESULTS = json.loads((ROOT / "experiments" / "t4_latency" / "results.json").read_text())
BASE = MODELS["bert_base"]
CALIBRATED = ("t4", "v100")
PROFILES = [
    (target, engine, precision)
    for target in known_targets()
    for engine, profile in load_target(target).engines.items()
    for precision in profile.efficiency
]
SIZES = {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 3, "intermediate_size": 200}
SIZES |= {"num_labels": 2, "batch_size": 2, "seq_length": 24}


def of_sizes(sizes: dict[str, int], *profile: str) -> float:
    shape = {key: value for key, value in sizes.items() if key not in ("batch_size", "seq_length")}
    return estimate(*profile, EncoderShape(**shape), None, sizes["batch_size"], sizes["seq_length"]).ms


@pytest.mark.parametrize("target, engine, precision", PROFILES)
def test_never_faster_when_a_size_grows(target: str, engine: str, precision: str) -> None:
    described = load_target(target)
    for scale in (1, 8):  # bound by launches, then by memory and arithmetic
        sizes = {key: value if key == "num_labels" else value * scale for key, value in SIZES.items()}
        for key, value in sizes.items():
            grown = sorted([*range(value, value + 6), value * 2, value * 7])
            times = [of_sizes(sizes | {key: size}, described, engine, precision) for size in grown]
            assert times == sorted(times), f"{key} from {value}: {times}"


@pytest.mark.parametrize("target, engine, precision", PROFILES)
def test_never_faster_when_one_layer_keeps_more(target: str, engine: str, precision: str) -> None:
    described, full = load_target(target), SubNet.full(BASE)
    for batch_size in (1, 16):
        for kind in ("heads", "neurons"):
            top = getattr(full, kind)[0]
            times = []
            for kept in range(top // 12, top + 1, top // 12):
                layers = (kept, *getattr(full, kind)[1:])
                subnet = replace(full, **{kind: layers})
                times.append(estimate(described, engine, precision, BASE, subnet, batch_size).ms)
            assert times == sorted(times)


def test_one_product_by_hand() -> None:
    """[2048, 768] times [768, 1536] in FP16 on a T4: its arithmetic, its bytes, and part of its launch."""
    narrow = estimate("t4", "tensorrt", "fp16", BASE, SubNet.at(0.5, 1.0, BASE), 16, 128)
    (op, *_) = [op for op in narrow.ops if op.name == "feed-forward in"]
    compute = 1e3 * 2 * 2048 * 768 * 1536 / (65e12 * 0.3818)
    memory = 1e3 * 2 * (2048 * 768 + 768 * 1536 + 2048 * 1536) / (320e9 * 0.6366)
    assert memory < compute and op.bound == "compute"
    assert op.ms == pytest.approx((compute**2 + 8.138e-3**2) ** 0.5)


def test_layers_of_different_size_add_up() -> None:
    wide, narrow = SubNet.full(BASE), SubNet.at(0.5, 1.0, BASE)
    mixed = SubNet(wide.heads[:6] + narrow.heads[6:], wide.neurons[:6] + narrow.neurons[6:])
    wide_ms, narrow_ms, mixed_ms = (
        estimate("t4", "tensorrt", "fp16", BASE, subnet).ms for subnet in (wide, narrow, mixed)
    )
    assert narrow_ms < mixed_ms < wide_ms
    assert mixed_ms == pytest.approx((wide_ms + narrow_ms) / 2)


@pytest.mark.parametrize("name", CALIBRATED)
def test_reproduces_the_committed_error_table(name: str) -> None:
    for row in RESULTS[name]["rows"]:
        shape = EncoderShape(row["layers"], row["hidden"], row["heads"], row["ffn"])
        heads, ffn = row.get("kept_heads", row["heads"]), row.get("kept_ffn", row["ffn"])
        subnet = SubNet((heads,) * row["layers"], (ffn,) * row["layers"])
        profile = (name, row["engine"], row["precision"])
        estimated = estimate(*profile, shape, subnet, row["batch_size"], row["seq_len"]).ms
        assert estimated == pytest.approx(row["estimated_ms"], abs=6e-4), row
        assert estimated / row["published_ms"] - 1 == pytest.approx(row["error"], abs=6e-5), row


def test_claims_come_first_and_are_those_of_the_rows_kept_out() -> None:
    assert next(iter(RESULTS)) == "claims"
    got = {claim["name"]: claim["got"] for claim in RESULTS["claims"]}
    for name in (*CALIBRATED, "a100"):
        held = [abs(row["error"]) for row in RESULTS[name]["rows"] if row["use"] == "holdout"]
        said = next(key for key in got if key.startswith(name.upper()) and "rows kept out" in key)
        assert f"({len(held)} rows)" in said
        assert got[said] == pytest.approx(median(held), abs=1e-4)
        assert got[said.replace("median", "worst")] == max(held)
    for claim in RESULTS["claims"]:
        assert claim["met"] == (claim["got"] <= float(claim["aim"].removeprefix("<= "))), claim


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_target_has_the_fitted_constants_and_says_on_how_many_rows(name: str) -> None:
    target, found = load_target(name), RESULTS[name]
    used = [f"{row['engine']}/{row['precision']}" for row in found["rows"] if row["use"] == "fit"]
    for key, value in found["constants"].items():
        kind, *profile = key.split("/")
        if kind in ("launch_us", "memory_efficiency"):
            assert getattr(target, kind) == value
        elif kind == "dispatch_us":
            assert target.engines[profile[0]].dispatch_us == value
        else:
            engine, precision = profile
            assert target.engines[engine].efficiency[precision] == value
            of_rows = estimate(name, engine, precision, BASE)
            assert of_rows.fitted_rows == used.count("/".join(profile)) > 0
            assert of_rows.evidence == f"fitted on {of_rows.fitted_rows} rows"


def test_the_l4_carries_over_the_t4_and_claims_no_calibration() -> None:
    t4, other = load_target("t4"), load_target("l4")
    assert (other.launch_us, other.memory_efficiency) == (t4.launch_us, t4.memory_efficiency)
    for engine, profile in other.engines.items():
        source = t4.engines[engine]
        assert (profile.fused, profile.dispatch_us) == (source.fused, source.dispatch_us)
        for precision, value in profile.efficiency.items():
            assert value == source.efficiency["fp16" if precision in ("tf32", "bf16") else precision]
            assert estimate("l4", engine, precision, BASE).evidence == "assumed"


def test_nothing_is_estimated_for_the_a100() -> None:
    assert engines_to_estimate(load_target("a100"), None) == []
    with pytest.raises(UserError, match="'a100' has no engine 'tensorrt'; known: none"):
        estimate("a100", "tensorrt", "fp16", BASE)


def test_the_engine_with_the_most_evidence_is_estimated_for_and_its_fastest_precision_comes_first() -> None:
    t4 = load_target("t4")
    assert engines_to_estimate(t4, None) == ["tensorrt"]
    assert engines_to_estimate(t4, ["paddle_tensorrt", "onnxruntime"]) == ["paddle_tensorrt", "onnxruntime"]
    assert engines_to_estimate(load_target("cpu"), None) == ["paddle"]
    assert fastest_first(t4, "tensorrt", ["fp32", "bf16", "fp16"]) == ["fp16", "fp32"]


def test_a_short_text_alone_is_bound_by_launches_and_a_batch_of_long_ones_is_not() -> None:
    small = EncoderShape(6, 384, 12, 1536)
    for engine, precision in (("tensorrt", "fp16"), ("onnxruntime", "fp32")):
        alone = estimate("t4", engine, precision, small, None, 1, 16)
        assert alone.shares["launch"] > 0.9 and alone.ms < 2
        assert estimate("t4", engine, precision, small, None, 32, 384).shares["launch"] < 0.1


def test_width_two_thirds_speedup() -> None:
    lines = RESULTS["width_two_thirds_speedup"]
    seed = next(line for line in lines if (line["engine"], line["batch_size"]) == ("paddle", 16))
    narrow = SubNet.at(2 / 3, 1.0, BASE)
    full_ms, narrow_ms = (estimate("t4", "paddle", "fp32", BASE, kept, 16, 128).ms for kept in (None, narrow))
    assert full_ms / narrow_ms == pytest.approx(seed["estimated"], abs=6e-4)
    assert seed["published"] == 1.59
    # 7% short of it; experiments/t4_latency/README.md says why nothing was bent to reach it
    assert abs(seed["error"]) < 0.08
    assert all(abs(line["error"]) < 0.03 for line in lines if line is not seed)


def test_bounds() -> None:
    shares = estimate("t4", "tensorrt", "fp16", BASE, None, 16, 128).shares
    assert list(shares) == ["compute", "memory", "launch"] and sum(shares.values()) == pytest.approx(1)
    assert shares["compute"] > 0.5
    assert estimate("t4", "torchscript", "fp32", BASE, None, 1, 32).shares["launch"] == 1
    narrow = SubNet.at(0.5, 1.0, BASE)
    times = [estimate("t4", "torchscript", "fp32", BASE, kept, 1, 32).ms for kept in (None, narrow)]
    assert times[0] == times[1]  # the host's floor: a narrower network is not faster


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="target 'h100' is unknown; known: a100, cpu, l4, t4, v100"):
        estimate("h100", "tensorrt", "fp16", BASE)
    with pytest.raises(UserError, match="no engine 'tvm'; known: onnxruntime, onnxruntime_optimized, paddle, paddle_t"):
        estimate("t4", "tvm", "fp16", BASE)
    with pytest.raises(UserError, match="tensorrt on 't4' has no precision 'bf16'; known: fp32, fp16, int8"):
        estimate("t4", "tensorrt", "bf16", BASE)
    with pytest.raises(UserError, match="no engine 'paddle'; known: none"):
        estimate(HardwareConfig(name="mine"), "paddle", "fp32", BASE)


@pytest.mark.parametrize("key", SIZES)
def test_sizes_below_one_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=f"at least 1, found {key}: 0"):
        of_sizes(SIZES | {key: 0}, "t4", "tensorrt", "fp16")


@pytest.mark.parametrize("name", known_targets())
def test_every_target_fits_the_schema_and_leaves_the_device_alone(name: str) -> None:
    composed = OmegaConf.merge(
        OmegaConf.structured(HardwareConfig),
        OmegaConf.load(ROOT / "conf" / "hardware" / f"{name}.yaml"),
        {"device": "cpu", "threads": 2},
    )
    hardware = OmegaConf.to_object(composed)
    assert hardware == replace(load_target(name), device="cpu", threads=2)
    assert hardware.name == name and hardware.description and not hardware_problems(hardware)
    assert (load_target(name).device, load_target(name).devices, load_target(name).threads) == ("auto", None, None)


def test_schema_refuses_unknown_keys_and_wrong_types() -> None:
    schema = OmegaConf.structured(HardwareConfig)
    with pytest.raises(ConfigKeyError):
        OmegaConf.merge(schema, {"engines": {"tensorrt": {"eficiency": {}}}})
    with pytest.raises(ValidationError):
        OmegaConf.merge(schema, {"memory_gb_s": "fast"})


def test_impossible_values_are_named() -> None:
    t4 = load_target("t4")
    t4.device, t4.devices, t4.threads, t4.memory_gb_s, t4.launch_us = "tpu", 0, 0, 0.0, -1.0
    t4.engines["tensorrt"].efficiency["fp32"] = 1.5
    del t4.peak_tops["int8"]
    text = "\n".join(hardware_problems(t4))
    for part in ("device: 'tpu'", "devices: 0", "threads: 0", "memory_gb_s: 0", "launch_us: -1", "fp32: 1.5"):
        assert part in text
    assert "peak_tops has no int8" in text


def test_plan_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    profile = ["--target", "t4", "--engine", "tensorrt", "--precision", "fp16"]
    assert main([*profile, "--widths", "1", "0.75", "0.5", "--batch-size", "16"]) == 0
    header, columns, full, *rest = capsys.readouterr().out.splitlines()
    assert header.startswith("estimated latency on t4, tensorrt, fp16, batch 16, length 128")
    assert header.endswith(f"({estimate('t4', 'tensorrt', 'fp16', BASE).evidence})") and "estimated ms" in columns
    ms = f"{estimate('t4', 'tensorrt', 'fp16', BASE).ms:.2f}"
    assert full.split()[:9] == ["1", "1", "12", "12", "3072", "109.5M", "11.17G", ms, "1.00x"]
    assert [line.split()[3] for line in rest] == ["9", "6"]

    sizes = ["--layers", "6", "--hidden", "320", "--heads", "5", "--neurons", "1280"]
    assert main(["--target", "l4", "--model", "bert_mini", *sizes, "--widths", "0.6"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith("(assumed)") and out.splitlines()[2].split()[2:5] == ["6", "3", "768"]

    assert main([*profile, "--widths", "1", "0.5", "--depths", "1", "0.5", "--batch-size", "1"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["1", "1", "12"], ["0.5", "1", "12"], ["1", "0.5", "6"], ["0.5", "0.5", "6"]]
    assert float(rows[2][8].rstrip("x")) > 1.8 > float(rows[1][8].rstrip("x")), "bound by launches: depth, not width"

    assert main(["--engine", "tvm"]) == 2
    assert "known: onnxruntime, onnxruntime_optimized, paddle" in capsys.readouterr().err
    assert main(["--widths", "0.7"]) == 2
    assert "0.7 of 12 heads" in capsys.readouterr().err
    assert main(["--depths", "0.7"]) == 2
    assert "0.7 of 12 layers" in capsys.readouterr().err


@pytest.mark.process
def test_planning_imports_no_framework() -> None:
    code = "import sys, ofa.hardware; print([m for m in ('paddle', 'paddlenlp', 'hydra', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""The process: which code path of MKL a processor is given, and that a wish of the environment stands."""

import os

import pytest

from ofa.errors import UserError
from ofa.system import machine, process, ranks

AVX512_SERVER = "fma avx2 avx512f avx512cd avx512bw avx512dq avx512vl"


def cpuinfo(name: str, flags: str) -> dict[str, str]:
    return {"model name": name, "flags": flags}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """`prepare` writes to the environment; the tests after this file keep theirs."""
    for key in ("MKL_DEBUG_CPU_TYPE", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.setenv(key, os.environ.get(key, ""))
        monkeypatch.delenv(key)


@pytest.mark.parametrize(
    ("flags", "path", "number"),
    [(AVX512_SERVER, "AVX-512", "7"), ("fma avx2", "AVX2", "5"), ("avx2 avx512f avx512cd", "AVX2", "5")],
)
def test_mkl_on_amd_gets_the_widest_path_the_processor_has(monkeypatch, flags, path, number):
    monkeypatch.setattr(machine, "cpu_facts", lambda: cpuinfo("AMD EPYC 9004", flags))
    assert f"MKL's {path} path on AMD" in process.prepare(1)
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == number


def test_other_processors_choose_for_themselves(monkeypatch):
    monkeypatch.setattr(machine, "cpu_facts", lambda: cpuinfo("Intel(R) Xeon(R)", AVX512_SERVER))
    process.prepare(1)
    assert "MKL_DEBUG_CPU_TYPE" not in os.environ


def test_a_path_the_user_set_stands(monkeypatch):
    monkeypatch.setattr(machine, "cpu_facts", lambda: cpuinfo("AMD EPYC 9004", AVX512_SERVER))
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    assert not [words for words in process.prepare(3) if "MKL" in words]
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "5"
    assert os.environ["MKL_NUM_THREADS"] == "3"


def test_where_nvidias_driver_is_fp32_means_fp32(monkeypatch, tmp_path):
    process.prepare(1)
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    monkeypatch.setattr(process, "NVIDIA_DRIVER", tmp_path)
    assert "FP32 products in FP32, not TF32" in process.prepare(1)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    process.prepare(1)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1"


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5", "²", "x,2"])
def test_a_variable_that_is_no_number_is_named(monkeypatch, value):
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", value)
    with pytest.raises(UserError, match="^PADDLE_LOCAL_SIZE: .* in the environment .*allowed: a whole number from 1$"):
        process.prepare()
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "")
    assert process.number("PADDLE_LOCAL_SIZE", 7) == 7
    monkeypatch.setenv("PADDLE_LOCAL_SIZE", "2,3")
    assert process.number("PADDLE_LOCAL_SIZE", 7) == 2


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"PADDLE_TRAINERS_NUM": "2"},
            "PADDLE_TRAINERS_NUM: 2 in the environment without PADDLE_TRAINER_ID, ",
        ),
        ({"PADDLE_TRAINER_ID": "1"}, "PADDLE_TRAINER_ID: 1 in the environment is not below PADDLE_TRAINERS_NUM, 1"),
        ({"PADDLE_TRAINER_ID": "x"}, "PADDLE_TRAINER_ID: 'x' in the environment is not allowed"),
        ({"PADDLE_TRAINERS_NUM": "0"}, "PADDLE_TRAINERS_NUM: '0' in the environment is not allowed"),
    ],
)
def test_half_of_a_launchers_environment_is_refused(monkeypatch, variables, words):
    for name in ("PADDLE_TRAINERS_NUM", "PADDLE_TRAINER_ID", "PADDLE_CURRENT_ENDPOINT", "PADDLE_TRAINER_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as refused:
        ranks.init("cpu")
    assert str(refused.value).startswith(words)

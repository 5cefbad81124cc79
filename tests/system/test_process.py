"""The process: which code path of MKL a processor is given, and that a wish of the environment stands."""

import os

import pytest

from ofa.system import machine, process

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

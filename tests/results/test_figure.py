"""Names of latency figures."""

from hypothesis import given
from hypothesis import strategies as st

from ofa.results.figure import Latency

UNNAMED = {"measured": "paddle", "estimated": "tensorrt"}
LATENCIES = st.builds(
    Latency,
    where=st.sampled_from(["cpu", "t4", "rtx-4090", "a100-sxm4-40gb"]),
    engine=st.sampled_from(["paddle", "onnxruntime", "tensorrt", "paddle_tensorrt"]),
    precision=st.sampled_from(["fp32", "bf16", "fp16", "int8"]),
    batch_size=st.integers(1, 4096),
    seq_length=st.integers(1, 8192),
    kind=st.sampled_from(["measured", "estimated"]),
    ms=st.floats(1e-3, 1e6),
)


@given(LATENCIES)
def test_a_figure_is_read_back_from_its_name(latency):
    assert Latency.parse(latency.name(UNNAMED), latency.ms, UNNAMED) == latency


def test_the_names_of_figures():
    latency = Latency("cpu", "paddle", "fp32", 16, 128, "measured", 9.5)
    assert latency.name(UNNAMED) == "cpu_fp32_b16_s128_measured"
    assert latency.name({"measured": "onnxruntime"}) == "cpu_paddle_fp32_b16_s128_measured"


def test_what_a_figure_rests_on_in_words():
    measured = Latency("cpu", "onnxruntime", "fp32", 16, 128, "measured", 9.5)
    assert (measured.basis, measured.setting) == ("measured on cpu", "ONNX Runtime fp32, batch 16")
    estimated = Latency("t4", "tensorrt", "fp16", 1, 128, "estimated", 1.0, "fitted on 4 rows")
    assert estimated.basis == "estimated for t4, fitted on 4 rows"

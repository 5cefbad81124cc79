"""What this machine is: its processor and its GPU by name."""

import pytest

from ofa.errors import UserError
from ofa.system import machine, process


def test_the_processor_is_read_once_and_has_a_name():
    assert machine.cpu_name()
    assert machine.cpu_facts() is machine.cpu_facts()


def test_a_gpu_is_named_by_its_number(monkeypatch):
    """What Paddle returns is a Place, in whose text nobody finds the number."""
    selected = []
    monkeypatch.setattr("paddle.device.is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr("paddle.device.cuda.device_count", lambda: 2)
    monkeypatch.setattr("paddle.device.cuda.get_device_name", lambda index: ["Tesla T4", "NVIDIA L4"][index])
    monkeypatch.setattr("paddle.set_device", selected.append)
    assert process.set_device("auto") == "gpu:0"
    monkeypatch.setenv("FLAGS_selected_gpus", "1")
    assert process.set_device("gpu") == "gpu:1"
    assert selected == ["gpu:0", "gpu:1"]
    assert [machine.device_name(name) for name in ("gpu:0", "gpu:1", "cpu")] == ["t4", "l4", "cpu"]


def test_a_gpu_that_is_not_there_is_said_of_what_asked_for_it(monkeypatch):
    """``ofa time --device gpu`` is no setting of a job."""
    monkeypatch.setattr("paddle.device.is_compiled_with_cuda", lambda: False)
    with pytest.raises(UserError, match="^--device: gpu is not there .*; allowed here: cpu, auto$"):
        process.set_device("gpu", "--device")

"""What this machine is: its processor and its GPU by name."""

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

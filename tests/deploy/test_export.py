"""Exported files are the network they came from, and the gate notices when they are not."""

import gc
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from helpers.toys import TOY, noisy
from safetensors.numpy import load_file, save_file

from ofa.data.kinds import KINDS
from ofa.data.tokenizer import plain
from ofa.data.tokens import Encoded
from ofa.deploy.engines import ENGINES as ENGINES_OF_ALL
from ofa.deploy.engines import available, load_engine, runnable
from ofa.deploy.export import export
from ofa.deploy.latency import measure, time_folders
from ofa.errors import UserError
from ofa.evaluation.parity import Parity, compare, require_equal
from ofa.evaluation.scores import predict, predict_splits
from ofa.model import network as models
from ofa.model.folder import Folder, write_folder
from ofa.model.network import forward_of
from ofa.settings.schema import LatencyConfig
from ofa.supernet import elastic
from ofa.supernet.subnet import EncoderShape, SubNet

pytestmark = pytest.mark.job

ENGINES = [(engine, one) for engine, found in available("cpu").items() for one in found if one != "int8"]


@pytest.fixture(scope="module")
def encoded():
    """23 rows of 3 to 17 tokens, with labels."""
    rng = np.random.default_rng(4)
    lengths = rng.integers(3, 18, 23)
    ids = rng.integers(5, TOY.vocab_size, lengths.sum()).astype("int32")
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Encoded(ids, offsets, (lengths // 2).astype("int32"), rng.integers(0, 3, 23), np.zeros(23, dtype=bool))


@pytest.fixture(scope="module", params=[(1.0, 1.0), (0.5, 2 / 3)])
def network(request, tmp_path_factory):
    """A toy network of a width and a depth, and its exported folder."""
    paddle.seed(3)
    toy = noisy(models.build(TOY, dropout=0.0))
    model = elastic.cut(toy, SubNet.at(*request.param, TOY))
    folder = tmp_path_factory.mktemp("export")
    export(model, folder)
    return model, folder


def parity_of(model, exported, encoded, engine, precision="fp32"):
    dev = {"dev": encoded}
    expected, found = (predict_splits(forward, dev, 8) for forward in (forward_of(model), exported))
    return compare(expected, found, dev, ["accuracy"], engine, precision)


@pytest.mark.parametrize(("engine", "precision"), ENGINES)
def test_an_exported_network_is_the_one_it_came_from(network, encoded, engine, precision):
    model, folder = network
    exported = load_engine(folder, engine, precision, threads=2)
    parity = parity_of(model, exported, encoded, engine, precision)
    assert parity.rows == 23
    assert parity.logit_difference < (1e-4 if precision == "fp32" else 0.2)
    require_equal(parity, "w1", kind=KINDS["classes"])


@pytest.mark.parametrize("engine", ["paddle", "onnxruntime"])
def test_a_damaged_export_fails_the_gate(network, encoded, engine, tmp_path):
    """One layer's weights are changed between scoring and exporting."""
    model, _ = network
    damaged = elastic.cut(models.build(TOY, dropout=0.0), elastic.full(model))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    state["bert.encoder.layers.1.linear1.weight"] += 0.05
    damaged.set_state_dict({name: paddle.to_tensor(value) for name, value in state.items()})
    export(damaged, tmp_path)
    exported = load_engine(tmp_path, engine, threads=2)
    parity = parity_of(model, exported, encoded, engine)
    with pytest.raises(UserError, match=rf"w0.5 through {engine} is not the network that was scored: logits differ by"):
        require_equal(parity, "w0.5", kind=KINDS["classes"])


def test_a_converter_that_gives_up_is_an_error_in_words(network, tmp_path, monkeypatch):
    """On a graph it cannot read, as one cut short by a full disk, paddle2onnx ends the process."""
    model, _ = network

    def cut_short(layer, path):
        Path(f"{path}.json").write_text("{")
        Path(f"{path}.pdiparams").write_text("")

    monkeypatch.setattr("paddle.jit.save", cut_short)
    with pytest.raises(UserError, match="paddle2onnx wrote no model.onnx"):
        export(model, tmp_path)


def test_a_score_that_changes_fails_the_gate_and_nan_does_too():
    require_equal(Parity("paddle", "fp32", 1e-6, 0.0, 10), "w1", kind=KINDS["classes"])
    for difference, drift in ((5e-5, 0.1), (1e-3, 0.0), (float("nan"), 0.0)):
        with pytest.raises(UserError, match=r"allowed 0.0001"):
            require_equal(Parity("paddle", "fp32", difference, drift, 10), "w1", kind=KINDS["classes"])
    require_equal(Parity("paddle", "bf16", 0.1, 0.5, 10), "w1", kind=KINDS["classes"])


@pytest.mark.parametrize(("kind", "metrics"), [("score", ["spearman"]), ("classes", ["accuracy"])])
def test_what_a_metric_makes_of_rounding_passes_the_gate(encoded, kind, metrics):
    """Rows that all but score the same swap their ranks, and one between two classes its class, by the last bit."""
    rng = np.random.default_rng(3)
    close = np.repeat(np.float32(rng.normal(size=(1, 1))), len(encoded), axis=0)
    one = close + np.float32(1e-6 * rng.normal(size=close.shape))
    other = 2 * close - one
    if kind == "classes":
        one, other = (np.concatenate([-logits, -close, close * 0 - 9], axis=1) for logits in (one, other))
    parity = compare({"dev": one}, {"dev": other}, {"dev": encoded}, metrics, "paddle", "fp32")
    assert parity.logit_difference < 1e-5 and parity.score_drift > KINDS[kind].fp32_drift
    require_equal(parity, "w1", kind=KINDS[kind])


@pytest.mark.parametrize("file", ["model.onnx", "inference.json"])
def test_a_truncated_file_is_refused_by_name(network, file, tmp_path):
    _, folder = network
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_bytes((folder / file).read_bytes()[:200])
    engine = "onnxruntime" if file == "model.onnx" else "paddle"
    with pytest.raises(UserError, match=f"{engine} cannot load it"):
        load_engine(tmp_path, engine)


def test_a_program_without_its_weights_is_refused_by_name(network, tmp_path):
    """Paddle itself loads it, and answers NaN."""
    _, folder = network
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "inference.pdiparams").unlink()
    with pytest.raises(UserError, match=r"no inference.pdiparams, which paddle reads for fp32"):
        load_engine(tmp_path, "paddle")
    assert ("paddle", "fp32") in runnable(folder, "cpu") and ("paddle", "fp32") not in runnable(tmp_path, "cpu")


def test_unknown_engines_and_precisions_list_what_there_is(network):
    _, folder = network
    with pytest.raises(UserError, match=r"latency.engines: 'tensorrt' is not on this cpu; it has paddle, onnxruntime"):
        load_engine(folder, "tensorrt")
    with pytest.raises(UserError, match=r"latency.precisions: onnxruntime on this cpu has no 'fp16'; it has fp32"):
        load_engine(folder, "onnxruntime", "fp16")


def test_tensorrt_is_given_sizes_the_model_has_and_its_graph_goes_with_the_network(network, tmp_path, monkeypatch):
    """With a stand-in for `paddle.tensorrt`, which CPU builds lack, and the graph itself as the converted one."""
    model, exported = network
    folder = Path(shutil.copytree(exported, tmp_path / "w"))
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    write_folder(Folder(folder, models.shape_of(model), ("a", "b", "c"), subnet=elastic.full(model)), tensors)
    said = {}

    def convert(graph, settings):
        said.update(graph=graph, **settings)
        for ending in (".json", ".pdiparams"):
            Path(settings["save_model_dir"] + ending).write_bytes(Path(graph + ending).read_bytes())

    fake = SimpleNamespace(Input=dict, TensorRTConfig=dict, PrecisionMode=SimpleNamespace(FP16=16, FP32=32))
    monkeypatch.setattr("paddle.tensorrt", SimpleNamespace(**vars(fake), convert=convert), raising=False)
    monkeypatch.setattr("ofa.deploy.engines.available", lambda device: {"tensorrt": ("fp32", "fp16")})
    forward = load_engine(folder, "tensorrt", "fp16", rows=256)
    assert said["graph"] == str(folder / "inference") and said["precision_mode"] == 16
    ids, types = said["inputs"]
    assert (ids["name"], types["name"]) == ("input_ids", "token_type_ids")
    longest = TOY.max_position_embeddings
    assert [data.shape for data in ids["warmup_data"]] == [(1, 1), (16, longest), (256, longest)]
    assert {data.dtype.name for data in ids["warmup_data"] + types["warmup_data"]} == {"int64"}
    tokens = np.random.default_rng(0).integers(5, 50, (2, 7))
    assert forward(tokens, np.zeros_like(tokens)).shape == (2, 3)
    place = Path(said["save_model_dir"]).parent
    assert place.is_dir()
    del forward
    gc.collect()
    assert not place.exists()


@pytest.mark.parametrize(("device", "number"), [("gpu:2", 2), ("gpu", 0)])
def test_onnx_runtime_is_given_the_gpu_that_was_asked_for(network, device, number, tmp_path, monkeypatch):
    model, exported = network
    folder = Path(shutil.copytree(exported, tmp_path / "w"))
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    write_folder(Folder(folder, models.shape_of(model), ("a", "b", "c"), subnet=elastic.full(model)), tensors)
    found = {}
    monkeypatch.setattr("ofa.deploy.engines.run_onnx", lambda path, providers, *_: found.update(providers))
    ENGINES_OF_ALL["onnxruntime"].load(folder, "fp16", device, 1, 1)
    ENGINES_OF_ALL["tensorrt"].load(folder, "int8", device, 1, 128)
    assert found["CUDAExecutionProvider"] == {"device_id": number}
    assert found["TensorrtExecutionProvider"]["device_id"] == number
    longest = TOY.max_position_embeddings
    most = found["TensorrtExecutionProvider"]["trt_profile_max_shapes"]
    assert most == f"input_ids:128x{longest},token_type_ids:128x{longest}"


@pytest.mark.parametrize("engine", ["paddle", "onnxruntime"])
def test_head_size_times_heads_need_not_be_the_hidden_size(engine, tmp_path):
    shape = EncoderShape(2, 40, 5, 30, vocab_size=50, max_position_embeddings=16)
    model = elastic.cut(noisy(models.build(shape, 0.0)), SubNet((3, 1), (7, 30)))
    export(model, tmp_path)
    exported = load_engine(tmp_path, engine)
    for batch, length in ((1, 1), (3, 16), (2, 5)):
        ids = np.random.default_rng(batch).integers(5, 50, (batch, length))
        expected = forward_of(model)(ids, np.zeros_like(ids))
        np.testing.assert_allclose(exported(ids, np.zeros_like(ids)), expected, atol=1e-5)


def test_8_a_saved_network_is_loaded_as_it_was(network, encoded, tmp_path):
    model, _ = network
    tensors = {name: value.numpy() for name, value in model.state_dict().items()}
    cut_to = elastic.full(model)
    write_folder(Folder(tmp_path, models.shape_of(model), ("a", "b", "c"), subnet=cut_to), tensors)
    again, folder = models.load(tmp_path)
    assert folder.subnet == cut_to and folder.labels == ("a", "b", "c")
    assert (predict(forward_of(again), encoded, 8) == predict(forward_of(model), encoded, 8)).all()
    weights = load_file(tmp_path / "model.safetensors")
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    assert weights[name].shape == (cut_to.neurons[0], TOY.hidden_size), "PyTorch's orientation"
    save_file({key: value for key, value in weights.items() if key != name}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="'bert.encoder.layers.0.linear1.weight' is missing"):
        models.load(tmp_path)


def test_networks_are_timed_in_turns():
    order = []
    slow = {1.0: lambda *_: order.append(1.0), 0.5: lambda *_: order.append(0.5)}
    found = measure(slow, batch_size=4, seq_length=6, vocab_size=100, warmup=1, repeats=10)
    timed = order[2:]
    assert all(set(timed[i : i + 2]) == {1.0, 0.5} for i in range(0, 20, 2)), "each round has every network once"
    assert len(set(map(tuple, zip(timed[::2], timed[1::2], strict=True)))) == 2, "in an order shuffled anew"
    timing = found[0.5]
    assert timing.repeats == 10 and 0 < timing.median_ms <= timing.p90_ms <= timing.p99_ms
    assert timing.sequences_per_second == pytest.approx(4000 / timing.median_ms)


def test_folders_are_timed_in_rows_by_name(toy_folder, tmp_path):
    folders = {}
    for name, width in (("w1", 1.0), ("w0.5", 0.5)):
        toy, _ = models.load(toy_folder)
        folders[name] = tmp_path / name
        cut = elastic.cut(toy, SubNet.at(width, 1.0, TOY))
        models.save(cut, folders[name], ("no", "maybe", "yes"), plain(toy_folder / "vocab.txt"))
        export(cut, folders[name])
    settings = LatencyConfig(
        engines=["onnxruntime"], precisions=["fp32", "fp16"], batch_sizes=[2], seq_lengths=[8, 3], repeats=2
    )
    record = time_folders(folders, settings, "cpu", 1)
    assert (record["where"], record["device"], record["threads"]) == ("cpu", "cpu", 1)
    rows = [
        (row["network"], row["engine"], row["precision"], row["batch_size"], row["seq_length"])
        for row in record["timings"]
    ]
    sizes = [(2, length) for length in (8, 3)]
    assert rows == [(name, "onnxruntime", "fp32", *size) for size in sizes for name in folders]  # no fp16 on a CPU
    assert list(record["tokenizer_ms"]) == ["b2_s8"], "three tokens have no room for text"
    assert record["tokenizer_ms"]["b2_s8"] > 0
    assert all(0 < row["median_ms"] <= row["p90_ms"] for row in record["timings"])

"""INT8 graphs: their parts, which of them matter, and what is written by each method."""

from dataclasses import replace

import numpy as np
import onnx
import paddle
import pytest
from helpers.families import library
from helpers.toys import TOY, noisy

from ofa.data.batches import Batch
from ofa.deploy.engines import run_onnx
from ofa.deploy.export import export
from ofa.deploy.quantize import METHODS, Source, most_sensitive, parts_of, write
from ofa.deploy.smoothing import smooth
from ofa.errors import UserError
from ofa.model import network as models
from ofa.supernet import elastic
from ofa.supernet.subnet import SubNet

pytestmark = pytest.mark.job

IN_LAYERS = [f"layer {layer} {part}" for layer in range(3) for part in ("attention", "intermediate", "output")]
PARTS = ["embeddings", *IN_LAYERS, "head"]


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    found = []
    for length in (5, 9, 17):
        ids = rng.integers(5, TOY.vocab_size, (8, length))
        found.append(Batch(ids, np.zeros_like(ids), np.zeros(8), np.arange(8)))
    return found


def outlier(model, layer):
    """One channel of a layer's values is 1000 times as large and counts a thousandth: the function stays the same."""
    attention = model.bert.encoder.layers[layer].self_attn
    for parameter, index, factor in (
        (attention.v_proj.weight, (slice(None), 0), 1000),
        (attention.v_proj.bias, 0, 1000),
        (attention.out_proj.weight, 0, 1e-3),
    ):
        values = parameter.numpy()
        values[index] *= factor
        parameter.set_value(values)
    return model


@pytest.fixture(scope="module")
def source(tmp_path_factory, batches):
    """A toy of three layers, the second of which suffers from INT8."""
    paddle.seed(3)
    folder = tmp_path_factory.mktemp("export")
    export(outlier(noisy(models.build(TOY, dropout=0.0)), 1), folder)
    return Source.prepare(folder / "model.onnx", 3, batches, False, tmp_path_factory.mktemp("work"), 1)


def moved(source, path):
    return float(np.abs(source.logits(path) - source.logits(source.path)).mean())


def test_every_product_with_weights_is_in_one_part(source):
    assert list(source.parts) == PARTS
    assert [len(nodes) for nodes in source.parts.values()] == [3, *[4, 1, 1] * 3, 2]
    assert len({node for nodes in source.parts.values() for node in nodes}) == 23
    with pytest.raises(UserError, match="20 matrix products with weights; 4 layers and a classifier have more than 24"):
        parts_of(onnx.load(source.path), 4)


@pytest.mark.parametrize("name", ["electra-small", "electra-base", "roberta"])
def test_of_every_family_the_parts_are_what_they_are_called(name, batches, tmp_path):
    """An ELECTRA-small's embeddings are projected to the hidden size, by a product before those of layer 0."""
    model = library(name)
    export(model, tmp_path)
    source = Source.prepare(tmp_path / "model.onnx", 3, batches, False, tmp_path, 1)
    graph = onnx.load(source.path).graph
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    products = {
        node.name: sizes[node.input[1]] for node in graph.node if node.op_type == "MatMul" if node.input[1] in sizes
    }
    shapes = {part: [products[node] for node in nodes if node in products] for part, nodes in source.parts.items()}
    hidden, inner = TOY.hidden_size, TOY.intermediate_size
    assert shapes.pop("embeddings") == ([[24, hidden]] if name == "electra-small" else [])
    assert shapes.pop("head") == [[hidden, hidden], [hidden, TOY.num_labels]]
    wanted = {"attention": [[hidden, hidden]] * 4, "intermediate": [[hidden, inner]], "output": [[inner, hidden]]}
    assert shapes == {f"layer {layer} {part}": of for layer in range(3) for part, of in wanted.items()}


def test_embeddings_go_back_last_for_they_are_half_the_file(source):
    assert most_sensitive(source, "dynamic")[-1] == "embeddings"


def test_the_part_that_suffers_is_found_and_in_fp32_it_no_longer_does(source, tmp_path, caplog):
    caplog.set_level("INFO")
    order = most_sensitive(source, "dynamic")
    assert order[0] == "layer 1 attention" and sorted(order) == sorted(PARTS)
    write(source, tmp_path / "all.onnx", "dynamic")
    write(source, tmp_path / "kept.onnx", "dynamic", order[:1])
    assert moved(source, tmp_path / "kept.onnx") < 0.5 * moved(source, tmp_path / "all.onnx")
    assert not caplog.records, "the quantizer logs every node"
    names = {node.name for node in onnx.load(tmp_path / "kept.onnx").graph.node if node.op_type == "MatMul"}
    assert set(source.parts["layer 1 attention"]) <= names and not set(source.parts["layer 1 output"]) & names


def test_an_outlier_that_is_smoothed_costs_little_and_the_function_stays(source, tmp_path):
    smoothed = smooth(source)
    assert moved(source, smoothed.path) < 1e-5, "in FP32 nothing changes"
    for name, one in (("plain", source), ("smooth", smoothed)):
        write(one, tmp_path / f"{name}.onnx", "dynamic")
    assert moved(source, tmp_path / "smooth.onnx") < 0.5 * moved(source, tmp_path / "plain.onnx")
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("plain", "smooth")]
    assert sizes[0] < sizes[1] < 1.1 * sizes[0], "a few values for each product"
    products = [node for node in onnx.load(smoothed.path).graph.node if node.name.endswith(".smooth")]
    assert len(products) == 3 * 4 + 2, "query, key and value share one"


def test_a_channel_that_is_never_used_is_not_scaled_without_limit(batches, tmp_path):
    paddle.seed(3)
    model = noisy(models.build(TOY, dropout=0.0))
    with paddle.no_grad():
        for layer in model.bert.encoder.layers:
            layer.linear2.weight[:5] = 0.0  # no weights, as of padded neurons
            layer.linear1.weight[:, 5:9] = 0.0  # no activations: gelu(0) is 0
            layer.linear1.bias[5:9] = 0.0
    export(model, tmp_path)
    smoothed = smooth(Source.prepare(tmp_path / "model.onnx", 3, batches, False, tmp_path, 1))
    assert moved(replace(smoothed, path=tmp_path / "model.onnx"), smoothed.path) < 1e-5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("width", "depth"), [(1.0, 1.0), (0.5, 2 / 3)])
def test_each_method_writes_a_graph_that_says_about_the_same(method, width, depth, batches, tmp_path):
    paddle.seed(3)
    model = elastic.cut(noisy(models.build(TOY, dropout=0.0)), SubNet.at(width, depth, TOY))
    export(model, tmp_path)
    source = Source.prepare(tmp_path / "model.onnx", round(3 * depth), batches, False, tmp_path, 1)
    write(source, tmp_path / "small.onnx", method)
    spread = float(np.ptp(source.logits(source.path), axis=0).max())
    assert 0 < moved(source, tmp_path / "small.onnx") < 0.1 * spread
    kinds = {node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node}
    expected = {"dynamic": "MatMulInteger", "onnxruntime_fp16": "Cast"}.get(method, "QuantizeLinear")
    assert expected in kinds
    ids = np.full((1, 3), 7)
    assert run_onnx(tmp_path / "small.onnx")(ids, np.zeros_like(ids)).shape == (1, 3), "any batch and length"


def test_tensorrt_s_graph_is_symmetric(source, tmp_path):
    write(source, tmp_path / "qdq.onnx", "tensorrt_int8")
    graph = onnx.load(tmp_path / "qdq.onnx").graph
    points = [one for one in graph.initializer if one.name.endswith("_zero_point")]
    assert points and all(not onnx.numpy_helper.to_array(one).any() for one in points)
    assert {one.data_type for one in points} <= {onnx.TensorProto.INT8, onnx.TensorProto.INT32}

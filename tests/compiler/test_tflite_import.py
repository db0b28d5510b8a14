"""What the .tflite front end makes of a network: ports, names, shapes, boundary conversions."""

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends import load, survey
from tensaw.compiler.frontends.tflite import load_tflite, supported_operators
from tensaw.model import run_graph
from tensaw.networks import TfliteBuilder
from tensaw.networks.random_network import OPERATORS, random_network


def imported(builder: TfliteBuilder) -> ir.Graph:
    graph = load_tflite(builder.finish(), "network.tflite")
    check_graph(graph)
    return graph


def test_ports_carry_the_files_names_and_shapes():
    builder = TfliteBuilder("ports")
    x = builder.input((1, 4, 4, 2), 0.5, 3, name="image")
    builder.output(builder.reshape(x, (1, 32), name="flat"), builder.max_pool2d(x, 2, name="small"))
    graph = imported(builder)
    assert graph.inputs == [ir.Port("image", "image", (1, 4, 4, 2))]
    assert graph.outputs == [ir.Port("flat", "flat", (1, 32)), ir.Port("small", "small", (1, 2, 2, 2))]
    assert (graph.tensors["image"].scale, graph.tensors["image"].zero_point) == (0.5, 3)
    assert [graph.tensors[name].index for name in ("image", "flat")] == [0, 2]


def test_equal_names_are_told_apart():
    builder = TfliteBuilder("names")
    x = builder.input((1, 4), 0.5, 0, name="x")
    builder.pointwise("RELU", builder.pointwise("TANH", x, name="y"), name="y")
    graph = imported(builder)
    assert [op.name for op in graph.ops] == ["y", "y:2"]


def test_same_padding_is_resolved_as_tensorflow_does(rng):
    builder = TfliteBuilder("padding")
    x = builder.input((1, 6, 5, 1), 0.1)
    builder.conv2d(x, rng.integers(-9, 9, (1, 3, 2, 1)), stride=2)
    conv = imported(builder).ops[0]
    assert isinstance(conv, ir.Conv2d)
    assert conv.padding == (0, 0, 1, 1)


def test_residual_network_keeps_order_and_constants(rng):
    builder = TfliteBuilder("residual")
    x = builder.input((1, 4, 4, 3), 0.1, 5)
    y = builder.conv2d(x, rng.integers(-9, 9, (3, 3, 3, 3)), activation="RELU")
    z = builder.add(x, y, out_scale=0.2)
    builder.mul(z, builder.constant(rng.integers(-9, 9, (1, 1, 1, 3)), 0.3), out_scale=0.5)
    graph = imported(builder)
    assert [type(op) for op in graph.ops] == [ir.Conv2d, ir.Elementwise, ir.Elementwise]
    constant = graph.tensors[graph.ops[2].inputs[1]]
    assert constant.data is not None and constant.data.dtype == np.int8


def test_fully_connected_gets_matrices(rng):
    builder = TfliteBuilder("matrix")
    x = builder.input((1, 2, 3, 4), 0.1)
    builder.fully_connected(x, rng.integers(-9, 9, (5, 4)), keep_dims=True, out_scale=0.3)
    graph = imported(builder)
    assert [type(op) for op in graph.ops] == [ir.Reshape, ir.FullyConnected, ir.Reshape]
    assert [graph.tensors[op.output].shape for op in graph.ops] == [(6, 4), (6, 5), (1, 2, 3, 5)]


def test_float_boundary_becomes_float32_ports(rng):
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    builder = TfliteBuilder("float")
    x = builder.input((1, 8), type="FLOAT32", name="sound")
    y = builder.fully_connected(
        builder.quantize(x, 0.05, 3), rng.integers(-99, 99, (4, 8)), weight_scale=0.02, out_scale=0.1, out_zp=-7
    )
    builder.output(builder.dequantize(y, name="score"))
    model = builder.finish()
    graph = load_tflite(model, "network.tflite")
    check_graph(graph)
    source, target = graph.inputs[0], graph.outputs[0]
    assert (source.name, source.dtype, target.name, target.dtype) == ("sound", "float32", "score", "float32")
    assert [type(op) for op in graph.ops] == [ir.FullyConnected]
    stored = rng.integers(-128, 128, (1, 8), dtype=np.int8)
    scale = np.float32(0.05)
    expected = LitertReference(model).run([(stored.astype(np.float32) - 3) * scale])[0]
    result = run_graph(graph, {source.tensor: stored})[target.tensor]
    tensor = graph.tensors[target.tensor]
    assert np.array_equal((result.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale), expected)


@pytest.mark.parametrize("same", [True, False])
def test_uint8_boundary_becomes_uint8_ports(same, rng):
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    builder = TfliteBuilder("uint8")
    x = builder.input((1, 8), 0.05, 131, type="UINT8", name="pixels")
    y = builder.quantize(x, 0.05 if same else 0.07, 3 if same else -9)
    y = builder.pointwise("RELU", y)
    builder.output(builder.quantize(y, 0.05, 100, type="UINT8", name="result"))
    model = builder.finish()
    graph = load_tflite(model, "network.tflite")
    check_graph(graph)
    source, target = graph.inputs[0], graph.outputs[0]
    assert (source.dtype, target.dtype) == ("uint8", "uint8")
    # Equal scales need no table on the NPU: the host's shift by 128 is the conversion.
    assert len(graph.ops) == (2 if same else 3)
    stored = rng.integers(0, 256, (1, 8), dtype=np.uint8)
    expected = LitertReference(model).run([stored])[0]
    result = run_graph(graph, {source.tensor: (stored ^ 0x80).view(np.int8)})[target.tensor]
    assert np.array_equal(result.view(np.uint8) ^ 0x80, expected)


def test_batch_that_may_vary_is_taken_as_one():
    builder = TfliteBuilder("batch")
    builder.pointwise("RELU", builder.input((1, 4), 0.1, signature=(-1, 4)))
    assert imported(builder).inputs[0].shape == (1, 4)


def test_rows_of_a_matrix_are_no_batch(rng):
    pytest.importorskip("ai_edge_litert")
    from tensaw.networks.litert import LitertReference

    builder = TfliteBuilder("rows")
    x = builder.input((23, 20), 0.1, 3)
    y = builder.fully_connected(x, rng.integers(-99, 99, (9, 20)), weight_scale=0.002, out_scale=0.1, out_zp=-4)
    y = builder.add(y, builder.constant(rng.integers(-99, 99, (9,)), 0.1, 2), out_scale=0.2)
    y = builder.concatenation([y, y], 0)
    y = builder.pad(y, [(0, 0), (1, 2)])
    builder.output(builder.softmax(y), builder.reshape(y, (23, 24)))
    model = builder.finish()
    graph = imported(builder)
    values = rng.integers(-128, 128, x.shape, np.int8)
    golden = run_graph(graph, {graph.inputs[0].tensor: values})
    for port, expected in zip(graph.outputs, LitertReference(model).run([values]), strict=True):
        np.testing.assert_array_equal(golden[port.tensor], expected)


def test_every_random_operator_is_supported_and_described():
    supported = supported_operators()
    assert set(OPERATORS) <= set(supported)
    assert all(len(text) > 10 and text.endswith(".") for text in supported.values())


def test_the_same_network_gives_the_same_bytes():
    first, second = (random_network(np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_load_and_survey_choose_by_content(tmp_path):
    builder = TfliteBuilder("content")
    builder.pointwise("RELU", builder.input((1, 4), 0.1), name="y")
    path = tmp_path / "model.bin"
    path.write_bytes(builder.finish())
    assert load(path).name == "model.bin"
    assert [(v.index, v.type, v.name, v.ok) for v in survey(path)] == [(0, "RELU", "y", True)]

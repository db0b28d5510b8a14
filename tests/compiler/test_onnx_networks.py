"""Whole ONNX networks: layouts through several operators, each layer against ONNX Runtime from identical inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.networks.onnx_agreement import compare_layers
from tensaw.networks.onnx_reference import run_golden, run_onnxruntime
from tensaw.networks.onnx_samples import random_network, small_network
from tensaw.networks.onnx_writer import Activation, Form, OnnxWriter

forms = pytest.mark.parametrize("form", ["qdq", "qoperator"])
seeds = pytest.mark.parametrize("seed", range(6), ids=lambda s: f"seed{s}")


@forms
@seeds
@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
def test_random_network(unsigned: bool, seed: int, form: Form) -> None:
    net, inputs = random_network(seed, form, unsigned)
    agreement = compare_layers(net.to_bytes(), inputs)
    assert max(layer.largest for layer in agreement) <= 1
    assert len(agreement) >= 4
    # Averages over fewer values at the border are rounded to the input's scale first.
    exact = [layer for layer in agreement if "AveragePool" not in layer.kind]
    assert sum(layer.differing for layer in exact) <= 0.002 * sum(layer.elements for layer in exact)


@forms
@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
def test_small_network(form: Form, unsigned: bool) -> None:
    """End to end: the Gemm's weights follow the channels-last order of the flattened image."""
    data = small_network(form, unsigned=unsigned).to_bytes()
    inputs = {"image": np.random.default_rng(1).normal(0, 3, (1, 3, 8, 8)).astype(np.float32)}
    golden = run_golden(load_onnx(data, "small.onnx"), inputs)["softmax"]
    reference = run_onnxruntime(data, inputs)["softmax"]
    assert golden.dtype == reference.dtype
    assert np.abs(golden.astype(int) - reference).max() <= 3


def float_model() -> bytes:
    """A float32 residual network, as a training framework exports one."""
    random = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        values = random.normal(0, 1 / np.prod(shape[1:]) ** 0.5, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    constants = [
        weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", 8, 1, 3, 3), weights("w3", 8, 8, 1, 1),
        weights("w4", 10, 8), weights("b4", 10),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], name="c1"),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], group=8, pads=[1, 1, 1, 1], strides=[2, 2], name="c2"),
        helper.make_node("Sigmoid", ["c2"], ["s2"], name="s2"),
        helper.make_node("Mul", ["c2", "s2"], ["m2"], name="m2"),
        helper.make_node("Conv", ["m2", "w3"], ["c3"], name="c3"),
        helper.make_node("Add", ["c3", "m2"], ["a3"], name="a3"),
        helper.make_node("Relu", ["a3"], ["r3"], name="r3"),
        helper.make_node("GlobalAveragePool", ["r3"], ["g"], name="g"),
        helper.make_node("Flatten", ["g"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["l"], transB=1, name="l"),
        helper.make_node("Softmax", ["l"], ["y"], name="y"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 10))
    graph = helper.make_graph(nodes, "residual", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


class Calibration:
    """A few random images, as onnxruntime.quantization reads them."""

    def __init__(self) -> None:
        random = np.random.default_rng(4)
        self._samples = iter([{"x": random.normal(0, 1, (1, 3, 16, 16)).astype(np.float32)} for _ in range(8)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [False, True], ids=["per_tensor", "per_channel"])
@pytest.mark.parametrize("activations", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_network_quantised_by_onnxruntime(form: str, activations: str, per_channel: bool, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    (tmp_path / "float.onnx").write_bytes(float_model())
    quantization.quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "int8.onnx",
        Calibration(),
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType[activations],
        weight_type=quantization.QuantType.QInt8,
        per_channel=per_channel,
        extra_options={"ForceQuantizeNoInputCheck": True},
    )
    data = (tmp_path / "int8.onnx").read_bytes()
    inputs = {"x": np.random.default_rng(7).normal(0, 1, (1, 3, 16, 16)).astype(np.float32)}
    graph = load_onnx(data, "int8.onnx")
    golden = run_golden(graph, inputs)["y"]
    reference = run_onnxruntime(data, inputs)["y"]
    assert golden.dtype == np.float32 and golden.shape == reference.shape
    assert np.abs(golden - reference).max() <= 3 / 256


def test_transposed_input_is_free() -> None:
    """A network converted from channels-last data: its Transpose moves no bytes, and the port permutes nothing."""
    random = np.random.default_rng(2)
    net = OnnxWriter("qdq")
    x = net.input("image", (1, 8, 8, 3), 0.05, 3)
    net.node("Transpose", [x.name], "nchw", perm=[0, 3, 1, 2])
    w = net.weights("w", random.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 0.01)
    y = net.operator("Conv", [Activation("nchw", x.scale, x.zero_point), w], scale=0.3, zero_point=0, name="conv")
    net.node("Transpose", [y.name], "nhwc", perm=[0, 2, 3, 1])
    net.output(Activation("nhwc", y.scale, y.zero_point), (1, 6, 6, 4))
    graph = load_onnx(net.to_bytes(), "nhwc.onnx")
    assert [type(op) for op in graph.ops] == [ir.Conv2d]
    assert graph.inputs[0].permutation is None and graph.outputs[0].permutation is None
    inputs = {"image": random.normal(0, 2, (1, 8, 8, 3)).astype(np.float32)}
    golden, reference = run_golden(graph, inputs)["nhwc"], run_onnxruntime(net.to_bytes(), inputs)["nhwc"]
    assert np.abs(golden.astype(int) - reference).max() <= 1


def test_ports_name_the_files_own_tensors() -> None:
    graph = load_onnx(small_network().to_bytes(), "small.onnx")
    (source,), (result,) = graph.inputs, graph.outputs
    assert (source.name, source.shape, source.dtype, source.permutation) == (
        "image", (1, 3, 8, 8), "float32", (0, 2, 3, 1),
    )  # fmt: skip
    assert (result.name, result.shape, result.dtype, result.permutation) == ("softmax", (1, 5), "int8", None)
    assert graph.tensors[source.tensor].shape == (1, 8, 8, 3)
    assert graph.tensors[source.tensor].scale == pytest.approx(0.05)


def test_shape_arithmetic_is_folded() -> None:
    """PyTorch's x.view(x.size(0), -1): Shape, Gather, Unsqueeze, Concat, Reshape."""
    random = np.random.default_rng(2)
    net = OnnxWriter("qdq")
    x = net.input("image", (1, 2, 3, 3), 0.05, 3)
    net.node("Shape", [x.name], "size")
    net.node("Gather", ["size", net.constant("zero", np.array(0))], "batch")
    net.node("Unsqueeze", ["batch", net.constant("axis", np.array([0]))], "batches")
    net.node("Concat", ["batches", net.constant("rest", np.array([-1]))], "shape", axis=0)
    net.node("Reshape", [x.name, "shape"], "flat")
    w = net.weights("w", random.integers(-127, 128, (4, 18)).astype(np.int8), 0.01)
    y = net.operator("Gemm", [Activation("flat", x.scale, x.zero_point), w], scale=0.1, zero_point=0, transB=1)
    net.output(y, (1, 4))
    graph = load_onnx(net.to_bytes(), "view.onnx")
    inputs = {"image": random.normal(0, 2, (1, 2, 3, 3)).astype(np.float32)}
    golden, reference = run_golden(graph, inputs)[y.name], run_onnxruntime(net.to_bytes(), inputs)[y.name]
    assert np.abs(golden.astype(int) - reference).max() <= 1

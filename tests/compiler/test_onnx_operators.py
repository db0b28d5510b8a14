"""Every ONNX operator against ONNX Runtime: at most one step apart from identical inputs.

ONNX Runtime computes each network twice: as written (QDQ networks in float), and optimised (integer kernels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.check import check_graph
from tensaw.compiler.frontends.onnx import load_onnx
from tensaw.networks.onnx_reference import run_golden, run_onnxruntime
from tensaw.networks.onnx_writer import Activation, Form, OnnxWriter, Weights

SEEDS = range(3)
FORMS: list[tuple[Form, bool]] = [("qdq", False), ("qdq", True), ("qoperator", False), ("qoperator", True)]
forms = pytest.mark.parametrize(("form", "unsigned"), FORMS, ids=lambda v: {True: "uint8", False: "int8"}.get(v, v))
seeds = pytest.mark.parametrize("seed", SEEDS, ids=lambda s: f"seed{s}")


class Bench:
    """A network with one operator in it, and its comparison."""

    def __init__(self, seed: int, form: Form = "qdq", unsigned: bool = False, opset: int = 17) -> None:
        self.random = np.random.default_rng(seed)
        self.net = OnnxWriter(form, unsigned=unsigned, opset=opset)
        self.unsigned = unsigned
        self.inputs: dict[str, np.ndarray] = {}

    def zero_point(self) -> int:
        return int(self.random.integers(-100, 100)) + (128 if self.unsigned else 0)

    def input(
        self, shape: Sequence[int], scale: float = 0.0, zero_point: int | None = None, dtype: str = ""
    ) -> Activation:
        name = f"x{len(self.inputs)}"
        scale = float(np.float32(scale or self.random.uniform(0.02, 0.1)))
        zero_point = self.zero_point() if zero_point is None else zero_point + (128 if self.unsigned else 0)
        x = self.net.input(name, shape, scale, zero_point, dtype=dtype or self.net.dtype.name)
        if dtype == "float32":
            self.inputs[name] = self.random.normal(0, 40 * scale, shape).astype(np.float32)
        else:
            limits = np.iinfo(self.net.dtype)
            self.inputs[name] = self.random.integers(limits.min, limits.max + 1, shape).astype(self.net.dtype)
        return x

    def weights(self, shape: Sequence[int], axis: int, per_channel: bool = True, limit: int = 0) -> Weights:
        # 7 bits for uint8 activations: see run_onnxruntime.
        limit = limit or (63 if self.unsigned else 127)
        integers = self.random.integers(-limit, limit + 1, shape).astype(np.int8)
        scale = self.random.uniform(0.002, 0.01, (shape[axis],) if per_channel else ())
        return self.net.weights("w", integers, scale, axis=axis)

    def bias(self, x: Activation, weights: Weights, channels: int) -> Weights:
        return self.net.bias("b", self.random.integers(-3000, 3000, channels), x, weights)

    def spread(self, x: Activation, weights: Weights, terms: int) -> float:
        """An output scale for which most of the results are in range."""
        deviation = 74 * 73 * x.scale * float(weights.scale.max()) * terms**0.5
        return float(np.float32(deviation * self.random.uniform(2, 3) / 128))

    def check(
        self, y: Activation, shape: Sequence[int], *kinds: type, dtype: str = "", often: float = 0.3, fused: bool = True
    ) -> ir.Graph:
        """Compare; ``often``: how many results may differ; ``fused``: with ONNX Runtime's integer kernels, too."""
        self.net.output(y, shape, dtype=dtype)
        data = self.net.to_bytes()
        graph = load_onnx(data, "network.onnx")
        check_graph(graph)
        if kinds:
            assert tuple(type(op) for op in graph.ops) == kinds
        golden = next(iter(run_golden(graph, self.inputs).values()))
        step = y.scale if dtype == "float32" else 1
        assert golden.std() > 0, "the test is blind: all results are equal"
        for optimise in (False, True)[: 1 + fused]:
            reference = next(iter(run_onnxruntime(data, self.inputs, optimise=optimise).values()))
            assert reference.shape == golden.shape and reference.dtype == golden.dtype
            steps = np.abs(reference.astype(np.float64) - golden.astype(np.float64)) / step
            assert steps.max() < 1.001, f"optimise={optimise}: {steps.max()} steps"
            assert (steps > 0.5).mean() <= often
        return graph


CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 9, 8), (5, 3, 3, 3), {}),
    "padded": ((1, 4, 7, 9), (6, 4, 3, 5), {"pads": [1, 2, 0, 1], "strides": [2, 1]}),
    "dilated": ((1, 2, 12, 11), (3, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "pointwise": ((1, 8, 5, 5), (7, 8, 1, 1), {}),
    "depthwise": ((1, 6, 8, 8), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    "depthwise_x2": ((1, 4, 8, 7), (8, 1, 3, 3), {"group": 4, "strides": [2, 2]}),
    "grouped": ((1, 6, 6, 6), (4, 3, 3, 3), {"group": 2}),
    "same_upper": ((1, 3, 7, 8), (4, 3, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same_lower": ((1, 3, 7, 8), (4, 3, 2, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 3, 7, 8), (4, 3, 3, 3), {"auto_pad": "VALID"}),
    "one_dimension": ((1, 4, 20), (6, 4, 5), {"pads": [2, 1], "strides": [2]}),
}


def conv_shape(x: Sequence[int], w: Sequence[int], attributes: dict[str, Any]) -> tuple[int, ...]:
    rank = len(x) - 2
    strides, dilations = attributes.get("strides", [1] * rank), attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    sizes = []
    for i in range(rank):
        if attributes.get("auto_pad", "").startswith("SAME"):
            sizes.append(-(-x[i + 2] // strides[i]))
        else:
            reach = (w[i + 2] - 1) * dilations[i] + 1
            sizes.append((x[i + 2] + pads[i] + pads[i + rank] - reach) // strides[i] + 1)
    return (1, w[0], *sizes)


@forms
@seeds
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_conv(case: str, seed: int, form: Form, unsigned: bool) -> None:
    x_shape, w_shape, attributes = CONVOLUTIONS[case]
    bench = Bench(seed, form, unsigned)
    x = bench.input(x_shape)
    w = bench.weights(w_shape, 0, per_channel=seed != 1)
    scale = bench.spread(x, w, int(np.prod(w_shape[1:])))
    inputs = [x, w] if seed == 2 else [x, w, bench.bias(x, w, w_shape[0])]
    y = bench.net.operator("Conv", inputs, scale=scale, zero_point=bench.zero_point(), **attributes)
    kind = ir.DepthwiseConv2d if case.startswith("depthwise") else ir.Conv2d
    bench.check(y, conv_shape(x_shape, w_shape, attributes), kind)


@seeds
def test_conv_with_float_bias(seed: int) -> None:
    bench = Bench(seed)
    x = bench.input((1, 3, 6, 6))
    w = bench.weights((4, 3, 3, 3), 0)
    b = bench.net.constant("b", bench.random.normal(size=4).astype(np.float32))
    scale = bench.spread(x, w, 27)
    y = bench.net.operator("Conv", [x, w, b], scale=scale, zero_point=3)
    bench.check(y, (1, 4, 4, 4), ir.Conv2d)


@seeds
def test_conv_with_uint8_weights(seed: int) -> None:
    bench = Bench(seed, "qdq", True)
    x = bench.input((1, 3, 6, 6))
    integers = bench.random.integers(70, 190, (4, 3, 3, 3)).astype(np.uint8)
    w = bench.net.weights("w", integers, 0.01, zero_point=128)
    y = bench.net.operator("Conv", [x, w], scale=bench.spread(x, w, 27), zero_point=128)
    bench.check(y, (1, 4, 4, 4), ir.Conv2d)


@seeds
@pytest.mark.parametrize(("activation", "limits"), [("Relu", None), ("Clip", (0.0, 6.0)), ("Clip", (-1.0, 1.0))])
def test_conv_with_activation(activation: str, limits: tuple[float, float] | None, seed: int) -> None:
    bench = Bench(seed)
    x = bench.input((1, 3, 6, 6), dtype="float32")
    w = bench.weights((4, 3, 3, 3), 0)
    scale = bench.spread(x, w, 27)
    y = bench.net.operator(
        "Conv", [x, w], scale=scale, zero_point=-100, activation=activation, limits=limits, name="conv"
    )
    graph = bench.check(y, (1, 4, 4, 4), ir.Conv2d, dtype="float32")
    assert isinstance(graph.ops[0], ir.Conv2d)
    assert graph.ops[0].requantise.low > -128


@forms
@seeds
@pytest.mark.parametrize("transposed", [False, True], ids=["in_out", "out_in"])
def test_gemm(transposed: bool, seed: int, form: Form, unsigned: bool) -> None:
    bench = Bench(seed, form, unsigned)
    x = bench.input((1, 20))
    w = bench.weights((7, 20) if transposed else (20, 7), 0 if transposed else 1, per_channel=seed != 1)
    inputs = [x, w] if seed == 2 else [x, w, bench.bias(x, w, 7)]
    y = bench.net.operator(
        "Gemm", inputs, scale=bench.spread(x, w, 20), zero_point=bench.zero_point(), transB=int(transposed)
    )
    bench.check(y, (1, 7), ir.FullyConnected)


@seeds
def test_gemm_with_alpha_and_beta(seed: int) -> None:
    bench = Bench(seed)
    x = bench.input((1, 20))
    w = bench.weights((20, 7), 1)
    b = bench.bias(x, w, 7)
    y = bench.net.operator("Gemm", [x, w, b], scale=bench.spread(x, w, 20) / 2, zero_point=5, alpha=0.5, beta=2.0)
    bench.check(y, (1, 7), ir.FullyConnected)


@forms
@seeds
@pytest.mark.parametrize("shape", [(1, 16), (1, 5, 16), (5, 16)], ids=["row", "rows", "matrix"])
def test_matmul(shape: tuple[int, ...], seed: int, form: Form, unsigned: bool) -> None:
    bench = Bench(seed, form, unsigned)
    x = bench.input(shape)
    # ONNX Runtime's QLinearMatMul wants uint8 weights' zero point per tensor; one scale serves both forms.
    w = bench.weights((16, 6), 1, per_channel=form == "qdq")
    y = bench.net.operator("MatMul", [x, w], scale=bench.spread(x, w, 16), zero_point=bench.zero_point())
    bench.check(y, (*shape[:-1], 6))


@seeds
def test_matmul_then_bias(seed: int) -> None:
    """PyTorch's linear layer on a sequence: MatMul and Add with nothing quantised between them."""
    bench = Bench(seed)
    x = bench.input((1, 5, 16))
    # ONNX Runtime fuses this to its MatMulIntegerToFloat, which saturates like its uint8 kernels.
    w = bench.weights((16, 6), 1, limit=63)
    b = bench.net.constant("b", bench.random.normal(size=6).astype(np.float32))
    product = bench.net.node("MatMul", [bench.net.dequantise(x), bench.net.dequantise(w)], "product")
    total = bench.net.node("Add", [b, product], "total")
    y = bench.net.quantise(total, "y", bench.spread(x, w, 16), 3)
    bench.check(y, (1, 5, 6), ir.Reshape, ir.FullyConnected)


@forms
@seeds
@pytest.mark.parametrize("kind", ["Add", "Mul", "Sub"])
@pytest.mark.parametrize(
    "shapes", [((1, 3, 4, 5), (1, 3, 4, 5)), ((1, 3, 4, 5), (1, 3, 1, 1)), ((1, 6), (1, 6))], ids=str
)
def test_elementwise(shapes: tuple, kind: str, seed: int, form: Form, unsigned: bool) -> None:
    if kind == "Sub" and form == "qoperator":
        pytest.skip("ONNX Runtime has no QLinearSub")
    bench = Bench(seed, form, unsigned)
    a, b = bench.input(shapes[0]), bench.input(shapes[1])
    scale = a.scale * b.scale * 60 if kind == "Mul" else (a.scale + b.scale) / 2
    y = bench.net.operator(kind, [a, b], scale=float(np.float32(scale)), zero_point=bench.zero_point())
    bench.check(y, shapes[0], ir.Elementwise)


@seeds
@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("first", [False, True], ids=["constant_second", "constant_first"])
def test_elementwise_with_constant(first: bool, kind: str, seed: int) -> None:
    bench = Bench(seed)
    a = bench.input((1, 3, 4, 5))
    constant = bench.random.integers(-128, 128, (3, 1, 5)).astype(np.int8)
    b = bench.net.weights("c", constant, 0.03, zero_point=7)
    scale = a.scale * 2 if kind == "Mul" else a.scale + 0.02
    y = bench.net.operator(kind, [b, a] if first else [a, b], scale=float(np.float32(scale)), zero_point=-9)
    bench.check(y, (1, 3, 4, 5), ir.Elementwise)


POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]] = {
    "plain": ((1, 3, 8, 6), {"kernel_shape": [2, 2], "strides": [2, 2]}, (1, 3, 4, 3)),
    "overlapping": ((1, 3, 8, 6), {"kernel_shape": [3, 2]}, (1, 3, 6, 5)),
    "padded": ((1, 3, 7, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, (1, 3, 4, 4)),
    "ceil": ((1, 3, 8, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, (1, 3, 4, 4)),
    "ceil_padded": (
        (1, 3, 8, 8),
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
        (1, 3, 5, 5),
    ),
    "same": ((1, 3, 7, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, (1, 3, 4, 4)),
    "one_dimension": ((1, 3, 12), {"kernel_shape": [3], "strides": [3]}, (1, 3, 4)),
}


@forms
@seeds
@pytest.mark.parametrize("include", [0, 1], ids=["exclude_pad", "include_pad"])
@pytest.mark.parametrize("case", POOLS)
def test_average_pool(case: str, include: int, seed: int, form: Form, unsigned: bool) -> None:
    shape, attributes, out = POOLS[case]
    bench = Bench(seed, form, unsigned, opset=19)
    if form == "qoperator" and (len(shape) == 3 or "auto_pad" in attributes or "ceil_mode" in attributes):
        pytest.skip("ONNX Runtime's QLinearAveragePool differs here or has no such form")
    x = bench.input(shape)
    unchanged = seed == 0
    scale = x.scale if unchanged else float(np.float32(x.scale * bench.random.uniform(0.6, 1.4)))
    zero_point = x.zero_point if unchanged else bench.zero_point()
    y = bench.net.operator(
        "AveragePool", [x], scale=scale, zero_point=zero_point, count_include_pad=include, **attributes
    )
    # ONNX Runtime's fused kernel counts positions beyond the padding that ceil_mode adds, against the standard
    # (microsoft/onnxruntime, pull request 29629). Rounding to the input's scale first differs more often.
    bench.check(y, out, often=0.5, fused=not (include and "ceil_mode" in attributes))


@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@seeds
@pytest.mark.parametrize("floats", [False, True], ids=["integers", "qdq"])
@pytest.mark.parametrize("case", POOLS)
def test_max_pool(case: str, floats: bool, seed: int, unsigned: bool) -> None:
    shape, attributes, out = POOLS[case]
    bench = Bench(seed, "qdq", unsigned, opset=19)
    x = bench.input(shape)
    if floats:
        other = seed == 0
        scale = float(np.float32(x.scale * 1.3)) if other else x.scale
        y = bench.net.operator("MaxPool", [x], scale=scale, zero_point=x.zero_point, **attributes)
        bench.check(y, out, ir.Pool2d, *([ir.Lookup] if other else []))
    else:
        bench.net.node("MaxPool", [x.name], "y", **attributes)
        bench.check(Activation("y", x.scale, x.zero_point), out, ir.Pool2d)


@forms
@seeds
@pytest.mark.parametrize("shape", [(1, 5, 7, 6), (1, 5, 9)], ids=["image", "line"])
def test_global_average_pool(shape: tuple[int, ...], seed: int, form: Form, unsigned: bool) -> None:
    bench = Bench(seed, form, unsigned)
    x = bench.input(shape, zero_point=10)
    y = bench.net.operator(
        "GlobalAveragePool", [x], scale=float(np.float32(x.scale / 3)), zero_point=bench.zero_point()
    )
    bench.check(y, (1, 5, *(1 for _ in shape[2:])), ir.Mean)


@seeds
@pytest.mark.parametrize("keep", [0, 1], ids=["drop", "keep"])
@pytest.mark.parametrize("opset", [13, 18])
def test_reduce_mean(opset: int, keep: int, seed: int) -> None:
    bench = Bench(seed, opset=opset)
    x = bench.input((1, 5, 7, 6), zero_point=-10)
    scale = float(np.float32(x.scale / 3))
    if opset < 18:
        y = bench.net.operator("ReduceMean", [x], scale=scale, zero_point=9, axes=[2, 3], keepdims=keep)
    else:
        axes = bench.net.constant("axes", np.array([-1, -2]))
        y = bench.net.operator("ReduceMean", [x, axes], scale=scale, zero_point=9, keepdims=keep)
    bench.check(y, (1, 5, 1, 1) if keep else (1, 5), ir.Mean)


UNARY: dict[str, dict[str, Any]] = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.2}, "HardSigmoid": {"alpha": 0.25}, "HardSwish": {}, "Sigmoid": {}, "Tanh": {},
    "Elu": {"alpha": 0.7}, "Softplus": {}, "Erf": {}, "Abs": {}, "Neg": {}, "Exp": {}, "Gelu": {}, "Sqrt": {},
}  # fmt: skip


@seeds
@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@pytest.mark.parametrize("kind", UNARY)
def test_table(kind: str, unsigned: bool, seed: int) -> None:
    bench = Bench(seed, "qdq", unsigned, opset=20)
    x = bench.input((1, 2, 16, 16), scale=0.02)
    if kind == "Sqrt":
        x = Activation(x.name, x.scale, 0 if unsigned else -128)
    y = bench.net.operator(kind, [x], scale=0.01, zero_point=bench.zero_point(), **UNARY[kind])
    bench.check(y, (1, 2, 16, 16), ir.Lookup)


@seeds
@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
@pytest.mark.parametrize("kind", ["LeakyRelu", "Sigmoid"])
def test_table_in_qoperator_form(kind: str, unsigned: bool, seed: int) -> None:
    bench = Bench(seed, "qoperator", unsigned)
    x = bench.input((1, 2, 16, 16))
    attributes: dict[str, Any] = {"alpha": 0.1} if kind == "LeakyRelu" else {}
    y = bench.net.operator(kind, [x], scale=0.01, zero_point=bench.zero_point(), **attributes)
    bench.check(y, (1, 2, 16, 16), ir.Lookup)


@seeds
def test_hard_swish_from_its_parts(seed: int) -> None:
    """x · clip(x + 3, 0, 6) / 6 in float between one pair of quantisations is one table."""
    bench = Bench(seed)
    net, x = bench.net, bench.input((1, 2, 16, 16))
    real = net.dequantise(x)
    shifted = net.node("Add", [real, net.constant("three", np.float32(3))], "shifted")
    limits = [net.constant("zero", np.float32(0)), net.constant("six", np.float32(6))]
    clipped = net.node("Clip", [shifted, *limits], "clipped")
    product = net.node("Mul", [real, clipped], "product")
    swish = net.node("Div", [product, limits[1]], "swish")
    bench.check(net.quantise(swish, "y", 0.04, -90), (1, 2, 16, 16), ir.Lookup)


@forms
@seeds
@pytest.mark.parametrize(("shape", "axis"), [((1, 10), -1), ((1, 6, 4, 3), 1), ((1, 5, 8), 2)], ids=str)
def test_softmax(shape: tuple[int, ...], axis: int, seed: int, form: Form, unsigned: bool) -> None:
    bench = Bench(seed, form, unsigned)
    x = bench.input(shape, scale=0.05)
    scale = (1 / 256, 1 / 255, 0.003)[seed]
    zero_point = (0 if unsigned else -128) if seed < 2 else (5 if unsigned else -120)
    if form == "qoperator" and seed == 2:
        pytest.skip("ONNX Runtime's QLinearSoftmax ignores other scales")
    y = bench.net.operator("Softmax", [x], scale=scale, zero_point=zero_point, axis=axis)
    bench.check(y, shape, often=0.5)


@forms
@seeds
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(axis: int, seed: int, form: Form, unsigned: bool) -> None:
    bench = Bench(seed, form, unsigned)
    shapes = [[1, 3, 4, 5] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] = 2 + i
    parts = [bench.input(shape) for shape in shapes]
    out = list(shapes[0])
    out[axis] = 9
    y = bench.net.operator("Concat", parts, scale=0.09, zero_point=bench.zero_point(), axis=axis)
    bench.check(y, out, ir.Concat)


@seeds
@pytest.mark.parametrize("shape", [(1, 2, 4, 5), (1, 3, 6), (1, 7)], ids=str)
@pytest.mark.parametrize("opset", [13, 18])
def test_pad(opset: int, shape: tuple[int, ...], seed: int) -> None:
    bench = Bench(seed, opset=opset)
    x = bench.input(shape)
    before = bench.random.integers(0, 3, len(shape)) * (np.arange(len(shape)) > 0)
    after = bench.random.integers(0, 3, len(shape)) * (np.arange(len(shape)) > 0)
    pads = bench.net.constant("pads", np.concatenate([before, after]))
    y = bench.net.operator("Pad", [x, pads], scale=x.scale, zero_point=x.zero_point)
    out = tuple(int(n) for n in np.array(shape) + before + after)
    bench.check(y, out)


@seeds
@pytest.mark.parametrize("kind", ["Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout"])
def test_renaming_costs_nothing(kind: str, seed: int) -> None:
    """Shapes change in the file only; a table behind them keeps the network from being empty."""
    bench = Bench(seed)
    net, x = bench.net, bench.input((1, 6, 1, 1), zero_point=0)
    arguments = {
        "Reshape": [net.constant("shape", np.array([0, -1]))],
        "Squeeze": [net.constant("axes", np.array([2, 3]))],
        "Unsqueeze": [net.constant("axes", np.array([0]))],
    }
    result = net.node(kind, [net.dequantise(x), *arguments.get(kind, [])], "renamed")
    y = net.operator("Tanh", [net.quantise(result, "q", x.scale, x.zero_point)], scale=0.01, zero_point=2)
    out = {"Unsqueeze": (1, 1, 6, 1, 1), "Identity": (1, 6, 1, 1), "Dropout": (1, 6, 1, 1)}.get(kind, (1, 6))
    bench.check(y, out, ir.Lookup)


@seeds
@pytest.mark.parametrize("unsigned", [False, True], ids=["int8", "uint8"])
def test_requantise(unsigned: bool, seed: int) -> None:
    """DequantizeLinear and QuantizeLinear with other parameters: a table; with the same ones: nothing."""
    bench = Bench(seed, "qdq", unsigned)
    x = bench.input((1, 2, 16, 16))
    same = bench.net.operator("Identity", [x], scale=x.scale, zero_point=x.zero_point)
    y = bench.net.operator("Identity", [same], scale=0.07, zero_point=bench.zero_point())
    bench.check(y, (1, 2, 16, 16), ir.Lookup)

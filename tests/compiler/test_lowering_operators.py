"""Operators one by one, in the forms that networks rarely use, on configurations that do not suit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from tensaw.compiler import ir
from tensaw.compiler.pipeline import CompileOptions
from tensaw.spec.config import PRESETS, NpuConfig
from tensaw.spec.isa import Mode, decode

CONFIGS = (
    PRESETS["base"],
    NpuConfig(name="odd", rows=5, columns=7, scratchpad_bytes=8192, weight_bytes=1024, acc_entries=24, requant_lanes=3),
    NpuConfig(name="wide", rows=9, columns=20, scratchpad_bytes=4096, weight_bytes=4096, acc_entries=64, bus_bytes=16),
)


def requantise(rng: np.random.Generator, channels: int = 1, rounding: int = 0) -> ir.Requantise:
    return ir.Requantise(
        rng.integers(1 << 30, 1 << 31, channels),
        rng.integers(-9, -5, channels),
        int(rng.integers(-20, 20)),
        -100,
        120,
        ir.Rounding(rounding),
    )


def network(shapes: Sequence[tuple[int, ...]], ops: Sequence[ir.Op], inputs: int = 1, **data: np.ndarray) -> ir.Graph:
    """Tensors t0, t1... of these shapes, the first ``inputs`` of them inputs, the last the output; ``data``: values of
    constants by tensor name."""
    tensors = {f"t{i}": ir.Tensor(f"t{i}", shape, data=data.get(f"t{i}")) for i, shape in enumerate(shapes)}
    ports = [ir.Port(f"t{i}", f"t{i}", shape) for i, shape in enumerate(shapes)]
    return ir.Graph("test", tensors, list(ops), ports[:inputs], ports[-1:])


def conv(
    rng: np.random.Generator, weights: tuple[int, ...], stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1), padding: tuple[int, int, int, int] = (0, 0, 0, 0), groups: int = 1,
    names: tuple[str, str] = ("t0", "t1"),
) -> ir.Conv2d:  # fmt: skip
    return ir.Conv2d(
        "conv", "CONV_2D", names[:1], names[1], rng.integers(-128, 128, weights, dtype=np.int8),
        rng.integers(-5000, 5000, weights[0], dtype=np.int32), stride, dilation, padding, groups, -7,
        requantise(rng, weights[0]),
    )  # fmt: skip


def depthwise(
    rng: np.random.Generator, weights: tuple[int, ...], stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1), padding: tuple[int, int, int, int] = (0, 0, 0, 0), multiplier: int = 1,
) -> ir.DepthwiseConv2d:  # fmt: skip
    return ir.DepthwiseConv2d(
        "depthwise", "DEPTHWISE_CONV_2D", ("t0",), "t1", rng.integers(-128, 128, weights, dtype=np.int8),
        rng.integers(-5000, 5000, weights[2], dtype=np.int32), stride, dilation, padding, multiplier, 5,
        requantise(rng, weights[2]),
    )  # fmt: skip


def elementwise(rng: np.random.Generator, kind: ir.ElementwiseKind, names: tuple[str, str, str]) -> ir.Elementwise:
    scale = ir.Requantise(rng.integers(1 << 30, 1 << 31, 1), np.array([-19]), 3, -128, 127, ir.Rounding.DOUBLE)
    if kind is ir.ElementwiseKind.MUL:
        scale = requantise(rng)
    multipliers = int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(1 << 30, 1 << 31))
    return ir.Elementwise("join", kind.name, names[:2], names[2], kind, (4, -9), multipliers, (0, -1), scale)


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def config(request) -> NpuConfig:
    return request.param


@pytest.mark.parametrize(
    ("shape", "weights", "settings"),
    [
        ((1, 9, 11, 6), (10, 3, 3, 6), {"dilation": (2, 3), "padding": (2, 3, 2, 3)}),
        ((1, 9, 11, 6), (10, 4, 2, 6), {"stride": (3, 2), "padding": (0, 1, 2, 0)}),
        ((2, 7, 6, 5), (9, 3, 3, 5), {"padding": (1, 1, 1, 1)}),
        ((1, 6, 12, 2), (2, 3, 3, 2), {"padding": (1, 1, 1, 1)}),
        ((1, 6, 6, 12), (6, 3, 3, 4), {"groups": 3}),
        ((1, 6, 6, 34), (51, 1, 1, 2), {"groups": 17}),
        ((1, 5, 5, 8), (60, 2, 2, 4), {"groups": 2}),
        ((1, 3, 3, 200), (5, 3, 3, 200), {}),
    ],
    ids=["dilated", "strided", "batch", "few_channels", "grouped", "many_groups", "large_groups", "deep"],
)
def test_convolutions(shape, weights, settings, config, agree, rng) -> None:
    op = conv(rng, weights, **settings)
    agree(network([shape, output_shape(op, shape, weights[1:3], weights[0])], [op]), config, rng)


@pytest.mark.parametrize(
    ("shape", "kernel", "settings"),
    [
        ((1, 9, 8, 21), (3, 3), {"padding": (1, 1, 1, 1)}),
        ((1, 9, 8, 16), (5, 5), {"stride": (2, 2), "padding": (2, 2, 2, 2)}),
        ((1, 9, 9, 4), (3, 3), {"dilation": (2, 2)}),
        ((1, 9, 9, 24), (3, 2), {"dilation": (3, 1), "stride": (1, 5)}),
        ((1, 6, 15, 5), (2, 5), {"dilation": (1, 3), "padding": (0, 4, 1, 5)}),
        ((1, 6, 17, 9), (1, 4), {"dilation": (1, 6), "stride": (1, 4), "padding": (0, 9, 0, 9)}),
        ((1, 3, 4, 7), (1, 2), {"dilation": (1, 3), "stride": (2, 2), "padding": (0, 0, 0, 2)}),
        ((2, 5, 5, 6), (4, 1), {"padding": (1, 0, 2, 0)}),
        ((1, 7, 7, 6), (3, 3), {"multiplier": 3}),
        ((1, 7, 7, 1), (3, 3), {"multiplier": 40}),
    ],
    ids=[
        "channels",
        "five",
        "dilated",
        "mixed",
        "spread",
        "strided_spread",
        "narrow_spread",
        "batch",
        "multiplier",
        "expansion",
    ],
)
def test_depthwise_convolutions(shape, kernel, settings, config, agree, rng) -> None:
    channels = shape[3] * settings.get("multiplier", 1)
    op = depthwise(rng, (*kernel, channels), **settings)
    agree(network([shape, output_shape(op, shape, kernel, channels)], [op]), config, rng)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_dilated_depthwise_convolution_adds_a_residual_in_phases(stride, config, agree, rng) -> None:
    shape = (1, 6, 13, 9)
    op = depthwise(rng, (3, 3, 9), stride=(1, stride), dilation=(1, 3), padding=(1, 3, 1, 3))
    result = output_shape(op, shape, (3, 3), 9)
    ops = [
        op,
        conv(rng, (9, 1, 1, 9), stride=(1, stride), names=("t0", "t2")),
        elementwise(rng, ir.ElementwiseKind.ADD, ("t1", "t2", "t3")),
    ]
    program = agree(network([shape, result, result, result], ops), config, rng)
    assert "join" in [name for layer in program.layers for name in layer.fused]


@pytest.mark.parametrize(
    ("shape", "kernel", "settings"),
    [
        ((1, 11, 14, 16), (3, 3), {"padding": (0, 0, 1, 1)}),
        ((1, 12, 9, 40), (3, 3), {"padding": (1, 1, 1, 1)}),
        ((1, 9, 13, 64), (3, 3), {"padding": (1, 1, 1, 1)}),
        ((1, 7, 12, 30), (5, 4), {"padding": (2, 2, 2, 2)}),
        ((2, 8, 17, 9), (2, 7), {"padding": (1, 3, 0, 3), "stride": (4, 4)}),
        ((1, 9, 21, 5), (3, 3), {"padding": (1, 3, 1, 3), "dilation": (1, 3)}),
        ((1, 5, 2, 16), (3, 3), {"padding": (1, 1, 1, 1)}),
    ],
    ids=["even", "odd", "far_apart", "large", "four", "dilated", "narrow"],
)
@pytest.mark.parametrize("rows", [4, 7, 16], ids=["one_row", "two_rows", "three_rows"])
@pytest.mark.parametrize("residual", [False, True], ids=["alone", "residual"])
def test_depthwise_convolutions_of_even_stride_take_pixels_in_pairs(
    shape, kernel, settings, rows, residual, agree, rng
) -> None:
    config = PRESETS["base"].replace(rows=rows)
    op = depthwise(rng, (*kernel, shape[3]), **{"stride": (2, 2), **settings})
    result = output_shape(op, shape, kernel, shape[3])
    if residual:
        ops = [dataclasses.replace(op, output="t2"), elementwise(rng, ir.ElementwiseKind.ADD, ("t2", "t1", "t3"))]
        program = agree(network([shape, result, result, result], ops, 2), config, rng)
        assert len(program.layers) == 1
    else:
        program = agree(network([shape, result], [op]), config, rng)
    runs = [command.values for command in map(decode, program.words) if command.word.full_name == "ARRAY.RUN"]
    assert {dict(values)["mode"] for values in runs} == {Mode.PAIRS}


@pytest.mark.parametrize(
    ("kernel", "settings", "joined"),
    [
        ((3, 3), {"padding": (1, 1, 1, 1)}, True),
        ((3, 3), {"padding": (1, 2, 1, 1), "stride": (1, 2)}, False),  # pairs of pixels
        ((3, 3), {"padding": (1, 3, 1, 3), "dilation": (1, 3)}, True),
        ((3, 3), {"padding": (1, 1, 1, 0)}, False),
        ((3, 3), {"padding": (1, 0, 1, 1)}, False),
        ((2, 2), {}, True),  # the third tap has no weight
        ((3, 1), {"stride": (2, 1)}, True),
        ((5, 5), {"padding": (2, 2, 2, 2)}, False),  # two kernel steps in x
    ],
    ids=["same", "pairs", "dilated", "left", "right", "two", "column", "five"],
)
def test_depthwise_rows_share_their_padding(kernel, settings, joined, agree, rng) -> None:
    shape = (1, 6, 11, 16)
    op = depthwise(rng, (*kernel, 16), **settings)
    graph = network([shape, output_shape(op, shape, kernel, 16)], [op])
    program = agree(graph, PRESETS["base"], rng, CompileOptions(transpose=False))
    steps = [command.values for command in map(decode, program.words) if command.word.full_name == "ARRAY.STEP"]
    assert {dict(values)["join"] for values in steps} == {int(joined)}


@pytest.mark.parametrize("options", [CompileOptions(), CompileOptions(keep_tensors=True)], ids=["alone", "kept"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize(
    ("channels", "planes", "size"),
    [(17, 2, 1 << 15), (24, 2, 1 << 15), (32, 2, 1 << 15), (40, 1, 1 << 16), (90, 6, 3 << 15)],
    ids=["17", "24", "32", "40", "90"],
)
def test_pixels_that_would_need_too_much_padding_for_pairs_lie_in_planes(
    channels, planes, size, residual, options, agree, rng
) -> None:
    config, shape = PRESETS["base"].replace(scratchpad_bytes=size), (1, 20, 24, channels)
    first = conv(rng, (channels, 1, 1, channels))
    second = depthwise(rng, (3, 3, channels), stride=(2, 2), padding=(0, 0, 1, 1))
    if residual:
        adding = elementwise(rng, ir.ElementwiseKind.ADD, ("t1", "t0", "t2"))
        second = dataclasses.replace(second, inputs=("t2",), output="t3")
        graph = network([shape, shape, shape, (1, 10, 12, channels)], [first, adding, second])
    else:
        second = dataclasses.replace(second, inputs=("t1",), output="t2")
        graph = network([shape, shape, (1, 10, 12, channels)], [first, second])
    program = agree(graph, config, rng, options)
    runs = [dict(command.values) for command in map(decode, program.words) if command.word.full_name == "ARRAY.RUN"]
    if not residual:
        assert [run["mode"] for run in runs] == [Mode.CONV] * planes + [Mode.PAIRS] * planes


def output_shape(op, shape, kernel, channels) -> tuple[int, ...]:
    """Shape of a convolution's result."""
    top, left, bottom, right = op.padding
    sizes = shape[1] + top + bottom, shape[2] + left + right
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, op.dilation, strict=True)]
    height, width = ((n - r) // s + 1 for n, r, s in zip(sizes, reach, op.stride, strict=True))
    return shape[0], height, width, channels


def test_long_products_stream_through_the_smallest_ring(config, agree, rng) -> None:
    weights = rng.integers(-128, 128, (11, 1500), dtype=np.int8)
    op = ir.FullyConnected("fc", "FULLY_CONNECTED", ("t0",), "t1", weights, np.arange(11, dtype=np.int32), 3,
                           requantise(rng, 1, 1))  # fmt: skip
    program = agree(network([(2, 1500), (2, 11)], [op]), config, rng)
    assert program.layers[0].macs == 2 * 11 * 1500


@pytest.mark.parametrize("kind", list(ir.ElementwiseKind), ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 5, 6, 10), (1, 5, 6, 10)),
        ((1, 5, 6, 10), (1, 1, 1, 10)),
        ((1, 1, 6, 10), (1, 5, 1, 10)),
        ((1, 5, 6, 1), (1, 5, 6, 10)),
        ((1, 5, 6, 10), (1, 5, 1, 1)),
        ((1, 1, 1, 10), (1, 5, 6, 1)),
        ((2, 3, 4, 9), (1, 3, 4, 9)),
        ((2, 3, 4, 9), (2, 1, 1, 9)),
        ((3, 7), (7,)),
        ((1, 3, 4, 7), (4, 7)),
        ((2, 2, 3, 4, 5), (2, 2, 3, 4, 5)),
    ],
    ids=str,
)
def test_broadcasting(kind, a, b, config, agree, rng) -> None:
    op = elementwise(rng, kind, ("t0", "t1", "t2"))
    agree(network([a, b, np.broadcast_shapes(a, b)], [op], 2), config, rng)


@pytest.mark.parametrize("shape", [(1, 1, 1, 12), (1, 1, 1, 1), (1, 4, 4, 12), (12,)], ids=str)
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_constant_operands(shape, first, config, agree, rng) -> None:
    full = (1, 4, 4, 12)
    names = ("t1", "t0", "t2") if first else ("t0", "t1", "t2")
    op = elementwise(rng, ir.ElementwiseKind.SUB, names)
    graph = network([full, shape, full], [op], t1=rng.integers(-128, 128, shape, dtype=np.int8))
    agree(graph, config, rng)


def test_residual_sum_and_table_run_with_the_convolution(config, agree, rng) -> None:
    shape = (1, 6, 6, 12)
    ops = [
        conv(rng, (12, 3, 3, 12), padding=(1, 1, 1, 1)),
        elementwise(rng, ir.ElementwiseKind.SUB, ("t0", "t1", "t2")),
        ir.Lookup("table", "TANH", ("t2",), "t3", rng.integers(-128, 128, 256).astype(np.int8)),
    ]
    program = agree(network([shape] * 4, ops), config, rng)
    assert [layer.fused for layer in program.layers] == [("join", "table")]
    apart = agree(network([shape] * 4, ops), config, rng, CompileOptions(keep_tensors=True))
    assert len(apart.layers) == 3


def test_padding_of_every_axis(config, agree, rng) -> None:
    op = ir.Pad("pad", "PAD", ("t0",), "t1", ((1, 1), (2, 0), (1, 3), (4, 5)), -11)
    agree(network([(2, 3, 4, 6), (4, 5, 8, 15)], [op]), config, rng)
    matrix = ir.Pad("pad", "PAD", ("t0",), "t1", ((1, 2), (3, 1)), 9)
    agree(network([(3, 5), (6, 9)], [matrix]), config, rng)


def test_padding_is_folded_into_the_convolution(config, agree, rng) -> None:
    pad = ir.Pad("pad", "PAD", ("t0",), "t1", ((0, 0), (1, 0), (2, 1), (0, 0)), -7)
    op = conv(rng, (4, 2, 2, 3), names=("t1", "t2"), padding=(0, 0, 1, 0))
    program = agree(network([(1, 5, 5, 3), (1, 6, 8, 3), (1, 6, 7, 4)], [pad, op]), config, rng)
    assert [layer.kind for layer in program.layers] == ["CONV_2D"]


@pytest.mark.parametrize(("rank", "axis"), [(2, 0), (2, 1), (4, 0), (4, 1), (4, 2), (4, 3), (5, 0), (5, 2), (5, 4)])
def test_concatenation_along_every_axis(rank, axis, config, agree, rng) -> None:
    shapes = [[2, 2, 3, 2, 5][-rank:] for _ in range(3)]
    for extra, shape in enumerate(shapes):
        shape[axis] += extra
    total = list(shapes[0])
    total[axis] = sum(shape[axis] for shape in shapes)
    tables = np.stack([np.arange(-128, 128), rng.integers(-128, 128, 256), np.arange(-128, 128)]).astype(np.int8)
    op = ir.Concat("concat", "CONCATENATION", ("t0", "t1", "t2"), "t3", axis, tables)
    agree(network([*map(tuple, shapes), tuple(total)], [op], 3), config, rng)


@pytest.mark.parametrize("kind", list(ir.PoolKind), ids=lambda kind: kind.name)
def test_pools_with_uneven_edges(kind, config, agree, rng) -> None:
    op = ir.Pool2d("pool", "POOL", ("t0",), "t1", kind, (4, 3), (2, 2), (2, 1, 1, 1), -120, 100)
    agree(network([(2, 9, 8, 19), (2, 5, 4, 19)], [op]), config, rng)


def test_mean_with_a_small_multiplier(config, agree, rng) -> None:
    scale = ir.Requantise(np.array([123_456_789]), np.array([-3]), 4, -128, 127, ir.Rounding.DOUBLE)
    op = ir.Mean("mean", "MEAN", ("t0",), "t1", -777, scale)
    agree(network([(1, 6, 7, 18), (1, 18)], [op]), config, rng)


@pytest.mark.parametrize("shape", [(1, 10), (5, 33), (1, 2, 3, 9)], ids=str)
def test_softmax(shape, config, agree, rng) -> None:
    op = ir.Softmax("softmax", "SOFTMAX", ("t0",), "t1", 1717986918, 22, -100)
    agree(network([shape, shape], [op]), config, rng)


def test_reshape_between_images_and_matrices(config, agree, rng) -> None:
    ops = [
        conv(rng, (6, 3, 3, 3), padding=(1, 1, 1, 1)),
        ir.Reshape("flatten", "RESHAPE", ("t1",), "t2"),
        ir.FullyConnected("fc", "FULLY_CONNECTED", ("t2",), "t3", rng.integers(-128, 128, (16, 96), dtype=np.int8),
                          np.zeros(16, np.int32), -2, requantise(rng)),
        ir.Reshape("image", "RESHAPE", ("t3",), "t4"),
    ]  # fmt: skip
    agree(network([(1, 4, 4, 3), (1, 4, 4, 6), (1, 96), (1, 16), (1, 2, 2, 4)], ops), config, rng)


def test_an_output_may_be_an_input(config, agree, rng) -> None:
    op = ir.Reshape("flatten", "RESHAPE", ("t0",), "t1")
    agree(network([(1, 2, 2, 3), (1, 12)], [op]), config, rng)

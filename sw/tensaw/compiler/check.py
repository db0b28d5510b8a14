"""Checks that a :class:`~tensaw.compiler.ir.Graph` keeps the IR's promises; run after a front end and between passes.

A front end refuses bad networks with sentences for the user; what is found here is a bug of tensaw and raises
:class:`GraphError`, which names the operator and the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tensaw.compiler import ir

__all__ = ["GraphError", "check_graph"]

Shape = tuple[int, ...]
_DTYPES = ("int8", "uint8", "float32")


class GraphError(Exception):
    """The IR is inconsistent: a bug of a front end or a compiler pass, not a mistake of the user."""


def check_graph(graph: ir.Graph) -> None:
    """Raise GraphError unless names, order, shapes, ranges and quantisation of the graph are consistent."""
    _check_tensors(graph)
    _check_order(graph)
    for op in graph.ops:
        _check_op(graph, op)
    _check_ports(graph)


def _require(condition: bool | np.bool_, where: str, rule: str) -> None:
    if not condition:
        raise GraphError(f"{where}: {rule}")


def _int8(value: int) -> bool:
    return -128 <= value <= 127


def _check_tensors(graph: ir.Graph) -> None:
    for key, tensor in graph.tensors.items():
        where = f"tensor {key!r}"
        _require(tensor.name == key, where, f"stored under another name than its own, {tensor.name!r}")
        _require(all(size >= 1 for size in tensor.shape), where, f"shape {tensor.shape} has a dimension below 1")
        _require(_int8(tensor.zero_point), where, f"zero point {tensor.zero_point} is not int8")
        _require(math.isfinite(tensor.scale) and tensor.scale >= 0, where, f"scale {tensor.scale} is not a scale")
        if tensor.data is not None:
            _require(tensor.data.dtype == np.int8, where, f"data are {tensor.data.dtype}, not int8")
            _require(tensor.data.shape == tensor.shape, where, f"data have shape {tensor.data.shape}")


def _check_order(graph: ir.Graph) -> None:
    names = [op.name for op in graph.ops]
    _require(len(set(names)) == len(names), graph.name, "two operators have the same name")
    ready = {tensor.name for tensor in graph.tensors.values() if tensor.data is not None}
    ready |= {port.tensor for port in graph.inputs}
    for op in graph.ops:
        where = f"operator {op.name!r}"
        for name in (*op.inputs, op.output):
            _require(name in graph.tensors, where, f"tensor {name!r} does not exist")
        for name in op.inputs:
            _require(name in ready, where, f"reads {name!r} before it is written")
        _require(op.output not in ready, where, f"writes {op.output!r}, which is already defined")
        ready.add(op.output)
    for port in graph.outputs:
        _require(port.tensor in ready, f"output {port.name!r}", f"tensor {port.tensor!r} is never written")


def _check_ports(graph: ir.Graph) -> None:
    for ports, what in ((graph.inputs, "input"), (graph.outputs, "output")):
        _require(len(ports) > 0, graph.name, f"no {what}")
        _require(len({port.name for port in ports}) == len(ports), graph.name, f"two {what}s have the same name")
        for port in ports:
            where = f"{what} {port.name!r}"
            _require(port.tensor in graph.tensors, where, f"tensor {port.tensor!r} does not exist")
            tensor = graph.tensors[port.tensor]
            _require(port.dtype in _DTYPES, where, f"type {port.dtype!r} is none of {_DTYPES}")
            _require(port.dtype != "float32" or tensor.scale > 0, where, "float32 without a scale")
            _require(math.prod(port.shape) == math.prod(tensor.shape), where, f"{port.shape} against {tensor.shape}")
            axes = port.permutation
            _require(axes is None or sorted(axes) == list(range(len(port.shape))), where, f"permutation {axes}")


def _check_op(graph: ir.Graph, op: ir.Op) -> None:
    where = f"operator {op.name!r}"
    inputs = [graph.tensors[name] for name in op.inputs]
    output = graph.tensors[op.output]
    count, shape_of = _RULES[type(op)]
    _require(count is None or len(inputs) == count, where, f"{len(inputs)} inputs")
    shapes = shape_of(where, op, [tensor.shape for tensor in inputs], output.shape)
    _require(output.shape in shapes, where, f"output {output.shape} should be {' or '.join(map(str, shapes))}")
    if isinstance(op, (ir.Conv2d, ir.DepthwiseConv2d, ir.FullyConnected)):
        _check_zero_point(where, inputs[0], op.input_zero_point)
    if isinstance(op, ir.Elementwise):
        for tensor, zero_point in zip(inputs, op.zero_points, strict=True):
            _check_zero_point(where, tensor, zero_point)
    requantise = getattr(op, "requantise", None)
    if requantise is not None:
        _check_requantise(where, requantise, output)


def _check_zero_point(where: str, tensor: ir.Tensor, zero_point: int) -> None:
    _require(_int8(zero_point), where, f"input zero point {zero_point} is not int8")
    known = tensor.scale > 0
    _require(
        not known or tensor.zero_point == zero_point, where, f"zero point {zero_point}, tensor has {tensor.zero_point}"
    )


def _check_requantise(where: str, requantise: ir.Requantise, output: ir.Tensor) -> None:
    multiplier, shift = requantise.multiplier, requantise.shift
    _require(multiplier.shape == shift.shape, where, "multipliers and shifts differ in number")
    _require(multiplier.shape in ((1,), output.shape[-1:]), where, f"{multiplier.shape} multipliers")
    _require(np.all((multiplier >= 0) & (multiplier < 1 << 31)), where, "a multiplier is outside [0, 2**31)")
    _require(np.all((shift >= -31) & (shift <= 30)), where, "a shift is outside [-31, 30]")
    _require(requantise.rounding in list(ir.Rounding), where, f"rounding {requantise.rounding}")
    _check_range(where, requantise.low, requantise.high)
    _require(_int8(requantise.zero_point), where, f"output zero point {requantise.zero_point} is not int8")
    known = output.scale > 0
    _require(
        not known or output.zero_point == requantise.zero_point,
        where,
        f"output zero point {requantise.zero_point}, tensor has {output.zero_point}",
    )


def _check_range(where: str, low: int, high: int) -> None:
    _require(_int8(low) and _int8(high) and low <= high, where, f"clamp [{low}, {high}]")


def _window_sizes(
    where: str, image: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> tuple[int, int]:  # fmt: skip
    _require(len(image) == 4 and image[0] == 1, where, f"input {image} is not (1, height, width, channels)")
    _require(min(*kernel, *stride, *dilation) >= 1, where, f"kernel {kernel}, stride {stride}, dilation {dilation}")
    _require(min(padding) >= 0, where, f"padding {padding}")
    extents = [(taps - 1) * spread + 1 for taps, spread in zip(kernel, dilation, strict=True)]
    spans = [image[1] + padding[0] + padding[2], image[2] + padding[1] + padding[3]]
    _require(all(span >= extent for span, extent in zip(spans, extents, strict=True)), where, "window exceeds image")
    height, width = ((s - e) // step + 1 for s, e, step in zip(spans, extents, stride, strict=True))
    return height, width


def _check_arrays(where: str, op: Any, channels: int) -> None:
    _require(op.weights.dtype == np.int8, where, f"weights are {op.weights.dtype}")
    _require(op.bias.dtype == np.int32 and op.bias.shape == (channels,), where, f"bias {op.bias.dtype} {op.bias.shape}")


def _conv(where: str, op: ir.Conv2d, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(op.weights.ndim == 4, where, f"weights {op.weights.shape}")
    outputs, height, width, depth = op.weights.shape
    sizes = _window_sizes(where, shapes[0], (height, width), op.stride, op.dilation, op.padding)
    _require(op.groups >= 1 and depth * op.groups == shapes[0][3] and outputs % op.groups == 0, where, "groups")
    _check_arrays(where, op, outputs)
    return [(1, *sizes, outputs)]


def _depthwise(where: str, op: ir.DepthwiseConv2d, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(op.weights.ndim == 3, where, f"weights {op.weights.shape}")
    height, width, outputs = op.weights.shape
    sizes = _window_sizes(where, shapes[0], (height, width), op.stride, op.dilation, op.padding)
    _require(outputs == shapes[0][3] * op.multiplier, where, f"{outputs} outputs for multiplier {op.multiplier}")
    _check_arrays(where, op, outputs)
    return [(1, *sizes, outputs)]


def _fully_connected(where: str, op: ir.FullyConnected, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(op.weights.ndim == 2 and len(shapes[0]) == 2, where, "input and weights must be matrices")
    _require(op.weights.shape[1] == shapes[0][1], where, f"{op.weights.shape} weights for input {shapes[0]}")
    _check_arrays(where, op, op.weights.shape[0])
    return [(shapes[0][0], op.weights.shape[0])]


def _elementwise(where: str, op: ir.Elementwise, shapes: list[Shape], _: Shape) -> list[Shape]:
    for multiplier, shift in zip(op.multipliers, op.shifts, strict=True):
        _require(0 <= multiplier < 1 << 31 and -31 <= shift <= 0, where, f"input scale {multiplier}, {shift}")
    try:
        return [np.broadcast_shapes(*shapes)]
    except ValueError:
        raise GraphError(f"{where}: shapes {shapes} do not broadcast") from None


def _pool(where: str, op: ir.Pool2d, shapes: list[Shape], _: Shape) -> list[Shape]:
    _check_range(where, op.low, op.high)
    # Less padding than kernel: every window touches the image.
    kernel = (*op.kernel, *op.kernel)
    _require(all(pad < taps for pad, taps in zip(op.padding, kernel, strict=True)), where, f"padding {op.padding}")
    return [(1, *_window_sizes(where, shapes[0], op.kernel, op.stride, (1, 1), op.padding), shapes[0][3])]


def _mean(where: str, op: ir.Mean, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(len(shapes[0]) == 4 and shapes[0][0] == 1, where, f"input {shapes[0]}")
    return [(1, shapes[0][3]), (1, 1, 1, shapes[0][3])]


def _reshape(where: str, op: ir.Reshape, shapes: list[Shape], output: Shape) -> list[Shape]:
    _require(math.prod(shapes[0]) == math.prod(output), where, f"{shapes[0]} to {output}")
    return [output]


def _pad(where: str, op: ir.Pad, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(len(op.padding) == len(shapes[0]) and min(map(min, op.padding)) >= 0, where, f"padding {op.padding}")
    _require(_int8(op.value), where, f"value {op.value}")
    return [tuple(size + before + after for size, (before, after) in zip(shapes[0], op.padding, strict=True))]


def _concat(where: str, op: ir.Concat, shapes: list[Shape], output: Shape) -> list[Shape]:
    _require(len(shapes) > 0 and op.tables.shape == (len(shapes), 256), where, f"tables {op.tables.shape}")
    _require(op.tables.dtype == np.int8, where, f"tables are {op.tables.dtype}")
    _require(0 <= op.axis < len(output), where, f"axis {op.axis}")
    rests = {shape[: op.axis] + shape[op.axis + 1 :] for shape in shapes}
    _require(len(rests) == 1 and len({len(shape) for shape in shapes}) == 1, where, f"shapes {shapes}")
    total = sum(shape[op.axis] for shape in shapes)
    return [(*shapes[0][: op.axis], total, *shapes[0][op.axis + 1 :])]


def _softmax(where: str, op: ir.Softmax, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(0 <= op.multiplier < 1 << 31 and 0 <= op.shift <= 31, where, f"scale {op.multiplier}, {op.shift}")
    _require(op.diff_min <= 0, where, f"diff_min {op.diff_min}")
    _require(len(shapes[0]) >= 1, where, "a scalar")
    return [shapes[0]]


def _lookup(where: str, op: ir.Lookup, shapes: list[Shape], _: Shape) -> list[Shape]:
    _require(op.table.shape == (256,) and op.table.dtype == np.int8, where, f"table {op.table.dtype} {op.table.shape}")
    return [shapes[0]]


# Number of inputs (None: any), and the function that checks the fields and returns the possible output shapes.
_RULES: dict[type, tuple[int | None, Callable[..., list[Shape]]]] = {
    ir.Conv2d: (1, _conv),
    ir.DepthwiseConv2d: (1, _depthwise),
    ir.FullyConnected: (1, _fully_connected),
    ir.Elementwise: (2, _elementwise),
    ir.Pool2d: (1, _pool),
    ir.Mean: (1, _mean),
    ir.Reshape: (1, _reshape),
    ir.Pad: (1, _pad),
    ir.Concat: (None, _concat),
    ir.Softmax: (1, _softmax),
    ir.Lookup: (1, _lookup),
}

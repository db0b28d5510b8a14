"""Arithmetic between two tensors, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_layout import Layout
from tensaw.compiler.frontends.onnx_matrix import requantise
from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_shape import arrange, ir_dimensions
from tensaw.compiler.frontends.onnx_values import (
    Constant,
    Pending,
    QuantisedConstant,
    Real,
    Target,
    Value,
    View,
    quantise_table,
)
from tensaw.compiler.quantise import add_scales, softmax_scaling

__all__: list[str] = []

Function = Callable[[npt.ArrayLike, npt.ArrayLike], npt.NDArray]


@dataclass(frozen=True)
class _Operand:
    """One side: an IR tensor in the output's axis order (ones in front), its scale and zero point."""

    tensor: str
    scale: float
    zero_point: int


def _binary(call: Call, function: Function, operation: ir.ElementwiseKind | None) -> Value:
    """``function`` of both inputs: folded, or one table, or a bias, or the IR's elementwise operator."""
    if len(call.inputs) != 2:
        raise call.wrong(f"has {len(call.inputs)} inputs, and it needs 2")
    first, second = call.value(0), call.value(1)
    numbers = [_numbers(value) for value in (first, second)]
    if numbers[0] is not None and numbers[1] is not None:
        if numbers[0].size * numbers[1].size > 2**20:
            raise call.unsupported(
                "computes a large constant", "fold constants before quantising, for example with onnxsim"
            )
        return Constant(np.asarray(function(numbers[0], numbers[1])))
    for side, (value, other) in enumerate(((first, numbers[1]), (second, numbers[0]))):
        if isinstance(value, Pending) and other is not None:
            return _bias(call, value, other, operation, side)
        if isinstance(value, Real) and other is not None and other.size == 1:
            _check_rank(call, value, other)
            scalar = np.float32(other.reshape(-1)[0])
            ordered = (lambda x, s=scalar: function(x, s)) if side == 0 else (lambda x, s=scalar: function(s, x))
            return value.mapped(ordered, call.label, call.node.op_type)
    if isinstance(first, Real) and isinstance(second, Real) and first.view == second.view:
        # Two functions of the same tensor, such as x * sigmoid(x).
        return first.mapped(lambda x: function(x, second.table), call.label, call.node.op_type)
    if operation is None:
        raise call.unsupported(
            "divides two tensors, and only a constant divisor is supported", "multiply by a constant"
        )
    return _elementwise(call, first, second, operation)


def _numbers(value: Value) -> npt.NDArray | None:
    if isinstance(value, QuantisedConstant):
        return value.real()
    return value.array if isinstance(value, Constant) else None


def _check_rank(call: Call, value: Real, other: npt.NDArray) -> None:
    if other.ndim > len(value.view.shape):
        raise call.unsupported(
            "adds dimensions to a tensor by broadcasting a constant",
            "give the constant no more dimensions than the tensor",
        )


def _bias(call: Call, value: Pending, constant: npt.NDArray, operation: ir.ElementwiseKind | None, side: int) -> Value:
    """A constant per output channel, added to a product that is not quantised yet (MatMul, then Add)."""
    shape = value.view.shape
    axis = 1 if len(value.ir_shape) == 4 and len(shape) > 2 else len(shape) - 1
    channels = value.ir_shape[-1]
    fits = constant.size == 1 or (
        constant.size == channels == shape[axis]
        and constant.ndim <= len(shape)
        and constant.shape[axis - len(shape)] == channels
    )
    adds = operation is ir.ElementwiseKind.ADD or (operation is ir.ElementwiseKind.SUB and side == 0)
    if value.add_bias is None or not fits or not adds or constant.dtype.kind != "f":
        raise call.unquantised(side, value)
    biased = value.add_bias(constant.ravel() if operation is ir.ElementwiseKind.ADD else -constant.ravel())
    return replace(biased, view=value.view)


def _elementwise(call: Call, first: Value, second: Value, operation: ir.ElementwiseKind) -> Value:
    """Two tensors of matching layout, or one and a quantised constant; NumPy broadcasting."""
    for value in (first, second):
        if isinstance(value, Constant):
            raise call.unsupported(
                "combines a tensor with a float constant of more than one value, and both sides must be quantised",
                "quantise the constant too, as onnxruntime.quantization does",
            )
    reals = [None if isinstance(v, QuantisedConstant) else call.real(i) for i, v in enumerate((first, second))]
    shapes = [
        value.shape if isinstance(value, QuantisedConstant) else call.real(i).view.shape
        for i, value in enumerate((first, second))
    ]
    try:
        shape = tuple(int(size) for size in np.broadcast_shapes(*shapes))
    except ValueError:
        raise call.wrong(f"combines shapes {list(shapes[0])} and {list(shapes[1])}, which do not broadcast") from None
    guide = max((real for real in reals if real is not None), key=lambda real: (len(real.view.shape), real.view.size))
    order = guide.view.layout.axes(guide.view.shape)
    if all(real is not None and real.view.shape == shape for real in reals) and order is None:
        sides = [real for real in reals if real is not None]
        return _same_order(call, sides[0], sides[1], operation)
    if order is None or len(guide.view.shape) != len(shape):
        raise call.unsupported(
            "combines tensors that a Reshape or Transpose before it has left in different orders, and the NPU moves "
            "no bytes",
            "remove the reordering, or apply it to both",
        )
    operands = []
    for real, value, own in zip(reals, (first, second), shapes, strict=True):
        full = (1,) * (len(shape) - len(own)) + tuple(own)
        if real is None:
            operands.append(_constant(call, value, full, order))
            continue
        tensor = arrange(call, real.view, full, order)
        operands.append(_Operand(tensor, real.scale, real.zero_point))
    view = View("", shape, Layout.of(shape, order))
    return _emit(call, operands[0], operands[1], operation, view, ir_dimensions(call, shape, order))


def _same_order(call: Call, first: Real, second: Real, operation: ir.ElementwiseKind) -> Value:
    """Two tensors of the same shape whose elements lie in the same, unusual order (flattened images)."""
    if not first.view.layout.same_as(second.view.layout):
        raise call.unsupported(
            "combines tensors that a Reshape or Transpose before it has left in different orders, and the NPU moves "
            "no bytes",
            "remove the reordering, or apply it to both",
        )
    shape = (1, first.view.size)
    sides = [_Operand(call.builder.reshaped(r.view.tensor, shape), r.scale, r.zero_point) for r in (first, second)]
    return _emit(call, sides[0], sides[1], operation, replace(first.view, tensor=""), shape)


def _constant(call: Call, value: Value, shape: tuple[int, ...], order: tuple[int, ...]) -> _Operand:
    """A quantised constant as an IR tensor in the axis order of the other side."""
    if not isinstance(value, QuantisedConstant) or value.axis is not None or value.integers.dtype == np.int32:
        raise call.unsupported(
            "combines a tensor with a constant that is not int8 or uint8 with one scale",
            "quantise the constant per tensor",
        )
    offset = 128 if value.integers.dtype == np.uint8 else 0
    data = (value.integers.astype(np.int16) - offset).astype(np.int8).reshape(shape).transpose(order)
    dimensions = ir_dimensions(call, shape, order)
    scale, zero_point = float(value.scale[0]), int(value.zero_point[0]) - offset
    data = np.ascontiguousarray(data.reshape(dimensions))
    name = call.builder.tensor(f"{call.label}_constant", dimensions, scale, zero_point, data)
    return _Operand(name, scale, zero_point)


def _emit(
    call: Call, a: _Operand, b: _Operand, operation: ir.ElementwiseKind, view: View, ir_shape: tuple[int, ...]
) -> Value:
    def emit(target: Target) -> None:
        if operation is ir.ElementwiseKind.MUL:
            # Zero points are at most 255 away.
            real, limit = a.scale * b.scale / target.scale, 255 * 255
            multipliers, shifts = (0, 0), (0, 0)
        else:
            scales = add_scales(a.scale, b.scale, target.scale)
            real, limit = scales.real, 1 << 29
            multipliers, shifts = scales.multipliers, scales.shifts
        parameters = requantise(call, [real], np.array([limit]), target)
        name, inputs = call.builder.op_name(call.label), (a.tensor, b.tensor)
        zero_points = (a.zero_point, b.zero_point)
        call.builder.add(
            ir.Elementwise(
                name, call.node.op_type, inputs, target.tensor, operation, zero_points, multipliers, shifts, parameters
            )
        )

    return Pending(str(call.node), view, ir_shape, emit)


@operator("Add")
def add(call: Call) -> Value:
    """Two tensors (broadcasting), a tensor and a quantised constant; a float scalar makes a table, a bias is folded."""
    return _binary(call, np.add, ir.ElementwiseKind.ADD)


@operator("Sub")
def subtract(call: Call) -> Value:
    """Two tensors (broadcasting), a tensor and a quantised constant; a float scalar makes a table."""
    return _binary(call, np.subtract, ir.ElementwiseKind.SUB)


@operator("Mul")
def multiply(call: Call) -> Value:
    """Two tensors (broadcasting), a tensor and a quantised constant; a float scalar makes a table."""
    return _binary(call, np.multiply, ir.ElementwiseKind.MUL)


@operator("Div")
def divide(call: Call) -> Value:
    """By a constant scalar only; a table."""
    return _binary(call, np.divide, None)


@operator("Softmax")
def softmax(call: Call) -> Value:
    """Over the channels or the last axis, in LiteRT's fixed-point arithmetic; output scale above 1/512."""
    real = call.real(0)
    shape = real.view.shape
    (axis,) = call.axes((call.attribute("axis", -1 if call.opset >= 13 else 1),), len(shape))
    # Before opset 13 the softmax ran over all dimensions from ``axis`` on.
    depth = shape[axis] if call.opset >= 13 else math.prod(shape[axis:])
    rows = real.view.size // depth
    order = real.view.layout.axes(shape)
    if rows == 1:
        ir_shape, view = (1, depth), replace(real.view, tensor="")
    elif order is not None and call.opset >= 13 and order[-1] == axis:
        ir_shape, view = ir_dimensions(call, shape, order), View("", shape, Layout.of(shape, order))
    else:
        raise call.unsupported(
            f"runs over axis {axis} of a tensor of shape {list(shape)}, and it must be the channels (axis 1 of an "
            f"image) or "
            "the last axis of a matrix",
            "move the softmax to the channels, or compute it on the host",
        )
    tensor = call.builder.reshaped(real.view.tensor, ir_shape)

    def emit(target: Target) -> None:
        _emit_softmax(call, tensor, real.scale, ir_shape, target)

    return Pending(str(call.node), view, ir_shape, emit)


def _emit_softmax(call: Call, tensor: str, scale: float, ir_shape: tuple[int, ...], target: Target) -> None:
    """The IR's softmax gives steps of 1/256 from -128; another output scale follows by table."""
    builder = call.builder
    if target.scale <= 1 / 512:
        raise call.unsupported(
            f"has the output scale {target.scale:g}, and softmax is computed in steps of 1/256, so that a scale of "
            f"1/512 or "
            "less would show its rounding",
            "quantise the softmax's output with scale 1/256 and zero point -128 (uint8: 0)",
        )
    step = 1 / 256
    table = quantise_table((np.arange(256) * step), target.scale, target.zero_point)
    table = np.clip(table, target.low, target.high).astype(np.int8)
    direct = np.array_equal(table, np.arange(-128, 128))
    output = target.tensor if direct else builder.tensor(f"{target.tensor}_softmax", ir_shape, step, -128)
    name = builder.op_name(call.label)
    builder.add(ir.Softmax(name, call.node.op_type, (tensor,), output, *softmax_scaling(1.0, scale)))
    if not direct:
        name = builder.op_name(target.tensor)
        builder.add(ir.Lookup(name, call.node.op_type, (output,), target.tensor, table))

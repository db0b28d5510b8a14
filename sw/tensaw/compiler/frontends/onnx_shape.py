"""Operators that move or rename values: reshapes, transposes, padding, concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_constants import concat_constants
from tensaw.compiler.frontends.onnx_layout import Layout
from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_values import (
    LEVELS,
    Activation,
    Constant,
    FloatInput,
    Integers,
    Pending,
    QuantisedConstant,
    Real,
    Target,
    Value,
    View,
    quantise_table,
    shape_of,
)

__all__ = ["arrange", "ir_dimensions"]


def ir_dimensions(call: Call, shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """IR shape of an ONNX tensor of ``shape`` stored in ``order``: a matrix, or four dimensions."""
    dims = [int(shape[axis]) for axis in order]
    if len(dims) <= 2:
        return tuple([1] * (2 - len(dims)) + dims)
    if len(dims) == 3:
        return dims[0], 1, dims[1], dims[2]
    while len(dims) > 4 and dims[0] == 1:
        del dims[0]
    if len(dims) > 4:
        raise call.unsupported(
            f"works on a tensor of shape {list(shape)}, and tensors have at most 4 dimensions",
            "join dimensions with a Reshape before it",
        )
    return tuple(dims)


def ir_axis(shape: Sequence[int], order: Sequence[int], axis: int) -> int:
    """Position of ONNX ``axis`` in :func:`ir_dimensions`."""
    place = list(order).index(axis)
    match len(shape):
        case 1:
            return 1
        case 3:
            return (0, 2, 3)[place]
        case rank if rank > 4:
            return place - (rank - 4)
    return place


def arrange(call: Call, view: View, shape: Sequence[int], order: Sequence[int]) -> str:
    """The IR tensor of ``view`` seen as ONNX ``shape`` in axis ``order``; refused where its bytes lie otherwise."""
    if not view.layout.same_as(Layout.of(shape, order)):
        raise call.unsupported(
            "combines tensors that a Reshape or Transpose before it has left in different orders, and the NPU moves "
            "no bytes",
            "remove the reordering, or apply it to both",
        )
    return call.builder.reshaped(view.tensor, ir_dimensions(call, shape, order))


def _with_shape(call: Call, value: Value, shape: Sequence[int]) -> Value:
    """``value`` under another shape of the same size: no bytes move."""
    shape = tuple(int(size) for size in shape)
    if isinstance(value, Constant):
        return Constant(value.array.reshape(shape))
    if isinstance(value, QuantisedConstant):
        if value.axis is None:
            return replace(value, integers=value.integers.reshape(shape))
        raise call.unsupported("reshapes weights that have a scale per channel", "fold the Reshape before quantising")
    return _with_view(value, replace(value.view, shape=shape))


def _with_view(value: Activation, view: View) -> Activation:
    return replace(value, view=view)


@operator("Identity", "Dropout")
def identity(call: Call) -> Value:
    """Costs nothing. Dropout passes everything at inference."""
    return call.value(0)


@operator("Reshape")
def reshape(call: Call) -> Value:
    """Constant shape, with 0 and -1 as ONNX defines them. Costs nothing; the layer after it follows the order."""
    value = call.value(0)
    wanted = call.integers("shape", 1)
    if wanted is None:
        raise call.wrong("has no shape")
    source = shape_of(value)
    if not call.attribute("allowzero", 0):
        if any(size == 0 and i >= len(source) for i, size in enumerate(wanted)):
            raise call.wrong(f"reshapes {list(source)} to {list(wanted)}")
        wanted = tuple(source[i] if size == 0 else size for i, size in enumerate(wanted))
    total = math.prod(source)
    known = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) > 1 or any(size < -1 for size in wanted) or (-1 in wanted and (known < 1 or total % known)):
        raise call.wrong(f"reshapes {list(source)} to {list(wanted)}")
    shape = tuple(total // known if size == -1 else size for size in wanted)
    if math.prod(shape) != total:
        raise call.wrong(f"reshapes {list(source)} to {list(wanted)}")
    return _with_shape(call, value, shape)


@operator("Flatten")
def flatten(call: Call) -> Value:
    """Any axis. Costs nothing: the weights of the layer after it follow the NPU's order."""
    value = call.value(0)
    shape = shape_of(value)
    axis = call.attribute("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise call.wrong(f"flattens a tensor of {len(shape)} dimensions at axis {axis}")
    axis += len(shape) if axis < 0 else 0
    return _with_shape(call, value, (math.prod(shape[:axis]), math.prod(shape[axis:])))


@operator("Squeeze")
def squeeze(call: Call) -> Value:
    """Axes as attribute, constant input or none. Costs nothing."""
    value = call.value(0)
    shape = shape_of(value)
    axes = call.integers("axes", 1)
    chosen = call.axes(axes, len(shape)) if axes is not None else [i for i, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in chosen):
        raise call.wrong(f"squeezes the axes {list(chosen)} of a tensor of shape {list(shape)}")
    return _with_shape(call, value, [size for i, size in enumerate(shape) if i not in chosen])


@operator("Unsqueeze")
def unsqueeze(call: Call) -> Value:
    """Axes as attribute or constant input. Costs nothing."""
    value = call.value(0)
    axes = call.integers("axes", 1) or ()
    rest = list(shape_of(value))
    rank = len(rest) + len(axes)
    chosen = call.axes(axes, rank)
    return _with_shape(call, value, [1 if i in chosen else rest.pop(0) for i in range(rank)])


@operator("Transpose")
def transpose(call: Call) -> Value:
    """NCHW to NHWC and back, at no cost; where bytes would have to move, the layer after it is refused."""
    value = call.value(0)
    shape = shape_of(value)
    given = call.ints("perm") or tuple(reversed(range(len(shape))))
    if sorted(given) != list(range(len(shape))):
        raise call.wrong(f"has the perm {list(given)} for a tensor of {len(shape)} dimensions")
    perm = tuple(given)
    if isinstance(value, Constant):
        return Constant(np.ascontiguousarray(value.array.transpose(perm)))
    if isinstance(value, QuantisedConstant):
        axis = None if value.axis is None else perm.index(value.axis)
        return replace(value, integers=np.ascontiguousarray(value.integers.transpose(perm)), axis=axis)
    layout = value.view.layout.transpose(shape, perm)
    if layout is None:
        raise call.unsupported(
            "transposes a tensor that a Reshape has cut across its channels, and the NPU moves no bytes for those",
            "remove the reordering",
        )
    return _with_view(value, replace(value.view, shape=tuple(shape[i] for i in perm), layout=layout))


@operator("Pad")
def pad(call: Call) -> Value:
    """Mode constant, no negative pads; a value on the tensor's own grid (zero always is)."""
    if call.attribute("mode", "constant") != "constant":
        raise call.unsupported("pads by mirroring or repeating, and the NPU pads with a constant", "use mode constant")
    value = call.activation(0)
    source = call.real(0) if isinstance(value, Real) else value
    if not isinstance(source, Integers | Real):
        raise call.unquantised(0, source)
    shape = source.view.shape
    before, after = _pads(call, len(shape))
    constant = call.numbers(2)
    number = float(call.attribute("value", 0.0) if constant is None else constant.reshape(-1)[:1].sum())
    if isinstance(source, Real):
        level = int(quantise_table(number, source.scale, source.zero_point))
        exact = np.float32(level - source.zero_point) * np.float32(source.scale)
        if abs(exact - number) > 1e-4 * source.scale:
            raise call.unsupported(
                f"pads with {number:g}, which the tensor's scale {source.scale:g} and zero point {source.zero_point} "
                f"cannot "
                "represent",
                "pad with 0, or quantise with a range that contains the value",
            )
    else:
        level = int(number) - (128 if source.unsigned else 0)
        if not -128 <= level <= 127:
            raise call.wrong(f"pads with {number:g}, which the tensor's type cannot hold")
    order = source.view.layout.axes(shape)
    if order is None:
        raise call.unsupported("pads a flattened image, and the NPU moves no bytes", "pad before flattening")
    tensor = arrange(call, source.view, shape, order)
    out_shape = tuple(b + size + a for b, size, a in zip(before, shape, after, strict=True))
    dimensions = ir_dimensions(call, out_shape, order)
    sides = [(0, 0)] * len(dimensions)
    for axis in range(len(shape)):
        if before[axis] or after[axis]:
            sides[ir_axis(shape, order, axis)] = before[axis], after[axis]
    known = call.builder.graph.tensors[tensor]
    output = call.builder.tensor(call.node.outputs[0], dimensions, known.scale, known.zero_point)
    name = call.builder.op_name(call.label)
    call.builder.add(ir.Pad(name, call.node.op_type, (tensor,), output, tuple(sides), level))
    return _with_view(source, View(output, out_shape, Layout.of(out_shape, order)))


def _pads(call: Call, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(before, after) for each axis."""
    pads = call.integers("pads", 1) or ()
    given = call.integers("axes", 3)
    axes = call.axes(given, rank) if given is not None else tuple(range(rank))
    if len(pads) != 2 * len(axes) or max(pads, default=0) >= 2**31:
        raise call.wrong(f"has pads {list(pads)} for {len(axes)} axes")
    if min(pads, default=0) < 0:
        raise call.unsupported("removes rows with negative pads", "remove them outside the network")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[i + len(axes)]
    return tuple(before), tuple(after)


@operator("Concat")
def concat(call: Call) -> Value:
    """Any axis, any number of computed tensors; each is brought to the output's scale by its own table."""
    values = [call.value(i) for i in range(len(call.inputs))]
    if values and all(isinstance(value, Constant) for value in values):
        return concat_constants(call, [value.array for value in values if isinstance(value, Constant)])
    parts: list[Integers | Real] = []
    for index in range(len(values)):
        value = call.activation(index)
        if isinstance(value, Pending | FloatInput):
            raise call.unquantised(index, value)
        parts.append(value)
    shapes = [part.view.shape for part in parts]
    rank = len(shapes[0])
    (axis,) = call.axes((call.attribute("axis", 1),), rank)
    if any(len(s) != rank or any(s[i] != shapes[0][i] for i in range(rank) if i != axis) for s in shapes):
        raise call.wrong(f"joins tensors of shapes {', '.join(str(list(s)) for s in shapes)} on axis {axis}")
    order = parts[0].view.layout.axes(shapes[0])
    if order is None:
        raise call.unsupported(
            "joins flattened images, whose order the layers after it could not follow", "join before flattening"
        )
    shape = tuple(sum(s[axis] for s in shapes) if i == axis else size for i, size in enumerate(shapes[0]))
    tensors = tuple(arrange(call, part.view, own, order) for part, own in zip(parts, shapes, strict=True))
    dimensions = ir_dimensions(call, shape, order)
    view = View("", shape, Layout.of(shape, order))

    def emit_tables(output: str, tables: list[npt.NDArray]) -> None:
        name, where = call.builder.op_name(call.label), ir_axis(shape, order, axis)
        call.builder.add(ir.Concat(name, call.node.op_type, tensors, output, where, np.stack(tables).astype(np.int8)))

    reals = [part for part in parts if isinstance(part, Real)]
    if len(reals) == len(parts):

        def emit(target: Target) -> None:
            tables = [quantise_table(real.table, target.scale, target.zero_point) for real in reals]
            emit_tables(target.tensor, [np.clip(table, target.low, target.high) for table in tables])

        return Pending(str(call.node), view, dimensions, emit)
    signs = {part.unsigned for part in parts if isinstance(part, Integers)}
    if reals or len(signs) != 1:
        raise call.wrong("joins tensors of different types")
    output = call.builder.tensor(call.node.outputs[0], dimensions)
    emit_tables(output, [LEVELS] * len(parts))
    return Integers(replace(view, tensor=output), signs.pop())

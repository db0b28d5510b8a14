"""Pooling and the mean over the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tensaw.compiler import ir
from tensaw.compiler.frontends.onnx_layout import Layout
from tensaw.compiler.frontends.onnx_matrix import requantise
from tensaw.compiler.frontends.onnx_registry import Call, operator
from tensaw.compiler.frontends.onnx_values import Integers, Pending, Real, Target, Value, View, quantise_table
from tensaw.compiler.frontends.onnx_window import Window, window

__all__: list[str] = []

Size = tuple[int, int, int]


def _kernel(call: Call, rank: int) -> tuple[int, int]:
    """``kernel_shape``, which has one number for each spatial dimension."""
    kernel = call.ints("kernel_shape")
    if len(kernel) != rank - 2 or not all(1 <= k < 2**31 for k in kernel):
        raise call.wrong(f"has the kernel_shape {list(kernel)} for a tensor of {rank} dimensions")
    return (1, kernel[0]) if rank == 3 else (kernel[0], kernel[1])


def _frame(call: Call, view: View, size: Size) -> tuple[Window, View, tuple[int, int, int, int]]:
    """Window, and the output's view and IR shape."""
    height, width, channels = size
    frame = window(call, (height, width), _kernel(call, len(view.shape)))
    if frame.dilation != (1, 1):
        raise call.unsupported(
            f"has dilations {list(frame.dilation)}, and pooling windows are dense", "pool without dilation"
        )
    padding, kernel = frame.padding, frame.kernel
    if max(padding[0], padding[2]) >= kernel[0] or max(padding[1], padding[3]) >= kernel[1]:
        raise call.wrong(f"has pads {list(padding)}, which must be smaller than its kernel {list(kernel)}")
    out_height, out_width = frame.output
    shape = (1, channels, out_width) if len(view.shape) == 3 else (1, channels, out_height, out_width)
    return frame, View("", shape, Layout.image(shape)), (1, out_height, out_width, channels)


def _pool(call: Call, tensor: str, output: str, operation: ir.PoolKind, frame: Window, low: int, high: int) -> None:
    """Emit the IR's pooling; positions beyond the padding are outside the image, too."""
    top, left, bottom, right = frame.padding
    padding = top, left, bottom + frame.extra[0], right + frame.extra[1]
    name = call.builder.op_name(call.label)
    call.builder.add(
        ir.Pool2d(name, call.node.op_type, (tensor,), output, operation, frame.kernel, frame.stride, padding, low, high)
    )


@operator("MaxPool")
def max_pool(call: Call) -> Value:
    """1-D, 2-D; strides, pads, auto_pad, ceil_mode; on integers or between DequantizeLinear and QuantizeLinear."""
    if any(call.node.outputs[1:]):
        raise call.unsupported("returns indices, and only the maxima are computed", "drop the second output")
    value = call.activation(0)
    if isinstance(value, Real) and (np.diff(value.table) < 0).any():
        value = call.real(0)
    if not isinstance(value, Integers | Real):
        raise call.unquantised(0, value)
    view, size = call.as_image(value.view)
    frame, out_view, ir_shape = _frame(call, view, size)
    source = call.builder.graph.tensors[view.tensor]
    # The maximum of quantised values is the quantised maximum, so it is taken before any scale is changed.
    output = call.builder.tensor(call.node.outputs[0], ir_shape, source.scale, source.zero_point)
    _pool(call, view.tensor, output, ir.PoolKind.MAX, frame, -128, 127)
    return replace(value, view=replace(out_view, tensor=output))


@operator("AveragePool")
def average_pool(call: Call) -> Value:
    """1-D and 2-D; strides, pads, auto_pad, ceil_mode, count_include_pad 0 and 1.

    Where border windows divide by fewer values, the input scale must be less than twice the output's.
    """
    real, size = call.image(0)
    frame, view, ir_shape = _frame(call, real.view, size)
    padded = any(frame.padding)
    include = bool(call.attribute("count_include_pad", 0))

    def emit(target: Target) -> None:
        unchanged = (real.scale, real.zero_point) == (target.scale, target.zero_point)
        constant_count = not any(frame.extra) and (include or not padded)
        if not unchanged and constant_count:
            _average_by_weights(call, real, frame, target, size[2])
        elif unchanged or real.scale < 2 * target.scale:
            _average_by_pool(call, real, frame, target, ir_shape, include and padded)
        else:
            raise call.unsupported(
                f"averages over fewer values at the border and enlarges the scale {real.scale / target.scale:.3g} "
                f"times, "
                "and the result could be wrong by more than one step beyond twice",
                "give input and output the same scale, or set count_include_pad",
            )

    return Pending(str(call.node), view, ir_shape, emit)


def _average_by_weights(call: Call, real: Real, frame: Window, target: Target, channels: int) -> None:
    """An average with one divisor as a depthwise convolution with ones: rounded once, to the output's scale."""
    count = frame.kernel[0] * frame.kernel[1]
    reach = max(127 - real.zero_point, real.zero_point + 128)
    parameters = requantise(call, [real.scale / (target.scale * count)], np.array([count * reach]), target)
    call.builder.add(
        ir.DepthwiseConv2d(
            call.builder.op_name(call.label),
            call.node.op_type,
            (real.view.tensor,),
            target.tensor,
            np.ones((*frame.kernel, channels), np.int8),
            np.zeros(channels, np.int32),
            frame.stride,
            (1, 1),
            frame.padding,
            1,
            real.zero_point,
            parameters,
        )
    )


def _average_by_pool(
    call: Call, real: Real, frame: Window, target: Target, ir_shape: tuple[int, int, int, int], include: bool
) -> None:
    """The pooling unit's average, with the padding written out where it counts, and a table where the scale changes."""
    builder, tensor = call.builder, real.view.tensor
    if include:
        top, left, bottom, right = frame.padding
        _, height, width, channels = builder.shape(tensor)
        shape = (1, height + top + bottom, width + left + right, channels)
        padded = builder.tensor(f"{tensor}_padded", shape, real.scale, real.zero_point)
        sides = ((0, 0), (top, bottom), (left, right), (0, 0))
        builder.add(ir.Pad(builder.op_name(padded), call.node.op_type, (tensor,), padded, sides, real.zero_point))
        tensor, frame = padded, replace(frame, padding=(0, 0, 0, 0))
    if (real.scale, real.zero_point) == (target.scale, target.zero_point):
        _pool(call, tensor, target.tensor, ir.PoolKind.AVERAGE, frame, target.low, target.high)
        return
    middle = builder.tensor(f"{target.tensor}_average", ir_shape, real.scale, real.zero_point)
    _pool(call, tensor, middle, ir.PoolKind.AVERAGE, frame, -128, 127)
    levels = quantise_table(real.table, target.scale, target.zero_point)
    table = np.clip(levels, target.low, target.high).astype(np.int8)
    name = builder.op_name(target.tensor)
    builder.add(ir.Lookup(name, call.node.op_type, (middle,), target.tensor, table))


@operator("GlobalAveragePool")
def global_average_pool(call: Call) -> Value:
    """Mean over all spatial positions of a (1, C, H, W) or (1, C, L) tensor."""
    return _mean(call, keep=True)


@operator("ReduceMean")
def reduce_mean(call: Call) -> Value:
    """Mean over all spatial axes of a (1, C, H, W) or (1, C, L) tensor; keepdims 0 and 1; constant axes."""
    axes = call.integers("axes", 1)
    rank = len(call.real(0).view.shape)
    chosen = call.axes(axes, rank) if axes else ()
    if rank not in (3, 4) or sorted(chosen) != list(range(2, rank)):
        raise call.unsupported(
            f"averages over the axes {list(chosen)} of {rank} dimensions, and only the mean over all spatial axes of "
            f"an "
            "(N, C, H, W) tensor is supported",
            "rewrite it as a GlobalAveragePool, or compute it on the host",
        )
    return _mean(call, keep=bool(call.attribute("keepdims", 1)))


def _mean(call: Call, keep: bool) -> Value:
    real, (height, width, channels) = call.image(0)
    count = height * width
    shape = (1, channels, *(1 for _ in real.view.shape[2:])) if keep else (1, channels)
    ir_shape = (1, 1, 1, channels) if keep else (1, channels)

    def emit(target: Target) -> None:
        reach = max(127 - real.zero_point, real.zero_point + 128)
        parameters = requantise(call, [real.scale / (target.scale * count)], np.array([count * reach]), target)
        name = call.builder.op_name(call.label)
        bias = -real.zero_point * count
        call.builder.add(ir.Mean(name, call.node.op_type, (real.view.tensor,), target.tensor, bias, parameters))

    return Pending(str(call.node), View("", shape, Layout.of(shape)), ir_shape, emit)

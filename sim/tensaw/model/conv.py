"""Convolution, depthwise convolution and fully connected layers in integers.

Sums are formed by float64 matrix products, which are exact here: every product of an int8 weight and a 9-bit input
difference is below 2^15 in magnitude, so any sum of fewer than 2^38 of them is an integer below 2^53. LiteRT:
``reference_integer_ops::ConvPerChannel``, ``DepthwiseConvPerChannel``, ``FullyConnected[PerChannel]``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Conv2d, DepthwiseConv2d, FullyConnected
from tensaw.model.requantise import Int64Array, requantise, wrap32

__all__ = [
    "conv2d",
    "conv2d_accumulators",
    "depthwise_accumulators",
    "depthwise_conv2d",
    "fully_connected",
    "fully_connected_accumulators",
    "output_size",
    "windows",
]

Int8Array = npt.NDArray[np.int8]


def output_size(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Positions at which a dilated kernel lies inside the padded extent; 0 if there is none."""
    return max(0, (size + before + after - ((kernel - 1) * dilation + 1)) // stride + 1)


def windows(
    image: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    fill: int,
) -> np.ndarray:
    """View of all windows of ``image`` (batch, height, width, channels).

    Returns (batch, out height, out width, kernel height, kernel width, channels); positions outside hold ``fill``.
    ``padding`` is (top, left, bottom, right).
    """
    top, left, bottom, right = padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    batch, height, width, channels = padded.shape
    out_height = output_size(height, kernel[0], stride[0], dilation[0], 0, 0)
    out_width = output_size(width, kernel[1], stride[1], dilation[1], 0, 0)
    by_batch, by_row, by_column, by_channel = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (batch, out_height, out_width, *kernel, channels),
        (
            by_batch,
            by_row * stride[0],
            by_column * stride[1],
            by_row * dilation[0],
            by_column * dilation[1],
            by_channel,
        ),
        writeable=False,
    )


def conv2d_accumulators(x: Int8Array, op: Conv2d) -> Int64Array:
    """int32 accumulators, bias added, of shape (batch, out height, out width, out channels)."""
    outputs, kernel_height, kernel_width, depth = op.weights.shape
    difference = x.astype(np.float64) - op.input_zero_point
    view = windows(difference, (kernel_height, kernel_width), op.stride, op.dilation, op.padding, 0)
    batch, out_height, out_width = view.shape[:3]
    per_group = outputs // op.groups
    sums = np.empty((batch * out_height * out_width, outputs))
    for group in range(op.groups):
        columns = view[..., group * depth : (group + 1) * depth].reshape(
            len(sums), kernel_height * kernel_width * depth
        )
        chosen = slice(group * per_group, (group + 1) * per_group)
        sums[:, chosen] = columns @ op.weights[chosen].reshape(per_group, -1).T.astype(np.float64)
    return wrap32(sums.astype(np.int64) + op.bias).reshape(batch, out_height, out_width, outputs)


def conv2d(x: Int8Array, op: Conv2d) -> Int8Array:
    """int8 (batch, height, width, channels) to int8 (batch, out height, out width, out channels)."""
    return requantise(conv2d_accumulators(x, op), op.requantise)


def depthwise_accumulators(x: Int8Array, op: DepthwiseConv2d) -> Int64Array:
    """int32 accumulators, bias added, of shape (batch, out height, out width, channels · multiplier)."""
    kernel_height, kernel_width, outputs = op.weights.shape
    difference = x.astype(np.int64) - op.input_zero_point
    view = windows(difference, (kernel_height, kernel_width), op.stride, op.dilation, op.padding, 0)
    batch, out_height, out_width = view.shape[:3]
    weights = op.weights.astype(np.int64).reshape(kernel_height, kernel_width, -1, op.multiplier)
    sums = np.zeros((batch, out_height, out_width, outputs // op.multiplier, op.multiplier), np.int64)
    for y in range(kernel_height):
        for x_tap in range(kernel_width):
            sums += view[..., y, x_tap, :, None] * weights[y, x_tap]
    return wrap32(sums.reshape(batch, out_height, out_width, outputs) + op.bias)


def depthwise_conv2d(x: Int8Array, op: DepthwiseConv2d) -> Int8Array:
    """int8 (batch, height, width, channels) to int8 (batch, out height, out width, channels · multiplier)."""
    return requantise(depthwise_accumulators(x, op), op.requantise)


def fully_connected_accumulators(x: Int8Array, op: FullyConnected) -> Int64Array:
    """int32 accumulators, bias added, of shape (rows, outputs)."""
    difference = x.astype(np.float64) - op.input_zero_point
    sums = difference @ op.weights.T.astype(np.float64)
    return wrap32(sums.astype(np.int64) + op.bias)


def fully_connected(x: Int8Array, op: FullyConnected) -> Int8Array:
    """int8 (rows, features) to int8 (rows, outputs)."""
    return requantise(fully_connected_accumulators(x, op), op.requantise)

"""Pooling and the spatial mean.

LiteRT: ``reference_integer_ops::AveragePool`` and ``MaxPool``, ``reference_ops::QuantizedMeanOrSum``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Mean, Pool2d, PoolKind
from tensaw.model.conv import windows
from tensaw.model.requantise import Int64Array, clamp_int8, requantise

__all__ = ["divide_away", "mean", "pool2d"]

Int8Array = npt.NDArray[np.int8]


def divide_away(total: Int64Array, count: Int64Array) -> Int64Array:
    """round(total / count), ties away from zero; count at least 1."""
    magnitude = (np.abs(total) + count // 2) // count
    return np.sign(total) * magnitude


def pool2d(x: Int8Array, op: Pool2d) -> Int8Array:
    """int8 (batch, height, width, channels) to int8 (batch, out height, out width, channels).

    Positions outside the image count neither for the maximum nor for the average; every window must touch the image.
    """
    one = (1, 1)
    if op.operation is PoolKind.MAX:
        view = windows(x.astype(np.int64), op.kernel, op.stride, one, op.padding, -128)
        return clamp_int8(view.max(axis=(3, 4)), op.low, op.high)
    total = windows(x.astype(np.int64), op.kernel, op.stride, one, op.padding, 0).sum(axis=(3, 4))
    inside = np.ones((1, *x.shape[1:3], 1), np.int64)
    count = windows(inside, op.kernel, op.stride, one, op.padding, 0).sum(axis=(3, 4))
    return clamp_int8(divide_away(total, count), op.low, op.high)


def mean(x: Int8Array, op: Mean) -> Int8Array:
    """Mean over height and width: int8 (batch, height, width, channels) to int8 (batch, channels)."""
    return requantise(x.astype(np.int64).sum(axis=(1, 2)) + op.bias, op.requantise)

"""Addition, subtraction and multiplication of two int8 tensors, and pointwise functions by table.

LiteRT: ``reference_integer_ops::AddFunc``, ``MulElementwise``, ``reference_ops::SubElementwise``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Elementwise, ElementwiseKind, Lookup, Rounding
from tensaw.model.requantise import Int64Array, multiply, requantise, wrap32

__all__ = ["INPUT_SHIFT", "elementwise", "elementwise_sum", "lookup", "table_lookup"]

Int8Array = npt.NDArray[np.int8]

INPUT_SHIFT = 20
"""ADD and SUB shift both differences left by this before scaling them to a common scale."""


def elementwise_sum(a: Int8Array, b: Int8Array, op: Elementwise) -> Int64Array:
    """The int32 value that is requantised: r1(a) ± r2(b), or the product; shapes broadcast as NumPy's."""
    first = a.astype(np.int64) - op.zero_points[0]
    second = b.astype(np.int64) - op.zero_points[1]
    if op.operation is ElementwiseKind.MUL:
        return first * second
    first = multiply(first << INPUT_SHIFT, op.multipliers[0], op.shifts[0], Rounding.DOUBLE)
    second = multiply(second << INPUT_SHIFT, op.multipliers[1], op.shifts[1], Rounding.DOUBLE)
    return wrap32(first + second if op.operation is ElementwiseKind.ADD else first - second)


def elementwise(a: Int8Array, b: Int8Array, op: Elementwise) -> Int8Array:
    """Two int8 tensors to one int8 tensor of the broadcast shape."""
    return requantise(elementwise_sum(a, b, op), op.requantise)


def table_lookup(x: Int8Array, table: Int8Array) -> Int8Array:
    """``table[x + 128]``; ``table`` int8 (256,)."""
    return table[x.astype(np.int16) + 128]


def lookup(x: Int8Array, op: Lookup) -> Int8Array:
    """A pointwise function, any shape."""
    return table_lookup(x, op.table)

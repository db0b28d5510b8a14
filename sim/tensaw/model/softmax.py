"""Softmax in fixed point, as LiteRT's int8 reference kernel computes it (``reference_ops::Softmax`` on gemmlowp).

Notation: Qm.n is a signed 32-bit number with m integer and n = 31 - m fractional bits. The steps are separate functions
because hardware keeps the first one as a table and repeats the others:

1. :func:`exponent_table`: e^-(d · scale · beta) in Q0.31 for each difference d = max - x, 0 to 255;
2. :func:`exponent_sum`: their sum in Q12.19;
3. :func:`reciprocal`: 1 / sum as a Q0.31 mantissa and an exponent;
4. :func:`scale_outputs`: mantissa · exponential, rounded to 1/256, minus 128.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Rounding, Softmax
from tensaw.model.requantise import Int64Array, clamp_int8, high_multiply, multiply, rounding_shift_right, wrap32

__all__ = [
    "MAXIMUM_DEPTH",
    "exponent_sum",
    "exponent_table",
    "exponential",
    "one_over_one_plus_x",
    "reciprocal",
    "scale_outputs",
    "softmax",
]

Int8Array = npt.NDArray[np.int8]

MAXIMUM_DEPTH = 4095
"""Longest row: each exponential is at most 2^19 in Q12.19, so 4096 equal ones would overflow the sum.

LiteRT itself aborts where a sum reaches 512 (more than 511 nearly equal values); here the arithmetic simply goes on.
"""

_MAX = (1 << 31) - 1
_INPUT_FRACTION = 26  # differences are Q5.26
_SUM_FRACTION = 19  # sums are Q12.19
_EXP_MINUS_EIGHTH = 1895147668  # e^(-1/8), Q0.31
_ONE_THIRD = 715827883  # Q0.31
# e^-(2^k) in Q0.31 for k = -2, -1, 0, 1, 2, 3, 4: one factor for each bit of the remainder.
_EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_48_OVER_17 = 1515870810  # Q2.29
_MINUS_32_OVER_17 = -1010580540  # Q2.29


def _exp_near_zero(a: Int64Array) -> Int64Array:
    """e^a in Q0.31 for a in [-1/4, 0), Q0.31: Taylor's series to the fourth power around -1/8."""
    x = a + (1 << 28)
    x2 = high_multiply(x, x)
    x3 = high_multiply(x2, x)
    x4_over_4 = rounding_shift_right(high_multiply(x2, x2), 2)
    tail = rounding_shift_right(high_multiply(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return _EXP_MINUS_EIGHTH + high_multiply(_EXP_MINUS_EIGHTH, x + tail)


def exponential(a: npt.ArrayLike) -> Int64Array:
    """gemmlowp ``exp_on_negative_values``: e^a in Q0.31 for a ≤ 0 in Q5.26."""
    a = np.asarray(a, np.int64)
    quarter = 1 << (_INPUT_FRACTION - 2)
    within = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(within << 5)
    remainder = within - a
    for bit, factor in enumerate(_EXP_OF_POWERS, start=_INPUT_FRACTION - 2):
        result = np.where(remainder >> bit & 1, high_multiply(result, factor), result)
    return np.where(a == 0, _MAX, result)


def exponent_table(op: Softmax) -> npt.NDArray[np.int32]:
    """(256,) int32, Q0.31: entry d is the exponential of a value that lies d below its row's maximum."""
    difference = -np.arange(256, dtype=np.int64)
    scaled = multiply(difference, op.multiplier, op.shift, Rounding.DOUBLE)
    return np.where(difference >= op.diff_min, exponential(scaled), 0).astype(np.int32)


def exponent_sum(exponentials: npt.ArrayLike) -> Int64Array:
    """Sum over the last axis in Q12.19, each term rounded from Q0.31 first; (rows, depth) to (rows,)."""
    return wrap32(rounding_shift_right(exponentials, 31 - _SUM_FRACTION).sum(axis=-1))


def one_over_one_plus_x(x: npt.ArrayLike) -> Int64Array:
    """gemmlowp ``one_over_one_plus_x_for_x_in_0_1``: 1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31.

    Three Newton-Raphson steps on half the denominator, in Q2.29.
    """
    total = np.asarray(x, np.int64) + _MAX
    half_denominator = (total + 1) >> 1
    y = wrap32(_48_OVER_17 + high_multiply(half_denominator, _MINUS_32_OVER_17))
    for _ in range(3):
        error = (1 << 29) - high_multiply(half_denominator, y)
        correction = np.clip(high_multiply(y, error) << 2, -_MAX - 1, _MAX)
        y = wrap32(y + correction)
    return np.clip(y << 1, -_MAX - 1, _MAX)


def reciprocal(total: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
    """1 / total for total in Q12.19, at least 1.0: (mantissa Q0.31, bits over unit).

    1 / total = mantissa · 2^-bits, the mantissa in (1/2, 1]. ``bits`` is the place of the leading one above 2^19.
    """
    total = np.asarray(total, np.int64)
    leading = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # bit length
    fraction = (total << (32 - leading)) - (1 << 31)
    return one_over_one_plus_x(fraction), leading - (_SUM_FRACTION + 1)


def scale_outputs(exponentials: npt.ArrayLike, mantissa: npt.ArrayLike, bits: npt.ArrayLike) -> Int8Array:
    """Probabilities of 1/256 with zero point -128: (rows, depth), (rows,), (rows,) to int8 (rows, depth)."""
    product = high_multiply(np.asarray(mantissa)[..., None], exponentials)
    return clamp_int8(rounding_shift_right(product, np.asarray(bits)[..., None] + 23) - 128)


def softmax(x: Int8Array, op: Softmax) -> Int8Array:
    """Softmax over the last axis, at most :data:`MAXIMUM_DEPTH` long; int8 in and out (scale 1/256, zero point -128).

    Values that lie further than ``-diff_min`` below the maximum give -128: their table entry is 0.
    """
    rows = x.reshape(-1, x.shape[-1]).astype(np.int64)
    exponentials = exponent_table(op).astype(np.int64)[rows.max(axis=1, keepdims=True) - rows]
    mantissa, bits = reciprocal(exponent_sum(exponentials))
    return scale_outputs(exponentials, mantissa, bits).reshape(x.shape)

"""From int32 accumulators to int8: the three roundings of :class:`tensaw.compiler.ir.Rounding`.

The definitions are gemmlowp's fixed-point primitives (``fixedpoint/fixedpoint.h``) as LiteRT's reference kernels
combine them in ``MultiplyByQuantizedMultiplier``. Arrays hold int32 values in int64, so that products need no widening.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import IntArray, Requantise, Rounding

__all__ = [
    "clamp_int8",
    "high_multiply",
    "multiply",
    "requantise",
    "rounding_shift_right",
    "wrap32",
]

Int64Array = npt.NDArray[np.int64]


def wrap32(values: npt.ArrayLike) -> Int64Array:
    """Two's complement wrap-around to 32 bits, as a 32-bit register does."""
    return np.asarray(values, np.int64).astype(np.int32).astype(np.int64)


def high_multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Int64Array:
    """gemmlowp ``SaturatingRoundingDoublingHighMul``: round(a·b / 2^31), ties up; int32 operands.

    The one overflow, (-2^31)·(-2^31), saturates to 2^31 - 1.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 30)) >> 31, (1 << 31) - 1)


def rounding_shift_right(x: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """gemmlowp ``RoundingDivideByPOT``: round(x / 2^exponent), ties away from zero; exponent 0 to 31."""
    x = np.asarray(x, np.int64)
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply(acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike, rounding: Rounding) -> Int64Array:
    """``round(acc · multiplier · 2^(shift - 31))``.

    ``acc``: int32 values, channels last; ``multiplier`` [0, 2^31) and ``shift`` [-31, 30] broadcast against it. A
    positive shift is applied before the multiplication, in 32 bits that wrap around.
    """
    shift = np.asarray(shift, np.int64)
    multiplier = np.asarray(multiplier, np.int64)
    x = wrap32(np.asarray(acc, np.int64) << np.maximum(shift, 0))
    right = np.maximum(-shift, 0)
    if rounding is Rounding.DOUBLE:
        return rounding_shift_right(high_multiply(x, multiplier), right)
    half = np.int64(1) << (30 + right)
    if rounding is Rounding.SINGLE:
        return (x * multiplier + half) >> (31 + right)
    return np.sign(x) * ((np.abs(x) * multiplier + half) >> (31 + right))


def clamp_int8(values: npt.ArrayLike, low: int = -128, high: int = 127) -> npt.NDArray[np.int8]:
    """Clamp to [low, high], both in [-128, 127], as int8."""
    return np.clip(np.asarray(values), low, high).astype(np.int8)


def requantise(acc: IntArray, parameters: Requantise) -> npt.NDArray[np.int8]:
    """int32 accumulators, channels last, to int8 of the same shape."""
    scaled = multiply(acc, parameters.multiplier, parameters.shift, Rounding(parameters.rounding))
    return clamp_int8(scaled + parameters.zero_point, parameters.low, parameters.high)

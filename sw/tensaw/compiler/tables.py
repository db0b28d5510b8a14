"""256-entry tables of pointwise functions on int8, entry ``v + 128`` for value ``v``.

Each follows the arithmetic of LiteRT's reference kernel: ``ReluX`` and ``QuantizeLeakyRelu`` (fixed point),
``HardSwish`` (16-bit fixed point), ``LUTPopulate`` (float32) and ``Requantize`` (fixed point). Scales are Python floats
that hold float32 values; zero points are int8.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tensaw.compiler.ir import Rounding
from tensaw.compiler.quantise import activation_range, quantise_multiplier
from tensaw.model.requantise import Int64Array, clamp_int8, multiply, rounding_shift_right

__all__ = [
    "IDENTITY",
    "float_table",
    "hard_swish_table",
    "leaky_relu_table",
    "logistic_table",
    "relu_table",
    "requantise_table",
    "tanh_table",
]

Table = npt.NDArray[np.int8]

_VALUES: Int64Array = np.arange(-128, 128, dtype=np.int64)
IDENTITY: Table = _VALUES.astype(np.int8)


def _scaled(values: Int64Array, real: float) -> Int64Array:
    multiplier, shift = quantise_multiplier(real)
    return multiply(values, multiplier, shift, Rounding.DOUBLE)


def requantise_table(input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """int8 to int8 of another scale (QUANTIZE); the scales are divided in double."""
    return clamp_int8(_scaled(_VALUES - input_zero, input_scale / output_scale) + output_zero)


def relu_table(activation: str, input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """RELU, RELU6 or RELU_N1_TO_1 as an operator of its own; the scales are divided in float32."""
    low, high = activation_range(activation, output_scale, output_zero)
    ratio = float(np.float32(input_scale) / np.float32(output_scale))
    return clamp_int8(_scaled(_VALUES - input_zero, ratio) + output_zero, low, high)


def leaky_relu_table(alpha: float, input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """x for x ≥ 0, else alpha · x; the multipliers are formed in float32. ``alpha`` may be negative."""
    source, target = np.float32(input_scale), np.float32(output_scale)
    difference = _VALUES - input_zero
    slope = float(source * np.float32(alpha) / target)
    negative = _scaled(difference, abs(slope)) * (-1 if slope < 0 else 1)
    return clamp_int8(np.where(difference >= 0, _scaled(difference, float(source / target)), negative) + output_zero)


def float_table(
    function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    input_scale: float,
    input_zero: int,
    output_scale: float,
    output_zero: int,
) -> Table:
    """Any function of a real number: float32 in, float32 out, then rounded to the output scale, ties away from zero.

    ``function`` gets float32 values as double and returns double, which is then rounded to float32: as exact as the C
    library's float functions are.
    """
    real = (np.float32(input_scale) * (_VALUES - input_zero).astype(np.float32)).astype(np.float32)
    with np.errstate(over="ignore"):
        result = function(real.astype(np.float64)).astype(np.float32)
    rescaled = (result * (np.float32(1.0) / np.float32(output_scale))).astype(np.float64)
    rounded = np.trunc(rescaled + np.copysign(0.5, rescaled))
    return clamp_int8(rounded + output_zero)


def logistic_table(input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """1 / (1 + e^-x), the exponential and the quotient rounded to float32 as the kernel does."""

    def logistic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        one = np.float32(1.0)
        return (one / (one + np.exp(-x).astype(np.float32))).astype(np.float64)

    return float_table(logistic, input_scale, input_zero, output_scale, output_zero)


def tanh_table(input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """Hyperbolic tangent."""
    return float_table(np.tanh, input_scale, input_zero, output_scale, output_zero)


def _saturate16(values: Int64Array) -> Int64Array:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _high_multiply16(a: Int64Array, b: int) -> Int64Array:
    """gemmlowp's 16-bit SaturatingRoundingDoublingHighMul; ``b`` is never -2^15."""
    return (a * b + (1 << 14)) >> 15


def _multiplier16(real: float) -> tuple[int, int]:
    mantissa, exponent = quantise_multiplier(real)
    limit = (1 << 31) - 1 - (1 << 15)
    return ((1 << 15) - 1 if mantissa >= limit else (mantissa + (1 << 15)) >> 16), exponent


def hard_swish_table(input_scale: float, input_zero: int, output_scale: float, output_zero: int) -> Table:
    """x · min(6, max(0, x + 3)) / 6 in 16-bit fixed point.

    Raises ValueError where LiteRT refuses: input scale / 128 must not exceed the output scale.
    """
    fine_scale = np.float32(1.0 / 128.0) * np.float32(input_scale)
    output_multiplier, output_exponent = _multiplier16(float(fine_scale / np.float32(output_scale)))
    gate_multiplier, gate_exponent = _multiplier16(float(fine_scale / (np.float32(3.0) / np.float32(32768.0))))
    if output_exponent > 0:
        raise ValueError("HARD_SWISH needs input scale / 128 below the output scale")
    fine = (_VALUES - input_zero) << 7
    on_output_scale = _high_multiply16(fine, output_multiplier)
    # The gate, min(6, max(0, x + 3)) / 6, on the scale where 1 is 2^15.
    gate = fine
    if gate_exponent > 0:
        gate = _saturate16(gate << (gate_exponent - 1))
    gate = _high_multiply16(gate, gate_multiplier)
    if gate_exponent > 0:
        gate = _saturate16(gate << 1)
    elif gate_exponent < 0:
        gate = rounding_shift_right(gate, -gate_exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * on_output_scale
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return clamp_int8(rounding_shift_right(truncated, -output_exponent) + output_zero)

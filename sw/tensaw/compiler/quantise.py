"""From floating-point scales to integers, in the very steps of LiteRT's reference kernels.

Scales are float32 in the file. Whether a kernel divides them as float32 or as double decides the last bit of a
multiplier, so every function here says which, and the caller passes scales as Python floats that hold float32 values.
Sources: ``QuantizeMultiplier``, ``PreprocessSoftmaxScaling``, ``CalculateInputRadius`` (``quantization_util.cc``),
``CalculateActivationRangeQuantized`` (``kernel_util.cc``) and the ``Prepare`` functions of ``conv.cc``,
``fully_connected.cc``, ``add.cc``, ``sub.cc``, ``mul.cc``, ``reduce.cc``, ``activations.cc``, ``quantize.cc``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "ElementwiseScales",
    "activation_range",
    "add_scales",
    "average_multiplier",
    "conv_multipliers",
    "exact_multiplier",
    "mean_multiplier",
    "mul_multiplier",
    "quantise_multiplier",
    "round_away",
    "softmax_scaling",
]

_ONE = 1 << 31


def round_away(value: float) -> int:
    """C's ``round``: to the nearest integer, ties away from zero."""
    whole = math.floor(abs(value))
    nearest = whole + (abs(value) - whole >= 0.5)
    return -nearest if value < 0 else nearest


def quantise_multiplier(real: float) -> tuple[int, int]:
    """``real ≥ 0`` as (mantissa, shift), real ≈ mantissa · 2^(shift - 31).

    The mantissa is in [2^30, 2^31), or 0 for values below 2^-32. The shift is not limited upwards.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    mantissa = round_away(fraction * _ONE)
    if mantissa == _ONE:
        mantissa, shift = mantissa // 2, shift + 1
    return (0, 0) if shift < -31 else (mantissa, shift)


def conv_multipliers(input_scale: float, weight_scales: npt.ArrayLike, output_scale: float) -> list[float]:
    """input · weight / output for each weight scale, in double (convolutions and fully connected layers)."""
    return [float(input_scale) * float(scale) / float(output_scale) for scale in np.atleast_1d(weight_scales)]


def exact_multiplier(real: float, limit: int) -> tuple[int, int, bool]:
    """A (mantissa, shift) that rounds like ``round(acc * real)`` in double arithmetic for all ``|acc| ≤ limit``.

    LiteRT's reference FULLY_CONNECTED multiplies the accumulator by a double and rounds ties away from zero. A 31-bit
    mantissa with :data:`~tensaw.compiler.ir.Rounding.AWAY` gives the same integers, if it moves none of the 255 places
    at which the result (before the clamp to int8) steps. Each such place bounds the mantissa from both sides; within
    all bounds the one nearest the plain mantissa is taken. Returns the plain mantissa and False if there is none.
    """
    mantissa, shift = quantise_multiplier(real)
    if mantissa == 0 or shift > 30:
        return mantissa, shift, mantissa == 0 and limit * real < 0.5
    scale_bits = 31 - shift
    low, high = 0, _ONE - 1
    for result, first in enumerate(_first_accumulators(real), start=1):
        half_steps = (2 * result - 1) << (scale_bits - 1)
        # No accumulator below the first one, nor one that cannot occur, may reach this result.
        last_below = min(first - 1, limit)
        if last_below > 0:
            high = min(high, (half_steps - 1) // last_below)
        if first > limit:
            break
        low = max(low, -(-half_steps // first))
    if low > high:
        return mantissa, shift, False
    return min(max(mantissa, low), high), shift, True


def _first_accumulators(real: float) -> list[int]:
    """For each result 1 to 255 the smallest acc > 0 for which ``round(acc * real)``, in double, is at least it."""
    results = np.arange(1, 256)
    guesses = np.floor((results - 0.5) / real)
    candidates = np.maximum(guesses[:, None] + np.arange(-2, 4), 1)
    products = candidates * real
    whole = np.floor(products)
    reached = whole + (products - whole >= 0.5) >= results[:, None]
    return candidates[np.arange(255), reached.argmax(axis=1)].astype(np.int64).tolist()


def average_multiplier(count: int) -> tuple[int, int]:
    """(mantissa, shift) for which AWAY rounding of a sum of ``count`` int8 values is their exact rounded average.

    The least mantissa not below 2^(31 - shift) / count: ties stay ties or move up by less than one accumulator step.
    Exact for ``count`` up to 2^21: the error 128 · count / 2^(31 - shift) stays below half a step, 1 / (2 · count).
    """
    shift = 1 - (count - 1).bit_length()
    mantissa = -(-(1 << (31 - shift)) // count)
    return mantissa, shift


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Clamp [low, high] of a fused activation, in int8, division in float32.

    ``activation``: NONE, RELU, RELU6 or RELU_N1_TO_1.
    """

    def quantised(value: float) -> int:
        return zero_point + round_away(float(np.float32(value) / np.float32(scale)))

    low, high = {
        "NONE": (-128, 127),
        "RELU": (quantised(0.0), 127),
        "RELU6": (quantised(0.0), quantised(6.0)),
        "RELU_N1_TO_1": (quantised(-1.0), quantised(1.0)),
    }[activation]
    return max(-128, low), min(127, high)


@dataclass(frozen=True)
class ElementwiseScales:
    """Multipliers and shifts of ADD and SUB: the inputs' and the result's."""

    multipliers: tuple[int, int]
    shifts: tuple[int, int]
    multiplier: int
    shift: int
    real: float
    """The result's multiplier before it was quantised; LiteRT needs it below 1."""


def add_scales(first: float, second: float, output: float) -> ElementwiseScales:
    """Both inputs to twice the larger scale, after a left shift by 20; in double."""
    twice = 2.0 * max(first, second)
    one, two = quantise_multiplier(first / twice), quantise_multiplier(second / twice)
    real = twice / float(np.float32(1 << 20) * np.float32(output))
    multiplier, shift = quantise_multiplier(real)
    return ElementwiseScales((one[0], two[0]), (one[1], two[1]), multiplier, shift, real)


def mul_multiplier(first: float, second: float, output: float) -> tuple[int, int]:
    """first · second / output, in float32."""
    return quantise_multiplier(float(np.float32(first) * np.float32(second) / np.float32(output)))


def mean_multiplier(input_scale: float, output_scale: float, count: int) -> tuple[int, int]:
    """input / output in double, then divided by ``count`` in integers without normalising again."""
    multiplier, shift = quantise_multiplier(float(input_scale) / float(output_scale))
    extra = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << extra) // count, shift - extra


def softmax_scaling(beta: float, input_scale: float) -> tuple[int, int, int]:
    """(multiplier, left shift, diff_min): differences scaled to Q5.26, and the least one that still counts."""
    real = min(float(beta) * float(input_scale) * (1 << 26), float(_ONE - 1))
    multiplier, shift = quantise_multiplier(real)
    radius = math.floor(31.0 * (1 << 26) / (1 << shift)) if shift >= 0 else 0
    return multiplier, shift, -radius

"""Multipliers, ranges and exactness promises of the quantisation functions."""

from fractions import Fraction

import numpy as np
import pytest

from tensaw.compiler.ir import Rounding
from tensaw.compiler.quantise import (
    activation_range,
    average_multiplier,
    exact_multiplier,
    mean_multiplier,
    quantise_multiplier,
    round_away,
    softmax_scaling,
)
from tensaw.compiler.tables import hard_swish_table, requantise_table
from tensaw.model.pool import divide_away
from tensaw.model.requantise import multiply


def test_round_away():
    assert [round_away(v) for v in (0.5, -0.5, 1.49, -1.5, 2.5, 0.49999999999999994)] == [1, -1, 1, -2, 3, 0]


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),
        (1 - 2.0**-40, (1 << 30, 1)),
    ],
)
def test_quantise_multiplier(real, expected):
    assert quantise_multiplier(real) == expected


def test_quantise_multiplier_is_within_half_a_step(rng):
    for real in 10 ** rng.uniform(-9, 3, 300):
        mantissa, shift = quantise_multiplier(float(real))
        assert 1 << 30 <= mantissa < 1 << 31
        error = abs(Fraction(float(real)) - Fraction(mantissa) * Fraction(2) ** (shift - 31))
        assert error <= Fraction(2) ** (shift - 32)


def test_activation_range():
    assert activation_range("NONE", 0.1, 3) == (-128, 127)
    assert activation_range("RELU", 0.1, 3) == (3, 127)
    assert activation_range("RELU6", 0.1, 3) == (3, 63)
    assert activation_range("RELU_N1_TO_1", 0.1, 3) == (-7, 13)
    assert activation_range("RELU6", 0.01, -128) == (-128, 127)


def reference(acc: np.ndarray, real: float) -> np.ndarray:
    """round(acc · real) in double, ties away from zero."""
    product = acc.astype(np.float64) * real
    return np.clip(np.sign(product) * np.floor(np.abs(product) + 0.5), -255, 255).astype(np.int64)


@pytest.mark.parametrize("real", [0.5, 0.25, 1 / 3, 2.0**-10, 0.1, 1.0, 1.5, 3.0])
def test_exact_multiplier_on_every_accumulator(real):
    limit = 5000
    mantissa, shift, exact = exact_multiplier(real, limit)
    assert exact
    acc = np.arange(-limit, limit + 1)
    scaled = np.clip(multiply(acc, mantissa, shift, Rounding.AWAY), -255, 255)
    assert np.array_equal(scaled, reference(acc, real))


def test_exact_multiplier_of_random_scales_around_every_step(rng):
    for real in 10 ** rng.uniform(-4, 0, 60):
        real = float(np.float32(real)) * float(np.float32(rng.uniform(0.5, 2)))
        limit = int(300 / real)
        mantissa, shift, exact = exact_multiplier(real, limit)
        steps = np.rint((np.arange(-256, 256) + 0.5) / real).astype(np.int64)
        acc = np.unique(np.clip((steps[:, None] + np.arange(-3, 4)).ravel(), -limit, limit))
        scaled = np.clip(multiply(acc, mantissa, shift, Rounding.AWAY), -255, 255)
        assert not exact or np.array_equal(scaled, reference(acc, real)), real
        assert exact, real


def test_the_plain_multiplier_is_not_always_exact():
    """Why :func:`exact_multiplier` searches: rounding the mantissa moves a tie to the wrong side."""
    real = 1 / 6
    acc = np.array([3, 9, 15, -3])
    mantissa, shift = quantise_multiplier(real)
    plain = multiply(acc, mantissa, shift, Rounding.AWAY)
    found = multiply(acc, *exact_multiplier(real, 1000)[:2], Rounding.AWAY)
    assert np.array_equal(found, reference(acc, real))
    assert mantissa * 6 != 1 << (31 - shift)
    assert plain.shape == found.shape


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 9, 16, 25, 49, 63, 64, 65, 100, 1000])
def test_average_multiplier_is_exact(count):
    mantissa, shift = average_multiplier(count)
    assert 1 << 30 <= mantissa < 1 << 31
    total = np.arange(-128 * count, 127 * count + 1)
    assert np.array_equal(multiply(total, mantissa, shift, Rounding.AWAY), divide_away(total, np.array(count)))


def test_mean_multiplier_divides_after_quantising():
    assert mean_multiplier(1.0, 1.0, 4) == (1 << 30, -1)
    assert mean_multiplier(1.0, 1.0, 3) == ((1 << 31) // 3, 0)


def test_softmax_scaling_is_capped():
    assert softmax_scaling(1.0, 0.1)[1:] == (23, -248)
    assert softmax_scaling(10.0, 10.0) == ((1 << 31) - 1, 31, 0)


def test_requantise_table_of_equal_scales_is_the_identity():
    assert np.array_equal(requantise_table(0.3, 5, 0.3, 5), np.arange(-128, 128))


def test_hard_swish_needs_a_representable_ratio():
    with pytest.raises(ValueError, match="input scale / 128"):
        hard_swish_table(100.0, 0, 0.1, 0)

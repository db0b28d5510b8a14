"""The fixed-point primitives against their definitions in exact integers."""

from fractions import Fraction

import numpy as np
import pytest

from tensaw.compiler.ir import Requantise, Rounding
from tensaw.model.requantise import high_multiply, multiply, requantise, rounding_shift_right, wrap32

EDGES = [0, 1, -1, 2, -2, 1 << 30, -(1 << 30), (1 << 31) - 1, -(1 << 31), (1 << 30) + 1, -(1 << 30) - 1]


def ties_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


def ties_away(value: Fraction) -> int:
    return ties_up(value) if value >= 0 else -ties_up(-value)


@pytest.fixture
def numbers(rng):
    return EDGES + [int(v) for v in rng.integers(-(1 << 31), 1 << 31, 200)]


def test_high_multiply_rounds_ties_up(numbers, rng):
    for a in numbers:
        b = numbers[int(rng.integers(len(numbers)))]
        assert high_multiply(a, b) == min(ties_up(Fraction(a * b, 1 << 31)), (1 << 31) - 1), (a, b)


def test_high_multiply_saturates_the_only_overflow():
    assert high_multiply(-(1 << 31), -(1 << 31)) == (1 << 31) - 1


def test_rounding_shift_right_rounds_ties_away(numbers):
    for x in numbers:
        for exponent in (0, 1, 2, 7, 30, 31):
            assert rounding_shift_right(x, exponent) == ties_away(Fraction(x, 1 << exponent)), (x, exponent)


@pytest.mark.parametrize("shift", [-31, -8, -1, 0])
def test_single_and_away_round_once(shift, numbers, rng):
    for acc in numbers:
        mantissa = int(rng.integers(1 << 30, 1 << 31))
        exact = Fraction(acc * mantissa, 1 << (31 - shift))
        assert multiply(acc, mantissa, shift, Rounding.SINGLE) == ties_up(exact), (acc, mantissa)
        assert multiply(acc, mantissa, shift, Rounding.AWAY) == ties_away(exact), (acc, mantissa)


def test_the_three_roundings_differ_at_ties():
    half = 1 << 30
    values = [multiply([3, -3, 5, -5], half, 0, rounding).tolist() for rounding in Rounding]
    assert values == [[2, -1, 3, -2], [2, -1, 3, -2], [2, -2, 3, -3]]
    values = [multiply([3, -3], half, -1, rounding).tolist() for rounding in Rounding]
    assert values == [[1, -1], [1, -1], [1, -1]]
    # Twice rounded: 5/4 · 2 -> 3 (up), then 3/2 -> 2; once: 5/4 -> 1.
    assert multiply(5, half, -1, Rounding.DOUBLE) == 2
    assert multiply(5, half, -1, Rounding.SINGLE) == 1


@pytest.mark.parametrize("rounding", list(Rounding))
def test_left_shift_comes_first_and_wraps(rounding):
    assert multiply(5, 1 << 30, 4, rounding) == 40
    assert multiply(1 << 28, 1 << 30, 4, rounding) == 0
    assert wrap32(1 << 31) == -(1 << 31)


def test_requantise_clamps_after_the_zero_point():
    parameters = Requantise(np.array([1 << 30]), np.array([1]), 10, -5, 100, Rounding.DOUBLE)
    assert requantise(np.array([-100, -15, 0, 90, 91, 1000]), parameters).tolist() == [-5, -5, 10, 100, 100, 100]


def test_requantise_per_channel():
    parameters = Requantise(np.array([1 << 30, 1 << 30]), np.array([1, 0]), 0, -128, 127, Rounding.DOUBLE)
    assert requantise(np.array([[10, 10], [-4, -4]]), parameters).tolist() == [[10, 5], [-4, -2]]

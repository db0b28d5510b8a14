"""The steps of softmax: their meaning, and the special values that hardware must get right."""

import math

import numpy as np

from tensaw.compiler.ir import Softmax
from tensaw.compiler.quantise import softmax_scaling
from tensaw.model.softmax import (
    exponent_sum,
    exponent_table,
    exponential,
    one_over_one_plus_x,
    reciprocal,
    scale_outputs,
    softmax,
)


def make(beta: float, scale: float) -> Softmax:
    return Softmax("softmax", "SOFTMAX", ("x",), "y", *softmax_scaling(beta, scale))


def test_exponential_approximates_e():
    values = -np.arange(0, 16 << 26, 12345677, dtype=np.int64)
    expected = np.exp(values / (1 << 26))
    assert np.abs(exponential(values) / (1 << 31) - expected).max() < 2e-7


def test_table_starts_at_one_and_falls_to_zero():
    table = exponent_table(make(1.0, 0.1))
    assert table.dtype == np.int32 and table.shape == (256,)
    assert table[0] == (1 << 31) - 1
    assert np.all(np.diff(table.astype(np.int64)) <= 0)
    assert abs(table[10] / (1 << 31) - math.exp(-1)) < 1e-6


def test_differences_below_diff_min_count_nothing():
    op = make(1.0, 5.0)
    table = exponent_table(op)
    assert op.diff_min > -255
    assert not table[1 - op.diff_min :].any()


def test_sum_is_in_q12_19():
    assert exponent_sum(np.full((1, 3), (1 << 31) - 1)) == 3 << 19


def test_reciprocal_of_powers_of_two_and_others():
    total = np.array([1.0, 2.0, 3.0, 10.0, 511.9])
    mantissa, bits = reciprocal((total * (1 << 19)).astype(np.int64))
    assert bits.tolist() == [0, 1, 1, 3, 8]
    np.testing.assert_allclose(mantissa / 2.0**31 / 2.0**bits, 1 / total, rtol=1e-6)


def test_one_over_one_plus_x_at_the_ends():
    assert one_over_one_plus_x(0) == (1 << 31) - 1
    assert abs(int(one_over_one_plus_x((1 << 31) - 1)) - (1 << 30)) <= 8


def test_a_single_value_is_certain():
    assert softmax(np.array([[5]], np.int8), make(1.0, 0.1)).tolist() == [[127]]
    assert scale_outputs(np.array([[(1 << 31) - 1]]), np.array([(1 << 31) - 1]), np.array([0])).tolist() == [[127]]


def test_rows_are_independent(rng):
    op = make(1.0, 0.05)
    rows = rng.integers(-128, 128, (1, 4, 3, 10), dtype=np.int8)
    together = softmax(rows, op)
    for index in np.ndindex(1, 4, 3):
        np.testing.assert_array_equal(softmax(rows[index][None], op)[0], together[index])

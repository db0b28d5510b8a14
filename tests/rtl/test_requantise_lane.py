"""The requantise lane against the golden operators, all roundings, extreme values included."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.compiler.ir import Rounding
from tensaw.model.requantise import high_multiply, multiply, wrap32
from tensaw.rtl.output.requantise import BYTE_LATENCY, RESULT_LATENCY, ROUNDING_LATENCY, RequantiseLane

EXTREMES = np.array([0, 1, -1, 2, -2, 3, (1 << 31) - 1, -(1 << 31), 1 << 30, -(1 << 30), (1 << 30) - 1])
MULTIPLIERS = np.array([0, 1 << 30, (1 << 31) - 1, (1 << 30) + 1, 1518500250])


def stimuli(rng, count):
    value = np.where(
        rng.random(count) < 0.3,
        rng.choice(EXTREMES, count),
        rng.integers(-(1 << 31), 1 << 31, count) >> rng.integers(0, 31, count),
    )
    addend = np.where(rng.random(count) < 0.5, 0, rng.integers(-(1 << 31), 1 << 31, count))
    multiplier = np.where(
        rng.random(count) < 0.3, rng.choice(MULTIPLIERS, count), rng.integers(1 << 30, 1 << 31, count)
    )
    shift = np.where(rng.random(count) < 0.2, rng.choice([0, -31, 30, -1, 1], count), rng.integers(-14, 3, count))
    # Ties: a multiplier of one half makes the discarded bits those of the value.
    tie = rng.random(count) < 0.3
    multiplier = np.where(tie, 1 << 30, multiplier)
    value = np.where(tie, rng.integers(-64, 65, count), value)
    addend = np.where(tie, 0, addend)
    shift = np.where(tie, rng.integers(-5, 1, count), shift)
    return value, addend, multiplier, shift


def run(columns, enables, inverted=lambda index: False):
    """Results and bytes of the lane for a list of (value, addend, multiplier, shift, rounding, zero, low, high);
    ``inverted``: whose results are."""
    lane = RequantiseLane()
    results, data = [], []

    async def bench(ctx):
        index = 0
        steps = 0
        while len(data) < len(columns):
            enable = bool(enables())
            ctx.set(lane.enable, enable)
            if index < len(columns):
                value, addend, multiplier, shift, *_ = columns[index]
                ctx.set(lane.value, value)
                ctx.set(lane.addend, addend)
                ctx.set(lane.multiplier, multiplier)
                ctx.set(lane.left, max(shift, 0))
                ctx.set(lane.right, max(-shift, 0))
            if 0 <= steps - ROUNDING_LATENCY < len(columns):
                ctx.set(lane.rounding, columns[steps - ROUNDING_LATENCY][4])
            ctx.set(lane.invert, inverted(steps - RESULT_LATENCY + 1))
            late = steps - RESULT_LATENCY
            if 0 <= late < len(columns):
                zero_point, low, high = columns[late][5:]
                ctx.set(lane.zero_point, zero_point)
                ctx.set(lane.low, low)
                ctx.set(lane.high, high)
                ctx.set(lane.least, low - zero_point)
                ctx.set(lane.most, high - zero_point)
            if enable:
                if 0 <= late < len(columns):
                    results.append(ctx.get(lane.result))
                if steps >= BYTE_LATENCY:
                    data.append(ctx.get(lane.byte))
                index += 1
                steps += 1
            await ctx.tick()

    simulator = Simulator(lane)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results), np.array(data)


@pytest.mark.parametrize("rounding", list(Rounding))
def test_equals_the_golden_operator(rounding):
    rng = np.random.default_rng(int(rounding))
    count = 1200
    value, addend, multiplier, shift = stimuli(rng, count)
    zero = rng.integers(-128, 128, count)
    low, high = np.sort(rng.integers(-128, 128, (2, count)), axis=0)
    columns = [
        tuple(int(x) for x in row)
        for row in zip(value, addend, multiplier, shift, np.full(count, int(rounding)), zero, low, high, strict=True)
    ]
    results, data = run(columns, lambda: rng.random() < 0.8)
    expected = multiply(wrap32(value + addend), multiplier, shift, rounding)
    np.testing.assert_array_equal(results, expected)
    np.testing.assert_array_equal(data, np.clip(expected + zero, low, high))


def test_high_multiply_of_negative_multipliers():
    rng = np.random.default_rng(5)
    a, b = rng.integers(-(1 << 31) + 1, 1 << 31, (2, 200))
    columns = [(int(x), 0, int(y), 0, 0, 0, -128, 127) for x, y in zip(a, b, strict=True)]
    results, _ = run(columns, lambda: True)
    np.testing.assert_array_equal(results, high_multiply(a, b))


def test_inverts_results():
    rng = np.random.default_rng(6)
    a, b = rng.integers(-(1 << 31) + 1, 1 << 31, (2, 200))
    columns = [(int(x), 0, int(y), 0, 0, 0, -128, 127) for x, y in zip(a, b, strict=True)]
    results, data = run(columns, lambda: rng.random() < 0.8, lambda index: index % 3 == 0)
    products = high_multiply(a, b)
    expected = np.where(np.arange(200) % 3 == 0, -1 - products, products)
    np.testing.assert_array_equal(results, expected)
    np.testing.assert_array_equal(data, np.clip(expected, -128, 127))

"""The array alone: what the rows of a group see of the positions around a position."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.sim import Simulator

from tensaw.rtl.array.systolic_array import SystolicArray
from tensaw.spec.config import NpuConfig


@pytest.mark.parametrize("column_group", [1, 2])
def test_a_position_sees_the_next_ones_only_in_its_own_groups(column_group: int) -> None:
    # Groups that take no part hold an earlier run's weights, and their columns may belong to the next run already.
    config = NpuConfig(rows=7, columns=3, column_group=column_group, requant_lanes=1)
    rng = np.random.default_rng(column_group)
    weights = rng.integers(-128, 128, (config.rows, config.columns))
    groups = [1, 2, 2, 1, 0, 2, 1, 0, 1, 2, 2, 0, 0]
    vectors = rng.integers(-128, 128, (len(groups), config.groups, config.columns))
    lanes = rng.integers(-128, 128, (len(groups), config.rows))
    for position, count in enumerate(groups):
        vectors[position, count:] = 0
        if count:
            lanes[position] = 0
    array = SystolicArray(config)
    sums = []

    async def drive(ctx) -> None:
        for row in range(config.rows):
            ctx.set(array.weight_select, 1 << row)
            for column in range(config.columns):
                ctx.set(array.weight_row[column], int(weights[row, column]))
            await ctx.tick()
        ctx.set(array.weight_select, 0)
        ctx.set(array.swap, 1)
        for position in range(len(groups) + array.latency(config)):
            inside = position < len(groups)
            ctx.set(array.by_column, (1 << groups[position]) - 1 if inside else 0)
            for row in range(config.rows):
                ctx.set(array.lanes[row], int(lanes[position, row]) if inside else 0)
            for group in range(config.groups):
                for column in range(config.columns):
                    ctx.set(array.columns[group][column], int(vectors[position, group, column]) if inside else 0)
            if position >= array.latency(config):
                sums.append([ctx.get(array.sums[column]) for column in range(config.columns)])
            await ctx.tick()
            ctx.set(array.swap, 0)

    simulator = Simulator(array)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    simulator.run()

    later = np.concatenate([vectors, np.zeros((config.taps, config.groups, config.columns), int)])
    for position, count in enumerate(groups):
        expected = lanes[position] @ weights
        for group in range(count):
            for tap in range(config.taps):
                expected = expected + later[position + tap, group] * weights[config.taps * group + tap]
        np.testing.assert_array_equal(sums[position], expected, err_msg=f"position {position}")

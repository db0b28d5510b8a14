"""The RAM: lanes, hold, and the Verilog module that replaces it on export."""

import re

import numpy as np
import pytest
from amaranth import Module
from amaranth.back import verilog
from amaranth.sim import Simulator

from tensaw.rtl.memory.ram import Ram, ram_module_name, ram_verilog
from tensaw.rtl.shared import ExportPlatform


@pytest.mark.parametrize("seed", range(3))
def test_reads_what_was_written_lane_by_lane(seed):
    rng = np.random.default_rng(seed)
    ram = Ram(20, 24, 8)
    rows = [[0, 0, 0] for _ in range(20)]

    async def bench(ctx):
        held = 0
        for _ in range(300):
            lanes, row, value = int(rng.integers(8)), int(rng.integers(20)), rng.integers(256, size=3)
            enable, other = int(rng.integers(2)), int(rng.integers(20))
            if other == row:
                enable = 0
            ctx.set(ram.write_enable, lanes)
            ctx.set(ram.write_address, row)
            ctx.set(ram.write_data, int(value[0]) | int(value[1]) << 8 | int(value[2]) << 16)
            ctx.set(ram.read_enable, enable)
            ctx.set(ram.read_address, other)
            if enable:
                held = sum(byte << 8 * i for i, byte in enumerate(rows[other]))
            await ctx.tick()
            for lane in range(3):
                if lanes >> lane & 1:
                    rows[row][lane] = int(value[lane])
            assert ctx.get(ram.read_data) == held

    simulator = Simulator(ram)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_export_makes_an_instance_and_registers_its_text():
    platform = ExportPlatform()
    m = Module()
    m.submodules.ram = ram = Ram(256, 32, 8)
    text = verilog.convert(m, platform=platform, ports=[ram.read_data, ram.read_address], emit_src=False)
    name = ram_module_name(256, 32, 8)
    assert re.search(rf"\b{name} \S+ \(", text) and "initial" not in text
    assert platform.texts == {name: ram_verilog(256, 32, 8)}
    assert "reg [31:0] mem [0:255];" in ram_verilog(256, 32, 8)


def test_refuses_lanes_that_do_not_divide_the_row():
    with pytest.raises(ValueError, match="A RAM needs 2 rows or more and a lane that divides the row"):
        ram_verilog(16, 24, 7)

"""The RAM: lanes, hold, and the Verilog module that replaces it on export."""

import re
import shutil
import subprocess

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


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_verilog_with_checks_spoils_lanes_that_are_read_while_they_are_written(tmp_path):
    bench = """
module bench;
  reg clk = 0;
  reg [1:0] write = 0;
  reg [1:0] row = 0;
  wire [15:0] data;
  tensaw_ram_4x16_8 ram(.clk(clk), .write_enable(write), .write_address(2'd1), .write_data(16'h1234),
                        .read_enable(1'b1), .read_address(row), .read_data(data));
  task edges; begin #1 clk = 1; #1 clk = 0; end endtask
  initial begin
    write = 3; row = 2; edges;
    write = 0; row = 1; edges; $display("%h", data);
    write = 1; edges; $display("%h", data);
    write = 2; row = 2; edges; row = 1; write = 0; edges; $display("%h", data);
  end
endmodule
"""
    shown = {}
    for poisoned in (False, True):
        (tmp_path / "ram.v").write_text(bench + ram_verilog(4, 16, 8, poisoned=poisoned))
        subprocess.run(["iverilog", "-o", "ram", "ram.v"], cwd=tmp_path, check=True)
        shown[poisoned] = subprocess.run(
            ["vvp", "./ram"], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout
    assert shown == {False: "1234\n1234\n1234\n", True: "1234\n12cb\n1234\n"}


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
@pytest.mark.parametrize("depth", [1024, 1025, 3000, 3072, 7000])
def test_verilog_of_any_depth_reads_what_was_written_and_holds_it(tmp_path, depth):
    rng = np.random.default_rng(depth)
    edges = [row for power in range(9, 13) for row in ((1 << power) - 1, 1 << power, 3 << power) if row < depth]
    rows = [0, depth - 1, *edges]
    steps, expected, memory, held = [], [], dict.fromkeys(rows, 0), None
    for row in rows:  # no row's contents end up in another one's place
        steps.append((3, row, row, 0, 0))
        memory[row] = row
    for _ in range(400):
        write, enable = int(rng.integers(4)), int(rng.integers(4) != 0)
        row, other = (rows[int(place)] for place in rng.integers(len(rows), size=2))
        value = int(rng.integers(1 << 16))
        enable &= row != other
        steps.append((write, row, value, enable, other))
        held = memory[other] if enable else held
        mask = 0xFF * (write & 1) | 0xFF00 * (write >> 1)
        memory[row] = memory[row] & ~mask | value & mask
        if held is not None:
            expected.append(f"{held:04x}")
    address = (depth - 1).bit_length()
    lines = "\n".join(
        f"    write = {write}; row = {row}; value = {value}; enable = {enable}; other = {other}; "
        '#1 clk = 1; #1 clk = 0; if (read) $display("%h", data);'
        for write, row, value, enable, other in steps
    )
    bench = f"""
module bench;
  reg clk = 0, enable = 0, read = 0;
  reg [1:0] write = 0;
  reg [{address - 1}:0] row = 0, other = 0;
  reg [15:0] value = 0;
  wire [15:0] data;
  {ram_module_name(depth, 16, 8)} ram(.clk(clk), .write_enable(write), .write_address(row), .write_data(value),
    .read_enable(enable), .read_address(other), .read_data(data));
  always @(posedge clk) if (enable) read <= 1;
  initial begin
{lines}
  end
endmodule
"""
    (tmp_path / "ram.v").write_text(bench + ram_verilog(depth, 16, 8))
    subprocess.run(["iverilog", "-o", "ram", "ram.v"], cwd=tmp_path, check=True)
    shown = subprocess.run(["vvp", "./ram"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown.split() == expected

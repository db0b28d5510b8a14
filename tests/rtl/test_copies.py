"""Copies of a register that synthesis keeps apart."""

import json

from amaranth import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tensaw.fpga.tools import find_tool, run
from tensaw.rtl.copies import COPY_MODULE, copied, copy_verilog
from tensaw.rtl.export import platform_verilog
from tensaw.rtl.shared import ExportPlatform, Placed


class Spread(wiring.Component):
    """One bit for several users."""

    value: Signal
    users: Signal

    def __init__(self, users: int) -> None:
        self.count = users
        super().__init__({"value": In(1), "users": Out(users)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for user in range(self.count):
            copy = copied(m, platform, f"user{user}", self.value | ResetSignal())
            with m.If(~copy):  # each of its own
                m.d.sync += self.users[user].eq(~self.users[user])
        return m


def test_synthesis_keeps_every_copy(tmp_path) -> None:
    platform = ExportPlatform(blocks={"spread": Placed(Spread(5), (5,))})
    text = platform_verilog("spread", platform, "test")
    assert text.count(f"  {COPY_MODULE} user") == 5 and copy_verilog() in text
    (tmp_path / "spread.v").write_text(text)
    (tmp_path / "run.ys").write_text(
        "read_verilog spread.v\nsynth_ecp5 -abc9 -top spread\ntee -o count.json stat -json\n"
    )
    run(find_tool("yosys"), ["-s", "run.ys"], tmp_path, tmp_path / "log")
    assert json.loads((tmp_path / "count.json").read_text())["design"]["num_cells_by_type"]["TRELLIS_FF"] == 5 + 5


def test_a_copy_is_a_cycle_late_and_1_at_first() -> None:
    dut = Spread(2)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx) -> None:
        seen = []
        for value in (0, 0, 1, 0, 0, 0):
            ctx.set(dut.value, value)
            seen.append(ctx.get(dut.users))
            await ctx.tick()
        # Held in the first cycle by what stands at power-up, and in the cycle after the 1.
        assert seen == [0, 0, 3, 0, 0, 3]

    simulator.add_testbench(bench)
    simulator.run()

"""The parts of the export: placing blocks, and tidying text."""

from __future__ import annotations

import gc
import re

import pytest
from amaranth import Module, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tensaw.rtl.shared import ExportPlatform, module_name, place
from tensaw.rtl.verilog.text import merge_modules, prune_wires, tidy


class Delay(wiring.Component):
    """Repeats its input."""

    given: Signal
    repeated: Signal

    def __init__(self, width: int) -> None:
        super().__init__({"given": In(width), "repeated": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.repeated.eq(self.given)
        return m


class Pair(wiring.Component):
    """Two in a row."""

    given: Signal
    repeated: Signal
    clear: Signal

    def __init__(self, widths: tuple[int, int] = (8, 8)) -> None:
        self.widths = widths
        super().__init__({"given": In(8), "repeated": Out(8), "clear": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = place(m, platform, "first", Delay, self.widths[0], reset=self.clear)
        second = place(m, platform, "second", Delay, self.widths[1])
        m.d.comb += [
            first.given.eq(self.given),
            second.given.eq(first.repeated),
            self.repeated.eq(second.repeated),
        ]
        return m


def test_module_names() -> None:
    assert module_name(Delay) == "tensaw_delay"
    assert module_name(type("AxiLitePort", (wiring.Component,), {})) == "tensaw_axi_lite_port"


def test_placed_blocks_are_submodules_in_simulation() -> None:
    pair = Pair()

    async def bench(ctx):
        ctx.set(pair.given, 7)
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(pair.repeated) == 7
        ctx.set(pair.clear, 1)
        await ctx.tick()
        assert ctx.get(pair.repeated) == 7
        await ctx.tick()
        assert ctx.get(pair.repeated) == 0

    simulator = Simulator(pair)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_placed_blocks_are_instances_on_export() -> None:
    platform = ExportPlatform()
    text = rtlil.convert(Pair(), platform=platform, emit_src=False)
    assert re.findall(r"cell \\tensaw_delay \\(\w+)", text) == ["first", "second"]
    assert list(platform.blocks) == ["tensaw_delay"]
    delay = platform.blocks["tensaw_delay"].component
    ports = re.findall(r"(?:in|out)put \d+  ?\\(\w+)", rtlil.convert(delay, "tensaw_delay", platform, emit_src=False))
    assert sorted(ports) == ["clk", "given", "repeated", "rst"]


# Amaranth warns of hardware that is made and not used: here, not in some later test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*never used")
def test_one_module_name_is_one_hardware() -> None:
    with pytest.raises(ValueError, match=r"'tensaw_delay' is Delay\(8,\) already, it cannot be Delay\(9,\) as well"):
        rtlil.convert(Pair((8, 9)), platform=ExportPlatform(), emit_src=False)
    gc.collect()


MODULE = r"""module top(a, b);
  input a;
  wire a;
  output b;
  wire b;
  wire \$1 ;
  wire \x.y ;
  wire unused;
  assign \$1  = ~ a;
  assign \x.y  = a;
  assign unused = \x.y ;
  assign b = \$1 ;
endmodule
"""


def test_wires_that_nothing_reads_go() -> None:
    pruned = prune_wires(MODULE)
    assert "unused" not in pruned and "x.y" not in pruned
    assert "assign b = \\$1 ;" in pruned


def test_names_need_no_escapes_and_ports_one_line() -> None:
    text = tidy(prune_wires(MODULE))
    assert "\\" not in text and "assign b = _1;" in text
    assert text.count("  output b;\n") == 1 and "wire b;" not in text


def test_names_that_are_taken_stay_escaped() -> None:
    assert "assign b = \\$1 ;" in tidy(MODULE.replace("unused", "_1"))


def test_blocks_of_one_assignment_are_evaluated_at_the_start() -> None:
    text = tidy("module m(a);\n  output a;\n  reg a;\n  always @*\n    a = 1'h1;\nendmodule\n")
    assert "  reg initially;\n  initial initially <= 1'b1;\n" in text
    assert "  always @* begin\n    if (initially) begin end\n    a = 1'h1;\n  end\n" in text


def test_equal_modules_become_one_with_the_common_name() -> None:
    leaf = "(clk);\n  input clk;\nendmodule\n"
    top = "".join(f"  \\tensaw_top.queue_{name} {name} (\n    .clk(clk)\n  );\n" for name in ("load", "store"))
    queues = "".join(f"module \\tensaw_top.queue_{name} {leaf}" for name in ("load", "store"))
    found = merge_modules(f"{queues}module top (clk);\n  input clk;\n{top}endmodule\n", "top")
    assert list(found) == ["top", "tensaw_top_queue"]
    assert "  tensaw_top_queue load(\n" in found["top"] and "  tensaw_top_queue store(\n" in found["top"]

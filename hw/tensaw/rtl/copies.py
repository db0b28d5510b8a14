"""Copies of one register, close to where each is used: what hangs on a single one is spread over the whole device."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Signal, ValueLike

from tensaw.rtl.shared import ExportPlatform

__all__ = ["COPY_MODULE", "copied", "copy_verilog"]

COPY_MODULE = "tensaw_copy"


def copy_verilog() -> str:
    """Verilog text of :data:`COPY_MODULE`: a register, 1 at power-up, that synthesis is told to keep although others
    hold the same. Yosys merges registers unless that stands at the process; at the signal, too, it would keep ABC9 from
    making the whole design's logic smaller."""
    return f"""\
module {COPY_MODULE} (
  input clk,
  input d,
  output q
);
  reg value = 1'b1;
  (* keep *) always @(posedge clk) value <= d;
  assign q = value;
endmodule
"""


def copied(m: Module, platform: Any, name: str, value: ValueLike) -> Signal:
    """``value`` (one bit) a cycle later, from a register called ``name`` that belongs to its user alone: 1 at power-up,
    and without a reset, so ``value`` must include one where it matters."""
    copy = Signal(name=name, init=1, reset_less=True)
    if not isinstance(platform, ExportPlatform):
        m.d.sync += copy.eq(value)
        return copy
    platform.texts[COPY_MODULE] = copy_verilog()
    m.submodules[name] = Instance(COPY_MODULE, i_clk=ClockSignal(), i_d=value, o_q=copy)
    return copy

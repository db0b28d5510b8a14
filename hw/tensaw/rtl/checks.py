"""Promises that a block makes to itself: held in every simulation, proved by the proofs, never synthesised."""

from __future__ import annotations

import re
from typing import Any

from amaranth.hdl import Assert, ClockSignal, Instance, Module, ResetSignal, Signal, Value, ValueLike

from tensaw.rtl.shared import ExportPlatform
from tensaw.spec.simulation import CHECK_PREFIX

__all__ = ["CHECK_MODULE", "FORMAL", "check", "check_held", "check_verilog"]

FORMAL = "formal"
"""The platform for which proofs elaborate the hardware (a word that Amaranth's own FIFOs know as well)."""

CHECK_MODULE = "tensaw_check"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MESSAGE = re.compile(r"[ !#&-\[\]^-z|~]+")  # printable, without what a string or format would take as its own: "$%\{}`


def check(m: Module, platform: Any, condition: ValueLike, name: str, message: str) -> None:
    """Promise that ``condition`` is not 0 at any clock edge outside of reset.

    ``name``, unique in the block, is a word of small letters; ``message`` says what would be wrong. Where the promise
    is broken, Python's simulator raises AssertionError, generated Verilog prints a line that begins with
    ``tensaw.spec.simulation.CHECK_PREFIX`` and ends the simulation, and a proof fails. Verilog holds checks only if it
    was asked for them (``ExportPlatform.checks``), and synthesis takes none of them in.

    Raises ValueError for a name or message that would not survive in all these places.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"A check's name is a word of small letters, digits and underscores, not {name!r}.")
    if not _MESSAGE.fullmatch(message):
        raise ValueError(f"A check's message is plain text without quotes, braces, %, $ and backslashes: {message!r}.")
    holds = Value.cast(condition).bool()
    if platform == FORMAL:
        m.d.comb += Assert(holds, f"{name}: {message}")
    elif not isinstance(platform, ExportPlatform):
        m.d.sync += Assert(holds, f"{name}: {message}")
    elif platform.checks:
        platform.texts[CHECK_MODULE] = check_verilog()
        m.submodules[f"check_{name}"] = Instance(
            CHECK_MODULE, p_NAME=name, p_MESSAGE=message, i_clk=ClockSignal(), i_rst=ResetSignal(), i_holds=holds
        )


def check_held(m: Module, platform: Any, name: str, valid: ValueLike, ready: ValueLike, payload: ValueLike) -> None:
    """Promise the rule of streams: what is offered and not taken is offered again in the next cycle, unchanged."""
    if isinstance(platform, ExportPlatform) and not platform.checks:
        return
    payload = Value.cast(payload)
    waited = Signal(name=f"{name}_waited")
    before = Signal(len(payload), name=f"{name}_before", reset_less=True)
    m.d.sync += [waited.eq(Value.cast(valid) & ~Value.cast(ready)), before.eq(payload)]
    kept = ~waited | (Value.cast(valid) & (before == payload))
    check(m, platform, kept, f"{name}_held", f"{name} was withdrawn or changed before it was taken")


def check_verilog() -> str:
    """Verilog-2005 text of :data:`CHECK_MODULE`."""
    return f"""\
// A promise that a block makes to itself. A simulation in which it is broken says so and ends; synthesis, which defines
// SYNTHESIS, sees an empty module.
// verilator lint_off UNUSEDPARAM
module {CHECK_MODULE} #(
  parameter NAME = "",
  parameter MESSAGE = ""
) (
  input clk,
  input rst,
  input holds
);
`ifndef SYNTHESIS
  always @(posedge clk)
    if (!rst && !holds) begin
      $display("{CHECK_PREFIX}%m, %0s: %0s", NAME, MESSAGE);
      $finish;
    end
`endif
endmodule
// verilator lint_on UNUSEDPARAM
"""

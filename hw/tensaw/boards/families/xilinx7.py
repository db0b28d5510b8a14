"""Xilinx 7 series. No SDRAM."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Instance, IOPort, Module, Signal, Value

from tensaw.boards.pll import Xilinx7Pll

__all__ = ["Xilinx7"]


class Xilinx7:
    """See tensaw.boards.families.pads.Pads."""

    def clock(self, m: Module, pin: IOPort, settings: Any) -> tuple[Value, Value, Value]:
        assert isinstance(settings, Xilinx7Pll)
        source, feedback, made, clock, locked = (
            Signal(name=name) for name in ("source", "feedback", "made", "clock", "locked")
        )
        m.submodules.clock_pad = Instance("IBUF", i_I=pin, o_O=source)
        period = 1e9 * settings.multiply / settings.divide / settings.output_divider / settings.frequency
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=f"{period:.3f}",
            p_DIVCLK_DIVIDE=settings.divide,
            p_CLKFBOUT_MULT=settings.multiply,
            p_CLKOUT0_DIVIDE=settings.output_divider,
            i_CLKIN1=source, i_CLKFBIN=feedback, o_CLKFBOUT=feedback, o_CLKOUT0=made, o_LOCKED=locked,
            i_PWRDWN=Const(0), i_RST=Const(0),
        )  # fmt: skip
        m.submodules.clock_buffer = Instance("BUFG", i_I=made, o_O=clock)
        return clock, clock, locked

    def input(self, m: Module, name: str, pin: IOPort) -> Value:
        value = Signal(name=f"{name}_in")
        m.submodules[f"{name}_pad"] = Instance("IBUF", i_I=pin, o_O=value)
        return value

    def output(self, m: Module, name: str, pin: IOPort, value: Value) -> None:
        for bit in range(len(pin)):
            m.submodules[f"{name}_pad{bit}"] = Instance("OBUF", i_I=value[bit], o_O=pin[bit])

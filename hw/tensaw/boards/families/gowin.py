"""Gowin GW2A. Its pads' registers are plain flip-flops, which the router places beside them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Instance, IOPort, Module, Signal, Value

from tensaw.boards.pll import GowinPll

__all__ = ["Gowin"]


class Gowin:
    """See tensaw.boards.families.pads.MemoryPads."""

    def clock(self, m: Module, pin: IOPort, settings: Any) -> tuple[Value, Value, Value]:
        assert isinstance(settings, GowinPll)
        source, clock, shifted, locked = (Signal(name=name) for name in ("source", "clock", "shifted", "locked"))
        m.submodules.clock_pad = Instance("IBUF", i_I=pin, o_O=source)
        # PSDA_SEL is the phase in sixteenths of the period; the duty setting half a period behind it keeps 50 %.
        sixteenth = settings.phase * 16 // 360
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE="GW2AR-18C", p_FCLKIN=f"{settings.frequency / (settings.fbdiv_sel + 1) / 1e6:g}",
            p_IDIV_SEL=settings.idiv_sel, p_FBDIV_SEL=settings.fbdiv_sel, p_ODIV_SEL=settings.odiv_sel,
            p_PSDA_SEL=f"{sixteenth:04b}", p_DUTYDA_SEL=f"{(sixteenth + 8) % 16:04b}",
            p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false", p_DYN_ODIV_SEL="false", p_DYN_DA_EN="false",
            p_CLKFB_SEL="internal", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false", p_CLKOUTD_BYPASS="false",
            p_CLKOUTP_DLY_STEP=0, p_CLKOUT_DLY_STEP=0, p_CLKOUTP_FT_DIR=Const(1, 1), p_CLKOUT_FT_DIR=Const(1, 1),
            i_CLKIN=source, i_CLKFB=Const(0), i_RESET=Const(0), i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6), i_IDSEL=Const(0, 6), i_ODSEL=Const(0, 6), i_PSDA=Const(0, 4), i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4), o_CLKOUT=clock, o_CLKOUTP=shifted, o_LOCK=locked,
        )  # fmt: skip
        return clock, shifted, locked

    def input(self, m: Module, name: str, pin: IOPort) -> Value:
        value = Signal(name=f"{name}_in")
        m.submodules[f"{name}_pad"] = Instance("IBUF", i_I=pin, o_O=value)
        return value

    def output(self, m: Module, name: str, pin: IOPort, value: Value) -> None:
        for bit in range(len(pin)):
            m.submodules[f"{name}_pad{bit}"] = Instance("OBUF", i_I=value[bit], o_O=pin[bit])

    def registered_output(self, m: Module, name: str, pin: IOPort, value: Value, clock: Value) -> None:
        out = Signal(len(pin), name=f"{name}_out")
        m.d.sync += out.eq(value)
        self.output(m, name, pin, out)

    def registered_inout(self, m: Module, name: str, pin: IOPort, value: Value, enable: Value, clock: Value) -> Value:
        out, back, taken = (Signal(len(pin), name=f"{name}_{part}") for part in ("out", "in", "taken"))
        off = Signal(name=f"{name}_off", init=1)
        m.d.sync += [out.eq(value), off.eq(~enable), taken.eq(back)]
        for bit in range(len(pin)):
            m.submodules[f"{name}_pad{bit}"] = Instance("IOBUF", i_I=out[bit], i_OEN=off, o_O=back[bit], io_IO=pin[bit])
        return taken

    def clock_output(self, m: Module, name: str, pin: IOPort, clock: Value) -> None:
        out = Signal(name=f"{name}_out")
        m.submodules[f"{name}_ddr"] = Instance(
            "ODDR", p_TXCLK_POL=Const(0, 1), p_INIT=Const(0, 1), i_CLK=clock, i_D0=Const(1), i_D1=Const(0),
            i_TX=Const(0), o_Q0=out,
        )  # fmt: skip
        m.submodules[f"{name}_pad"] = Instance("OBUF", i_I=out, o_O=pin)

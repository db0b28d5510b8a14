"""Lattice ECP5."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Instance, IOPort, Module, Signal, Value

from tensaw.boards.pll import Ecp5Pll

__all__ = ["Ecp5"]


class Ecp5:
    """See tensaw.boards.families.pads.MemoryPads."""

    def clock(self, m: Module, pin: IOPort, settings: Any) -> tuple[Value, Value, Value]:
        assert isinstance(settings, Ecp5Pll)
        source, clock, shifted, locked = (Signal(name=name) for name in ("source", "clock", "shifted", "locked"))
        m.submodules.clock_pad = Instance("IB", i_I=pin, o_O=source)
        zero, coarse, fine = settings.phases
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=settings.input_divider,
            p_CLKFB_DIV=settings.feedback_divider,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=settings.output_divider, p_CLKOP_CPHASE=zero, p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=settings.output_divider, p_CLKOS_CPHASE=coarse, p_CLKOS_FPHASE=fine,
            # Settings of the analogue part, as Lattice's tool writes them.
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            i_RST=Const(0), i_STDBY=Const(0), i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1), i_PHASELOADREG=Const(1), i_PLLWAKESYNC=Const(0), i_ENCLKOP=Const(0),
            i_CLKI=source, i_CLKFB=clock, o_CLKOP=clock, o_CLKOS=shifted, o_LOCK=locked,
        )  # fmt: skip
        return clock, shifted, locked

    def input(self, m: Module, name: str, pin: IOPort) -> Value:
        value = Signal(name=f"{name}_in")
        m.submodules[f"{name}_pad"] = Instance("IB", i_I=pin, o_O=value)
        return value

    def output(self, m: Module, name: str, pin: IOPort, value: Value) -> None:
        for bit in range(len(pin)):
            m.submodules[f"{name}_pad{bit}"] = Instance("OB", i_I=value[bit], o_O=pin[bit])

    def registered_output(self, m: Module, name: str, pin: IOPort, value: Value, clock: Value) -> None:
        for bit in range(len(pin)):
            out = Signal(name=f"{name}_out{bit}")
            m.submodules[f"{name}_register{bit}"] = _register("OFS1P3DX", value[bit], out, clock)
            m.submodules[f"{name}_pad{bit}"] = Instance("OB", i_I=out, o_O=pin[bit])

    def registered_inout(self, m: Module, name: str, pin: IOPort, value: Value, enable: Value, clock: Value) -> Value:
        taken = Signal(len(pin), name=f"{name}_taken")
        for bit in range(len(pin)):
            out, off, back = (Signal(name=f"{name}_{part}{bit}") for part in ("out", "off", "in"))
            m.submodules[f"{name}_register{bit}"] = _register("OFS1P3DX", value[bit], out, clock)
            m.submodules[f"{name}_enable{bit}"] = _register("OFS1P3DX", ~enable, off, clock)
            m.submodules[f"{name}_capture{bit}"] = _register("IFS1P3DX", back, taken[bit], clock)
            m.submodules[f"{name}_pad{bit}"] = Instance("BB", i_I=out, i_T=off, o_O=back, io_B=pin[bit])
        return taken

    def clock_output(self, m: Module, name: str, pin: IOPort, clock: Value) -> None:
        out = Signal(name=f"{name}_out")
        m.submodules[f"{name}_ddr"] = Instance(
            "ODDRX1F", i_SCLK=clock, i_RST=Const(0), i_D0=Const(1), i_D1=Const(0), o_Q=out
        )
        m.submodules[f"{name}_pad"] = Instance("OB", i_I=out, o_O=pin)


def _register(kind: str, value: Any, out: Any, clock: Value) -> Instance:
    """A register of an I/O cell."""
    return Instance(kind, i_SCLK=clock, i_SP=Const(1), i_CD=Const(0), i_D=value, o_Q=out)

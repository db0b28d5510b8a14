"""Lattice iCE40 UltraPlus. No SDRAM."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Instance, IOPort, Module, Signal, Value

from tensaw.boards.pll import Ice40Pll

__all__ = ["Ice40"]

_INPUT, _OUTPUT = 0b0000_01, 0b0110_01
"""PIN_TYPE of SB_IO: plain input, plain output."""


class Ice40:
    """See tensaw.boards.families.pads.Pads."""

    def clock(self, m: Module, pin: IOPort, settings: Any) -> tuple[Value, Value, Value]:
        assert isinstance(settings, Ice40Pll)
        clock, locked = Signal(name="clock"), Signal(name="locked")
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE", p_DIVR=Const(settings.divr, 4), p_DIVF=Const(settings.divf, 7),
            p_DIVQ=Const(settings.divq, 3), p_FILTER_RANGE=Const(settings.filter_range, 3),
            i_PACKAGEPIN=pin, i_RESETB=Const(1), i_BYPASS=Const(0), o_PLLOUTGLOBAL=clock, o_LOCK=locked,
        )  # fmt: skip
        return clock, clock, locked

    def input(self, m: Module, name: str, pin: IOPort) -> Value:
        value = Signal(name=f"{name}_in")
        m.submodules[f"{name}_pad"] = Instance(
            "SB_IO", p_PIN_TYPE=Const(_INPUT, 6), p_PULLUP=Const(1, 1), io_PACKAGE_PIN=pin, o_D_IN_0=value
        )
        return value

    def output(self, m: Module, name: str, pin: IOPort, value: Value) -> None:
        for bit in range(len(pin)):
            m.submodules[f"{name}_pad{bit}"] = Instance(
                "SB_IO", p_PIN_TYPE=Const(_OUTPUT, 6), io_PACKAGE_PIN=pin[bit], i_D_OUT_0=value[bit]
            )

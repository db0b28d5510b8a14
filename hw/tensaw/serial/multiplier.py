"""The serial core's wide multiplier."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WideMultiplier"]


class WideMultiplier(wiring.Component):
    """Unsigned 32 × 32 bits, of four multipliers of 16 × 16.

    Members
    -------
    start : In(1), a : In(32), b : In(32)
        Multiply what is there in this cycle.
    lower : Out(32), upper : Out(32)
        The product of the last ``start``.

    Timing
    ------
    The product is there from the cycle after ``start`` on. No reset.
    """

    start: Signal
    a: Signal
    b: Signal
    lower: Signal
    upper: Signal

    def __init__(self) -> None:
        super().__init__({"start": In(1), "a": In(32), "b": In(32), "lower": Out(32), "upper": Out(32)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        parts = {}
        for high_a in range(2):
            for high_b in range(2):
                part = Signal(32, reset_less=True, name=f"part_{high_a}{high_b}")
                with m.If(self.start):
                    m.d.sync += part.eq(self.a.word_select(high_a, 16) * self.b.word_select(high_b, 16))
                parts[high_a, high_b] = part
        middle, above = Signal(33), Signal(34)
        m.d.comb += [
            middle.eq(parts[0, 1] + parts[1, 0]),
            above.eq(middle + parts[0, 0][16:]),
            self.lower.eq(Cat(parts[0, 0][:16], above[:16])),
            self.upper.eq(parts[1, 1] + above[16:]),
        ]
        return m

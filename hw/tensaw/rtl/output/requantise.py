"""One lane of the output stage: 32-bit multiply, two roundings, clamp to int8."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.compiler.ir import Rounding

__all__ = ["BYTE_LATENCY", "RESULT_LATENCY", "RequantiseLane"]

RESULT_LATENCY = 7
"""Enabled cycles from the operands to ``result``."""
BYTE_LATENCY = 8
"""Enabled cycles from the operands to ``byte``."""


def _high_part(m: Module, x: Value, multiplier: Value, nudge: Value) -> Signal:
    """``(x * multiplier + nudge) >> 31`` three registers later; ``nudge`` belongs to the cycle after the operands.

    Four products of 16 × 16 bits, then two additions, each behind its register, as an FPGA's multipliers like it.
    """
    x_low, x_high = x[:16], x[16:].as_signed()
    m_low, m_high = multiplier[:16], multiplier[16:].as_signed()
    low = Signal(32, reset_less=True)
    high = Signal(signed(32), reset_less=True)
    cross_a = Signal(signed(33), reset_less=True)
    cross_b = Signal(signed(33), reset_less=True)
    outer = Signal(signed(64), reset_less=True)
    middle = Signal(signed(34), reset_less=True)
    result = Signal(signed(32), reset_less=True)
    m.d.sync += [
        low.eq(x_low * m_low),
        high.eq(x_high * m_high),
        cross_a.eq(x_high * m_low),
        cross_b.eq(m_high * x_low),
        outer.eq(Cat(low, high).as_signed() + nudge),
        middle.eq(cross_a + cross_b),
        result.eq((outer[16:].as_signed() + middle) >> 15),
    ]
    return result


def _sum(a: Value, b: Value, carry: Value) -> Value:
    """``a + b + carry``, both signed, by one adder: the carry rises out of a bit below theirs."""
    return (Cat(carry, a).as_signed() + Cat(carry, b).as_signed())[1:].as_signed()


class RequantiseLane(wiring.Component):
    """``byte = clamp(round((value + addend + carry) * multiplier * 2**(shift - 31)) + zero_point)``.

    The three roundings are those of :class:`tensaw.compiler.ir.Rounding`, made of one product P with a nudge below its
    bit 31 and one rounding right shift by s = max(-shift, 0):

    - h = (P + nudge) >> 31 with nudge 2**30 for DOUBLE and for s = 0, else 0; AWAY takes 1 off where P < 0;
    - result = (h + 2**(s-1)) >> s, DOUBLE taking 1 off the sum where h < 0 (ties away from zero); h for s = 0.

    Members
    -------
    enable : In(1)
        All registers advance.
    value, addend : In(signed 32), carry : In(1)
        Added in 32 bits; the sum wraps around, as does its shift to the left.
    multiplier : In(signed 32)
    shift : In(signed 6)
        -31 to 30.
    rounding : In(2)
        DOUBLE also for negative multipliers; SINGLE and AWAY for multipliers that are not negative.
    zero_point, low, high : In(signed 8)
        Used :data:`RESULT_LATENCY` cycles later than the operands: give them then.
    result : Out(signed 32)
        Before zero point and clamp.
    byte : Out(signed 8)

    Timing
    ------
    One operation each enabled cycle; ``result`` after 7, ``byte`` after 8 enabled cycles. Nothing is reset.
    """

    enable: Signal
    value: Signal
    addend: Signal
    carry: Signal
    multiplier: Signal
    shift: Signal
    rounding: Signal
    zero_point: Signal
    low: Signal
    high: Signal
    result: Signal
    byte: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "value": In(signed(32)),
                "addend": In(signed(32)),
                "carry": In(1),
                "multiplier": In(signed(32)),
                "shift": In(signed(6)),
                "rounding": In(2),
                "zero_point": In(signed(8)),
                "low": In(signed(8)),
                "high": In(signed(8)),
                "result": Out(signed(32)),
                "byte": Out(signed(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        body = Module()  # everything that `enable` holds

        def delayed(value: Value, cycles: int, name: str) -> Value:
            for cycle in range(cycles):
                register = Signal.like(value, name=f"{name}{cycle + 1}", reset_less=True)
                body.d.sync += register.eq(value)
                value = register
            return value

        # Cycle 0: sum. Cycle 1: shift left.
        total = Signal(signed(32), reset_less=True)
        x = Signal(signed(32), reset_less=True)
        left = Mux(self.shift < 0, 0, self.shift[:5])
        right = Mux(self.shift < 0, (-self.shift)[:5], 0)
        body.d.sync += [
            total.eq(_sum(self.value, self.addend, self.carry)),
            x.eq((total << delayed(left, 1, "left"))[:32].as_signed()),
        ]

        # Cycles 2 to 4: product. What the nudge needs is known beside the partial products.
        multiplier = delayed(self.multiplier, 2, "multiplier")
        rounding = delayed(self.rounding, 3, "rounding")
        right = delayed(right, 3, "right")
        negative = Signal(reset_less=True)
        body.d.sync += negative.eq((x < 0) & multiplier.any())
        half = Mux((rounding == Rounding.DOUBLE) | (right == 0), Const(1 << 30, 32), Const(0, 32))
        nudge = half.as_signed() - (negative & (rounding == Rounding.AWAY))
        product = _high_part(body, x, multiplier, nudge)

        # Cycle 5: rounding addend of the right shift, 2**(right-1); for ties away from zero, one less below zero. It is
        # made of the ones below it, known early, and of a one that is left out.
        double = delayed(rounding == Rounding.DOUBLE, 2, "double")
        right = delayed(right, 1, "right_late")
        below, some = Signal(32, reset_less=True), Signal(reset_less=True)
        body.d.sync += [below.eq(Cat(right > bit + 1 for bit in range(30))), some.eq(right != 0)]
        right = delayed(right, 1, "right_later")
        rounded = Signal(signed(33), reset_less=True)
        body.d.sync += rounded.eq(_sum(product, below.as_signed(), some & ~(double & (product < 0))))

        # Cycle 6: shift right. Cycle 7: zero point and clamp. Beyond ±256 the sign decides; else the sum is compared
        # with bounds from which the zero point was taken, not added up first.
        result = Signal(signed(32), reset_less=True)
        byte = Signal(signed(8), reset_less=True)
        near = result[:9].as_signed()
        fits = result[8:].all() | ~result[8:].any()
        least, most = Signal(signed(9)), Signal(signed(9))
        under, over = Signal(), Signal()
        body.d.comb += [
            least.eq(self.low - self.zero_point),
            most.eq(self.high - self.zero_point),
            under.eq(Mux(fits, near < least, result < 0)),
            over.eq(Mux(fits, near > most, result >= 0)),
        ]
        body.d.sync += [
            result.eq(rounded >> delayed(right, 1, "right_last")),
            byte.eq(Mux(under, self.low, Mux(over, self.high, (result[:8] + self.zero_point)[:8]))),
        ]
        m.d.comb += [self.result.eq(result), self.byte.eq(byte)]
        m.submodules.pipeline = EnableInserter(self.enable)(body)
        return m

"""One lane of the output stage: 32-bit multiply, two roundings, clamp to int8."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.compiler.ir import Rounding
from tensaw.rtl.array.multiplier import has_registers, registered_product

__all__ = ["BYTE_LATENCY", "RESULT_LATENCY", "ROUNDING_LATENCY", "RequantiseLane"]

ROUNDING_LATENCY = 3
"""Enabled cycles from the operands to the use of ``rounding``."""
RESULT_LATENCY = 7
"""Enabled cycles from the operands to ``result``."""
BYTE_LATENCY = 8
"""Enabled cycles from the operands to ``byte``."""


def _sum(a: Value, b: Value, carry: Value) -> Value:
    """``a + b + carry``, both signed, by one adder: the carry rises out of a bit below theirs."""
    return (Cat(carry, a).as_signed() + Cat(carry, b).as_signed())[1:].as_signed()


class RequantiseLane(wiring.Component):
    """``byte = clamp(round((value + addend + carry) * 2**left * multiplier * 2**(-31 - right)) + zero_point)``.

    The three roundings are those of :class:`tensaw.compiler.ir.Rounding`. With the product P and s = right, each is one
    sum and one shift, ((P >> 31) + h) >> s; b being the product's bit 30, h is

    - for s = 0: b. For s > 0: 2**(s-1), and for DOUBLE, which has rounded to P's bit 31 before, 2**(s-1) + b;
    - 1 less where P < 0 and ties go away from zero: for DOUBLE if s > 0, for AWAY if no bit below those that h
      rounds by is set.

    Members
    -------
    enable : In(1)
        All registers advance.
    value, addend : In(signed 32), carry : In(1)
        Added in 32 bits; the sum wraps around, as does its shift to the left.
    left, right : In(5)
        One of them is 0.
    multiplier : In(signed 32)
    rounding : In(2)
        Used :data:`ROUNDING_LATENCY` cycles later than the operands: give it then. DOUBLE also for negative
        multipliers; SINGLE and AWAY for multipliers that are not negative.
    invert : In(1)
        ``result`` is to be -1 - result. Used a cycle before ``result`` is there.
    zero_point, low, high : In(signed 8), least, most : In(signed 9)
        ``least`` is low - zero_point, ``most`` is high - zero_point. Used :data:`RESULT_LATENCY` cycles later than the
        operands.
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
    left: Signal
    right: Signal
    multiplier: Signal
    rounding: Signal
    invert: Signal
    zero_point: Signal
    low: Signal
    high: Signal
    least: Signal
    most: Signal
    result: Signal
    byte: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "value": In(signed(32)),
                "addend": In(signed(32)),
                "carry": In(1),
                "left": In(5),
                "right": In(5),
                "multiplier": In(signed(32)),
                "rounding": In(2),
                "invert": In(1),
                "zero_point": In(signed(8)),
                "low": In(signed(8)),
                "high": In(signed(8)),
                "least": In(signed(9)),
                "most": In(signed(9)),
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
        body.d.sync += total.eq(_sum(self.value, self.addend, self.carry))
        shifted = (total << delayed(self.left, 1, "left"))[:32].as_signed()

        # Cycles 2 to 4: product.
        multiplier = delayed(self.multiplier, 1, "multiplier")
        product, some_below = self._product(m, body, shifted, multiplier, has_registers(platform))
        negative = Signal(reset_less=True)  # P < 0, or 0
        body.d.sync += negative.eq(delayed(shifted[31] ^ multiplier[31], 1, "differ"))

        # Cycles 3 and 4: addend of the rounding, and how its carry is made of the product's bit 30 and those below.
        right = delayed(self.right, 3, "right")
        addend, up, down = self._rounding(body, right, negative)
        right = delayed(right, 3, "right_late")

        # Cycle 5: round. Cycle 6: shift right.
        rounded = Signal(signed(33), reset_less=True)
        result = Signal(signed(32), reset_less=True)
        bit, below = product[14], product[:14].any() | some_below
        carry = Mux(down, Mux(up, bit | below, bit & below), up & bit)
        body.d.sync += [
            rounded.eq(_sum(product[15:].as_signed(), addend.as_signed(), carry)),
            result.eq((rounded >> right) ^ self.invert.replicate(32).as_signed()),
        ]

        # Cycle 7: zero point and clamp. Beyond ±256 the sign decides; else the sum is compared with bounds from which
        # the zero point was taken, not added up first.
        byte = Signal(signed(8), reset_less=True)
        near = result[:9].as_signed()
        fits = result[8:].all() | ~result[8:].any()
        under, over = Signal(), Signal()
        body.d.comb += [
            under.eq(Mux(fits, near < self.least, result < 0)),
            over.eq(Mux(fits, near > self.most, result >= 0)),
        ]
        body.d.sync += byte.eq(Mux(under, self.low, Mux(over, self.high, (result[:8] + self.zero_point)[:8])))
        m.d.comb += [self.result.eq(result), self.byte.eq(byte)]
        m.submodules.pipeline = EnableInserter(self.enable)(body)
        return m

    def _product(self, m: Module, body: Module, x: Value, multiplier: Value, hard: bool) -> tuple[Signal, Signal]:
        """Bits 16 to 62 of ``x * multiplier`` four registers later, and whether one of the bits below is set.

        Four products of 16 × 16 bits, then two additions, each behind its register, as an FPGA's multipliers like it;
        ``hard``: the registers before and behind the products are the multipliers' own.
        """
        products: dict[str, Value] = {}
        if not hard:
            x_taken, taken = Signal.like(x, reset_less=True), Signal.like(multiplier, reset_less=True)
            body.d.sync += [x_taken.eq(x), taken.eq(multiplier)]
            x, multiplier = x_taken, taken
        halves = [(value[:16], value[16:].as_signed()) for value in (x, multiplier)]
        for name, x_half, half in (("low", 0, 0), ("high", 1, 1), ("cross_a", 1, 0), ("cross_b", 0, 1)):
            a, b = halves[0][x_half], halves[1][half]
            if hard:
                products[name] = registered_product(m, name, a, b, self.enable)
            else:
                products[name] = Signal((a * b).shape(), name=name, reset_less=True)
                body.d.sync += products[name].eq(a * b)
        low = products["low"]
        outer = Signal(47, reset_less=True)
        middle = Signal(signed(34), reset_less=True)
        some, some_below = Signal(reset_less=True), Signal(reset_less=True)
        product = Signal(47, reset_less=True)
        body.d.sync += [
            outer.eq(Cat(low[16:], products["high"])),
            middle.eq(products["cross_a"] + products["cross_b"]),
            some.eq(low[:16].any()),
            product.eq(outer + middle),
            some_below.eq(some),
        ]
        return product, some_below

    def _rounding(self, m: Module, right: Value, negative: Value) -> tuple[Value, Signal, Signal]:
        """Two registers later: the addend of the rounding without a carry, and which carry there is: none, by the bit
        that is rounded (``up``), by it if one of those below it is set as well (``down``), by one of them all (both).

        The addend is 2**(right-1) or the ones below it, and 0 for right = 0. It comes in groups of eight bits: the
        lower digits of right - 1 are decoded first, once for all groups.
        """
        nothing, away, fewer = Signal(), Signal(), Signal()
        ones = Signal(reset_less=True)
        group, unit = Signal(2, reset_less=True), Signal(8, reset_less=True)
        addend = Signal(31, reset_less=True)
        m.d.comb += [
            nothing.eq(right == 0),
            away.eq(negative & (self.rounding == Rounding.AWAY)),
            fewer.eq(negative & (self.rounding != Rounding.SINGLE) & ~nothing),
        ]
        low, borrow = right[:3], right[:3] == 0
        m.d.sync += [ones.eq(fewer), group.eq(Cat(right[3] ^ borrow, right[4] ^ (borrow & ~right[3])))]
        for bit in range(8):
            more = Const(0) if bit == 7 else borrow if bit == 6 else (low > bit + 1) | borrow
            m.d.sync += unit[bit].eq(Mux(fewer, more, low == (bit + 1) % 8))
        for bit in range(31):
            here = (group == bit // 8) & unit[bit % 8]
            above = (group > bit // 8) if bit < 24 else Const(0)
            m.d.sync += addend[bit].eq(here | (ones & above))
        carry = []
        for name, value in (
            ("up", (self.rounding == Rounding.DOUBLE) | (nothing ^ away)),
            ("down", away),
        ):
            first, second = (Signal(name=f"{name}{number}", reset_less=True) for number in (1, 2))
            m.d.sync += [first.eq(value), second.eq(first)]
            carry.append(second)
        return Cat(addend, Const(0, 1)), *carry

"""Adder, logic, shifter and comparison of the serial core."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.serial.instruction import BRANCHES, Op

__all__ = ["Alu"]


class Alu(wiring.Component):
    """One operation on two words.

    Members
    -------
    op : In(6), aux : In(5)
        Of the instruction.
    a : In(32), b : In(32)
        Operands A and B.
    sum : Out(32)
        A + B; A - B for SUB and for comparisons.
    logic : Out(32)
        AND, OR, XOR; else B.
    shifted : Out(32)
        FUNNEL, SHIFT, SHIFT_SIGN, SHIFT_BY.
    taken : Out(1)
        The condition of a comparison holds.

    Timing
    ------
    Combinational.
    """

    op: Signal
    aux: Signal
    a: Signal
    b: Signal
    sum: Signal
    logic: Signal
    shifted: Signal
    taken: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "op": In(6),
                "aux": In(5),
                "a": In(32),
                "b": In(32),
                "sum": Out(32),
                "logic": Out(32),
                "shifted": Out(32),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        a, b, op = self.a, self.b, self.op

        subtract, second = Signal(), Signal(32)
        total = Signal(34)
        m.d.comb += [
            subtract.eq((op == Op.SUB) | (op >= min(BRANCHES))),
            second.eq(b ^ subtract.replicate(32)),
            # The lowest bit makes the carry that a subtraction begins with.
            total.eq(Cat(subtract, a) + Cat(subtract, second)),
            self.sum.eq(total[1:33]),
        ]
        equal, below, less = Signal(), Signal(), Signal()
        m.d.comb += [
            equal.eq((a ^ second).all()),
            below.eq(~total[33]),
            less.eq(Mux(a[31] ^ b[31], a[31], below)),
        ]
        with m.Switch(op):
            for test, condition in (
                (Op.IF_EQUAL, equal), (Op.IF_DIFFERENT, ~equal), (Op.IF_LESS, less), (Op.IF_NOT_LESS, ~less),
                (Op.IF_BELOW, below), (Op.IF_NOT_BELOW, ~below),
            ):  # fmt: skip
                with m.Case(test):
                    m.d.comb += self.taken.eq(condition)

        with m.Switch(op):
            with m.Case(Op.AND):
                m.d.comb += self.logic.eq(a & b)
            with m.Case(Op.OR):
                m.d.comb += self.logic.eq(a | b)
            with m.Case(Op.XOR):
                m.d.comb += self.logic.eq(a ^ b)
            with m.Default():
                m.d.comb += self.logic.eq(b)

        upper, amount = Signal(32), Signal(5)
        m.d.comb += [
            upper.eq(Mux(op == Op.FUNNEL, b, ((op == Op.SHIFT_SIGN) & a[31]).replicate(32))),
            amount.eq(Mux(op == Op.SHIFT_BY, b[:5], self.aux)),
        ]
        value: Any = Cat(a, upper)[:63]
        for bit in reversed(range(5)):
            width = 31 + (1 << bit)
            step = Signal(width, name=f"shifted_{1 << bit}")
            m.d.comb += step.eq(Mux(amount[bit], value[1 << bit :], value[:width]))
            value = step
        m.d.comb += self.shifted.eq(value)
        return m

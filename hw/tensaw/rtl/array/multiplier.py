"""A product of two int8 in logic, for devices with fewer hard multipliers than the array has elements."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.shared import ExportPlatform

__all__ = ["LogicMultiplier"]

_ROW_BITS = 10
"""Bits of two multiples of an int8, one of them doubled."""


class LogicMultiplier(wiring.Component):
    """``product = a * b``.

    Rows of the product are added in pairs, b[1:0] · a and so on, then the pairs in a tree. Where the technology has the
    carry cells of an ECP5, each pair is one carry chain whose cells also hold the ANDs: 41 cells, 82 LUTs in all,
    instead of 290 that Yosys takes for ``*``.

    Members
    -------
    a, b : In(signed 8)
    product : Out(signed 16)

    Timing
    ------
    Combinational.
    """

    a: Signal
    b: Signal
    product: Signal

    def __init__(self) -> None:
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "product": Out(signed(16))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cells = isinstance(platform, ExportPlatform) and platform.technology.carry_cells
        pairs = []
        for pair in range(4):
            row = Signal(signed(_ROW_BITS), name=f"pair{pair}")
            low, high = self.b[2 * pair], self.b[2 * pair + 1]
            if cells:
                m.d.comb += row.eq(_carry_pair(m, self.a, low, high, negative=pair == 3, name=f"pair{pair}"))
            else:
                once, twice = Mux(low, self.a, 0), Mux(high, self.a, 0) << 1
                # The weight of b's last bit is negative.
                m.d.comb += row.eq(once - twice if pair == 3 else once + twice)
            pairs.append(row)
        lower, upper = Signal(signed(13)), Signal(signed(13))
        m.d.comb += [
            lower.eq(pairs[0] + (pairs[1] << 2)),
            upper.eq(pairs[2] + (pairs[3] << 2)),
            self.product.eq(lower + (upper << 4)),
        ]
        return m


def _carry_pair(m: Module, a: Value, low: Value, high: Value, negative: bool, name: str) -> Value:
    """``low·a + high·2a`` in one carry chain, or ``low·a - high·2a`` where ``negative``.

    A half of a CCU2C adds the exclusive or of its table, P(A, B, C, D), to its carry in, and gives the carry in on
    where P is 1, else the table's answer for (A, B) with C and D at 0, the table's lowest four bits. With
    P = (A·B) ⊕ (C·D) those are A·B: where P is 0 both addends are A·B, which is the carry. For the difference the
    doubled multiple goes to A and B, inverted: P = ¬(A·B) ⊕ (C·D), and a carry enters at the bottom.
    """
    once = [*(a[bit] for bit in range(8)), a[7], a[7]]
    twice = [Const(0), *(a[bit] for bit in range(8)), a[7]]
    table = 0x8777 if negative else 0x7888
    sums = []
    carry: Value = Const(int(negative))
    for cell in range(_ROW_BITS // 2):
        result, out = Signal(2, name=f"{name}_sum{cell}"), Signal(name=f"{name}_carry{cell}")
        ports: dict[str, Any] = {}
        for half in range(2):
            single, double = (low, once[2 * cell + half]), (high, twice[2 * cell + half])
            first, second = (double, single) if negative else (single, double)
            ports |= {f"i_A{half}": first[0], f"i_B{half}": first[1], f"i_C{half}": second[0], f"i_D{half}": second[1]}
            ports |= {f"p_INIT{half}": Const(table, 16), f"p_INJECT1_{half}": "NO", f"o_S{half}": result[half]}
        m.submodules[f"{name}_{cell}"] = Instance("CCU2C", i_CIN=carry, o_COUT=out, **ports)
        sums.append(result)
        carry = out
    return Cat(*sums).as_signed()

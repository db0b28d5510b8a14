"""Products: of two int8 in logic, for devices with fewer hard multipliers than the array has elements, and by an ECP5's
hard multiplier with its own registers."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.shared import ExportPlatform

__all__ = ["LogicMultiplier", "low_product", "has_registers", "registered_product"]

_ROW_BITS = 10
"""Bits of two multiples of an int8, one of them doubled."""
_HARD_BITS = 18
"""Bits of a hard multiplier's operand."""


def has_registers(platform: Any) -> bool:
    """Whether :func:`registered_product` can be had."""
    return isinstance(platform, ExportPlatform) and platform.technology.multiplier_registers


def registered_product(m: Module, name: str, a: Value, b: Value, enable: Value | None = None) -> Value:
    """``a * b``, each signed or not, by the MULT18X18D ``name`` with registers for ``a``, ``b`` and the product.

    All take theirs in each cycle with ``enable``, or in every one: four multipliers share four enables, so one of its
    own is not for one of many. nextpnr knows no register of only one operand. A product that waits is in the register
    amid the multiplier, since nothing is known of an enable of the one at its output; nextpnr sees only the latter, and
    behind the other counts the time through all of the multiplier.

    Operands stand in the upper bits, so that none is a copy of a sign, with wires of its own.
    """
    ports: dict[str, Any] = {}
    for port, value in (("A", a), ("B", b)):
        bits = Cat(Const(0, _HARD_BITS - len(value)), value)
        ports |= {f"i_{port}{bit}": bits[bit] for bit in range(_HARD_BITS)}
        ports |= {f"i_SIGNED{port}": Const(value.shape().signed, 1), f"i_SOURCE{port}": Const(0, 1)}
    product = Signal(2 * _HARD_BITS, name=f"{name}_product")
    ports |= {f"o_P{bit}": product[bit] for bit in range(2 * _HARD_BITS)}
    # A reset that nothing drives is 1. RST3 is what nextpnr leaves some output registers with.
    ports |= {f"i_RST{number}": Const(0, 1) for number in (0, 3)}
    registers = ("INPUTA", "INPUTB", "OUTPUT" if enable is None else "PIPELINE")
    m.submodules[name] = Instance(
        "MULT18X18D",
        **{f"p_REG_{register}_CLK": "CLK0" for register in registers},
        i_CLK0=ClockSignal(), i_CE0=Const(1, 1) if enable is None else enable,
        **ports,
    )  # fmt: skip
    result = product[2 * _HARD_BITS - len(a) - len(b) :]
    return result.as_signed() if a.shape().signed or b.shape().signed else result


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
        cells = _has_cells(platform)
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


def low_product(m: Module, platform: Any, name: str, a: Value, b: Value) -> Value:
    """The lowest bits of ``a * b``, as many as both have: an even number. In carry cells where the technology has them,
    with half as many LUTs as Yosys takes for the additions."""
    bits, total = len(a), None
    assert bits == len(b) and bits % 2 == 0
    for start in range(0, bits, 2):
        low, high, wanted = b[start], b[start + 1], bits - start
        if _has_cells(platform):
            row = _carry_pair(m, a, low, high, negative=False, name=f"{name}_pair{start // 2}", bits=wanted)
        else:
            row = (Mux(low, a, 0) + (Mux(high, a, 0) << 1))[:wanted]
        total = row if total is None else Cat(total[:start], (total[start:] + row)[:wanted])
    assert total is not None
    return total


def _has_cells(platform: Any) -> bool:
    return isinstance(platform, ExportPlatform) and platform.technology.carry_cells


def _carry_pair(
    m: Module, a: Value, low: Value, high: Value, negative: bool, name: str, bits: int = _ROW_BITS
) -> Value:
    """The lowest ``bits``, an even number, of ``low·a + high·2a`` in one carry chain, or of ``low·a - high·2a`` where
    ``negative``. Where there are more of them than ``a`` has, it is signed.

    A half of a CCU2C adds the exclusive or of its table, P(A, B, C, D), to its carry in, and gives the carry in on
    where P is 1, else the table's answer for (A, B) with C and D at 0, the table's lowest four bits. With
    P = (A·B) ⊕ (C·D) those are A·B: where P is 0 both addends are A·B, which is the carry. For the difference the
    doubled multiple goes to A and B, inverted: P = ¬(A·B) ⊕ (C·D), and a carry enters at the bottom.
    """
    once = [a[min(bit, len(a) - 1)] for bit in range(bits)]
    twice = [Const(0), *once[:-1]]
    table = 0x8777 if negative else 0x7888
    sums = []
    carry: Value = Const(int(negative))
    for cell in range(bits // 2):
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

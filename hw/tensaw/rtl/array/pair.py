"""Two neighbouring elements of a row with one multiplier, for devices that have fewer than the array has elements."""

from __future__ import annotations

import math
from typing import Any

from amaranth import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.array.multiplier import has_registers, low_product, registered_product

__all__ = ["BIAS", "PairSums", "ProcessingPair", "bias", "correction"]

BIAS = 128
"""What the first weight of a pair is greater by: then it is never negative, and both weights fit 18 bits."""
_SHIFT = 10
"""The second weight's place in the multiplier's operand."""
_ABOVE = 6
"""Bits of what a product of an int8 and a biased weight, -32,640 to 32,385, has above those."""


class ProcessingPair(wiring.Component):
    """Two elements of a row, with neighbouring columns and the same activation, in one multiplier of 18×18 bits.

    The multiplier gives ``x · (w1·2¹⁰ + w0)``, with w0 the biased weight. Its low ten bits are those of ``x·w0``; what
    lies above them is ``x·w1 + u``, where u, of six bits, is what ``x·w0`` has above its low ten. The low six bits of
    ``x·w1`` come from a multiplier of 6×6 bits in logic, and their difference gives u. Three sums move down the array,
    ``low``, ``upper`` and ``both``, of the low ten bits, of u, and of ``x·w1 + u``; :class:`PairSums` makes the two
    partial sums of them. Exact for all operands.

    Parameters
    ----------
    psum_width : int
        Bits of the second column's partial sum.
    rows : int
        Rows that have pairs.

    Members
    -------
    x : In(signed 8)
        Activation of both columns.
    swap : In(1)
        With the ``x`` of the next cycle the loaded weights become the working ones.
    weights : In(2 × 8), load : In(1)
        Takes them as the next ones; the first plus :data:`BIAS`, unsigned. In the cycle of a swap, the swap gets those
        loaded before.
    low_in, low_out : In, Out(unsigned), upper_in, upper_out : In, Out(signed), both_in, both_out : In, Out(signed)
        Sums from the row above and to the row below.

    Timing
    ------
    As a ProcessingElement with ``ahead``: ``x`` of cycle t and ``swap`` of cycle t-1 meet the sums of cycle t+2; theirs
    are on the outputs in cycle t+3.
    Reset: none.
    """

    x: Signal
    swap: Signal
    weights: data.View
    load: Signal
    low_in: Signal
    low_out: Signal
    upper_in: Signal
    upper_out: Signal
    both_in: Signal
    both_out: Signal

    def __init__(self, psum_width: int, rows: int) -> None:
        low, upper = _low_bits(rows), _upper_bits(psum_width, rows)
        super().__init__(
            {
                "x": In(signed(8)),
                "swap": In(1),
                "weights": In(data.ArrayLayout(8, 2)),
                "load": In(1),
                "low_in": In(low),
                "low_out": Out(low),
                "upper_in": In(signed(upper)),
                "upper_out": Out(signed(upper)),
                "both_in": In(signed(psum_width)),
                "both_out": Out(signed(psum_width)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        following, working = (Signal(16, name=name, reset_less=True) for name in ("following", "working"))
        with m.If(self.load):
            m.d.sync += following.eq(Cat(self.weights[0], self.weights[1]))
        with m.If(self.swap):
            m.d.sync += working.eq(following)
        operand = Cat(working[:8], Const(0, _SHIFT - 8), working[8:]).as_signed()
        product = Signal(signed(8 + len(operand)), reset_less=True)
        if has_registers(platform):
            m.d.comb += product.eq(registered_product(m, "multiplier", self.x, operand))
        else:
            x, factor = Signal.like(self.x, reset_less=True), Signal.like(operand, name="factor", reset_less=True)
            m.d.sync += [x.eq(self.x), factor.eq(operand), product.eq(x * factor)]
        # The same two cycles for the low bits of the second product.
        early, second = (Signal(_ABOVE, name=name, reset_less=True) for name in ("early", "second"))
        m.d.sync += [
            early.eq(low_product(m, platform, "second", self.x[:_ABOVE], working[8 : 8 + _ABOVE])),
            second.eq(early),
        ]
        above = Signal(signed(_ABOVE))
        m.d.comb += above.eq(product[_SHIFT : _SHIFT + _ABOVE] - second)
        sums = (
            (self.low_out, self.low_in + product[:_SHIFT]),
            (self.upper_out, self.upper_in + above),
            (self.both_out, self.both_in + product[_SHIFT:].as_signed()),
        )
        for out, value in sums:
            total = Signal.like(out, name=out.name.replace("out", "sum"), reset_less=True)
            m.d.sync += total.eq(value)
            m.d.comb += out.eq(total)
        return m


class PairSums:
    """The partial sums of two columns on their way through rows of pairs."""

    def __init__(self, m: Module, name: str, rows: int, first: Value, second: Value) -> None:
        """Of the partial sums ``first`` and ``second``: the low bits of the first, what is above them, and that added
        to the second, as the pairs do with products."""
        self._m, self._name = m, name
        self.low: Value = Signal(_low_bits(rows), name=f"{name}_low")
        self.upper: Value = Signal(signed(_upper_bits(len(first), rows)), name=f"{name}_upper")
        self.both: Value = Signal(signed(len(second)), name=f"{name}_both")
        m.d.comb += [
            self.low.eq(first[:_SHIFT]),
            self.upper.eq(first[_SHIFT:].as_signed()),
            self.both.eq(second + first[_SHIFT:].as_signed()),
        ]

    def enter(self, pair: ProcessingPair) -> None:
        """Lead the sums through a row's pair."""
        self._m.d.comb += [pair.low_in.eq(self.low), pair.upper_in.eq(self.upper), pair.both_in.eq(self.both)]
        self.low, self.upper, self.both = pair.low_out, pair.upper_out, pair.both_out

    def leave(self) -> tuple[Value, Value]:
        """The partial sums of both columns again."""
        first, second = (Signal.like(self.both, name=f"{self._name}_{which}") for which in ("first", "second"))
        self._m.d.comb += [first.eq((self.upper << _SHIFT) + self.low), second.eq(self.both - self.upper)]
        return first, second


def bias(weight: Value) -> Value:
    """A signed weight plus :data:`BIAS`."""
    return Cat(weight[:7], ~weight[7])


def correction(m: Module, lanes: list[Value], width: int) -> Value:
    """What the first partial sum of pairs that see ``lanes``, a position's activations, has to begin with, since their
    weights are biased; two cycles later."""
    share = math.isqrt(len(lanes) - 1) + 1
    parts = []
    for start in range(0, len(lanes), share):
        some = sum(lanes[start : start + share], Const(0, 1))
        part = Signal(some.shape(), name=f"lanes{start}_sum", reset_less=True)
        m.d.sync += part.eq(some)
        parts.append(part)
    result = Signal(signed(width), name="correction", reset_less=True)
    m.d.sync += result.eq(-(sum(parts, Const(0, 1)) << (BIAS.bit_length() - 1)))
    return result


def _low_bits(rows: int) -> int:
    return (((1 << _SHIFT) - 1) * (rows + 1)).bit_length()


def _upper_bits(psum_width: int, rows: int) -> int:
    return ((1 << (psum_width - _SHIFT - 1)) + (rows << (_ABOVE - 1))).bit_length() + 1

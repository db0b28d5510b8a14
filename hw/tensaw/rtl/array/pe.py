"""Processing element: one weight, one multiplication and one addition a cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.array.multiplier import LogicMultiplier, has_registers, registered_product
from tensaw.rtl.copies import copied

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """``psum_out = psum_in + x * weight``, with the next weight loaded while the present one works.

    Parameters
    ----------
    psum_width : int
        Bits of the partial sum.
    logic : bool
        Multiply in logic instead of one of the device's multipliers: the same bits in the same cycle.
    ahead : bool
        ``swap`` comes a cycle before its ``x``: then a multiplier's own register can hold the weight, too, without a
        multiplexer before it.

    Members
    -------
    x : In(signed 8)
        Activation.
    swap : In(1)
        With this ``x`` the loaded weight becomes the working one; with ``ahead``, with the next one.
    weight : In(signed 8), load : In(1)
        Takes ``weight`` as the next one. In the cycle of a swap, the swap gets the weight loaded before.
    psum_in, psum_out : In, Out(signed psum_width)
        Partial sum from the row above and to the row below.

    Timing
    ------
    ``x`` and ``swap`` of cycle t meet the ``psum_in`` of cycle t+2; the sum is on ``psum_out`` in cycle t+3. One
    activation a cycle, no stall. The registers are those of an FPGA's multiplier block: operands, product, sum; on an
    ECP5 those of operands and product are in it.
    Reset: none; weights are to be loaded before sums are looked at.
    """

    x: Signal
    swap: Signal
    weight: Signal
    load: Signal
    psum_in: Signal
    psum_out: Signal

    def __init__(self, psum_width: int, logic: bool = False, ahead: bool = False) -> None:
        self._logic, self._ahead = logic, ahead
        super().__init__(
            {
                "x": In(signed(8)),
                "swap": In(1),
                "weight": In(signed(8)),
                "load": In(1),
                "psum_in": In(signed(psum_width)),
                "psum_out": Out(signed(psum_width)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # None is reset: weights are loaded before a position comes, and other sums go to no accumulator.
        following = Signal(signed(8), reset_less=True)
        working = Signal(signed(8), reset_less=True)
        product = Signal(signed(16), reset_less=True)
        total = Signal(self.psum_out.shape(), reset_less=True)

        with m.If(self.load):
            m.d.sync += following.eq(self.weight)
        with m.If(self.swap):
            m.d.sync += working.eq(following)
        taken = working if self._ahead else Mux(self.swap, following, working)  # with the next operand
        if not self._logic and has_registers(platform):
            m.d.comb += product.eq(registered_product(m, "multiplier", self.x, taken))
        else:
            operand, factor = Signal(signed(8), reset_less=True), working
            if self._logic:
                # The same for all columns: one register for them would lie far from most.
                m.d.comb += operand.eq(Cat(copied(m, platform, f"operand{bit}", self.x[bit]) for bit in range(8)))
            else:
                m.d.sync += operand.eq(self.x)
            if self._ahead:
                factor = Signal(signed(8), reset_less=True)
                m.d.sync += factor.eq(working)
            if self._logic:
                m.submodules.multiplier = multiplier = LogicMultiplier()
                m.d.comb += [multiplier.a.eq(operand), multiplier.b.eq(factor)]
                m.d.sync += product.eq(multiplier.product)
            else:
                m.d.sync += product.eq(operand * factor)
        m.d.sync += total.eq(self.psum_in + product)
        m.d.comb += self.psum_out.eq(total)
        return m

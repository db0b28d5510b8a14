"""Softmax of rows of int8, as LiteRT's reference kernel computes it, with lane 0's multiplier."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.control.command import run_layout
from tensaw.rtl.memory.ram import Ram
from tensaw.rtl.output.lanes import direct_layout
from tensaw.rtl.output.requantise import RESULT_LATENCY
from tensaw.rtl.output.tables import table_write_layout
from tensaw.rtl.output.walk import beat_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Unit

__all__ = ["Softmax"]

_48_OVER_17 = 1515870810
"""Q2.29: with the next one, the straight line from which gemmlowp's Newton-Raphson division starts."""
_MINUS_32_OVER_17 = -1010580540
_ONE = 1 << 29
"""Q2.29."""
_SUM_SHIFT = 12
"""From Q0.31 to the sum's Q12.19."""
_NEWTON_PRODUCTS = 7
"""One for the start value, two for each of three steps."""


class Softmax(wiring.Component):
    """Three passes over each row: its maximum, the sum of exponentials, the outputs. (``docs/numerics.md``.)

    With the exponential e(d) in Q0.31 of a difference d = maximum - x, from a table:

    1. total = sum of round(e / 2^12), Q12.19;
    2. shifted left until bit 31 is set, it is 1 + f; half of it, h = (1 + f) / 2, is the denominator of gemmlowp's
       Newton-Raphson division: y = 48/17 - 32/17·h, three times y += y·(1 - h·y), mantissa = y / 2 saturated to Q0.31;
    3. output = round(mantissa · e / 2^(23 + bits)) - 128, ``bits`` being the place of total's leading one above 2^19.

    A table entry of 0 gives -128, as the reference has it for values too far below the maximum; so do all outputs for
    ``bits`` above 8, whose exact value rounds to 0 (the reference refuses such rows).

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    enable : In(1)
        That of the lanes.
    run : In(run_layout(OUTPUT))
        Stable while ``busy``.
    start : In(1), busy : Out(1)
        Starts a run; works until the last operation has been given to the lane.
    addresses : Out(stream of address_bits), data : In(stream)
        Operand fetch; the lowest byte is the element.
    table : In(table_write_layout)
    direct : Out(direct_layout), result : In(signed 32)
        Lane 0.
    beat : Out(beat_layout)
        Where the byte of this ``direct.write`` goes.

    Timing
    ------
    3 · width + about 100 cycles for a row.
    """

    enable: Signal
    run: Any
    start: Signal
    busy: Signal
    addresses: Any
    data: Any
    table: Any
    direct: Any
    result: Signal
    beat: Any

    def __init__(self, config: NpuConfig) -> None:
        self._bits = config.address_bits
        super().__init__(
            {
                "enable": In(1),
                "run": In(run_layout(Unit.OUTPUT)),
                "start": In(1),
                "busy": Out(1),
                "addresses": Out(stream.Signature(self._bits)),
                "data": In(stream.Signature(8 * config.requant_lanes)),
                "table": In(table_write_layout()),
                "direct": Out(direct_layout()),
                "result": In(signed(32)),
                "beat": Out(beat_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        most_column = Signal(16)
        m.d.sync += most_column.eq(self.run.out.width - 1)
        self._elaborate_addresses(m, most_column)
        self._elaborate_passes(m, most_column)
        return m

    def _elaborate_addresses(self, m: Module, most_column: Signal) -> None:
        """Every row three times. Nothing depends on the data, so this runs ahead as far as the fetch queue lets it."""
        run = self.run
        row_base = Signal(self._bits, reset_less=True)
        column, row = Signal(16), Signal(16)  # rows count from 1
        turn = Signal(range(3))
        active = Signal()
        m.d.comb += [self.addresses.valid.eq(active), self.addresses.payload.eq(row_base + column)]
        last, last_row = Signal(), Signal()  # a row's numbers stay for three turns: time to look at them
        next_column = Mux(last, 0, column + 1)
        m.d.sync += last_row.eq(row == run.out.height)
        with m.If(active & self.addresses.ready):
            m.d.sync += [column.eq(next_column), last.eq(next_column == most_column)]
            with m.If(last):
                m.d.sync += turn.eq(turn + 1)
                with m.If(turn == 2):
                    m.d.sync += [turn.eq(0), row.eq(row + 1), row_base.eq(row_base + run.operand.pitch)]
                    with m.If(last_row):
                        m.d.sync += active.eq(0)
        with m.If(self.start):
            m.d.sync += [active.eq(1), column.eq(0), row.eq(1), turn.eq(0), row_base.eq(run.operand.base)]
            m.d.sync += last.eq(run.out.width == 1)

    def _elaborate_passes(self, m: Module, most_column: Signal) -> None:
        run = self.run
        m.submodules.exponents = exponents = Ram(256, 32)
        element = self.data.payload[:8].as_signed()
        maximum = Signal(signed(8), reset_less=True)
        total = Signal(32, reset_less=True)
        leading = Signal(
            4, reset_less=True
        )  # steps of the shift to the left still possible: in the end, total's bits over one
        y, factor = Signal(signed(32), reset_less=True), Signal(signed(32), reset_less=True)
        column, row = Signal(16, reset_less=True), Signal(16, reset_less=True)
        target, address = (
            Signal(self._bits, name=name, reset_less=True) for name in ("target", "address")
        )  # of the row's outputs, of the next one
        pop = Signal()
        candidate = Signal(signed(8), reset_less=True)  # for the maximum, a cycle after it was popped
        compares = Signal()
        busy, taking, writing = Signal(), Signal(), Signal()  # the state by its parts: many look at them
        last, last_row = Signal(), Signal()
        next_column = Mux(last, 0, column + 1)
        m.d.sync += last_row.eq(row == run.out.height)
        looked_up, known, writes = Signal(), Signal(), Signal()
        exponential = Signal(32, reset_less=True)  # what was looked up, a cycle later: memories are slow
        product = Signal(range(_NEWTON_PRODUCTS + 1))
        wait = Signal(range(RESULT_LATENCY + 1))
        multiplies, arrived = Signal(), Signal()  # a product is given to the lane; it is there
        # What the lane takes, chosen a cycle before.
        value, shift = Signal(signed(32), reset_less=True), Signal(self.direct.shift.shape(), reset_less=True)
        vanishes = Signal(reset_less=True)
        # Of the quotient: what a product is added to, or taken from, and how much it counts; there before it is.
        addend = Signal(signed(32), reset_less=True)
        first, odd = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            first.eq(product == 0),
            odd.eq(product[0]),
            addend.eq(Mux(product[0], _ONE, Mux(product == 0, _48_OVER_17, y))),
        ]
        counted = Mux(odd, ~self.result, Mux(first, self.result, self.result << 2))
        quotient = (Cat(odd, addend) + Cat(odd, counted[:32]))[1:33]
        row_done, run_done = Signal(3), Signal()  # bit n: of what was popped n + 1 cycles ago

        m.d.comb += [
            self.data.ready.eq(pop),
            exponents.read_address.eq((maximum - element)[:8]),
            exponents.write_enable.eq(self.table.exponent),
            exponents.write_address.eq(self.table.address),
            exponents.write_data.eq(self.table.word),
            self.busy.eq(busy),
            pop.eq(taking & self.data.valid & self.enable),
            self.direct.valid.eq(multiplies | writes),
            self.direct.write.eq(writes),
            self.direct.value.eq(value),
            self.direct.multiplier.eq(factor),
            self.direct.shift.eq(shift),
            self.beat.address.eq(address),
            self.beat.count.eq(1),
            self.beat.row_done.eq(row_done[2]),
            self.beat.run_done.eq(run_done),
            self.beat.last_tile.eq(1),
        ]

        with m.If(self.enable):
            m.d.sync += [looked_up.eq(exponents.read_enable), known.eq(looked_up), writes.eq(known & writing)]
            m.d.sync += [row_done.eq(Cat(last, row_done)), run_done.eq(row_done[1] & last_row)]
            m.d.sync += exponential.eq(exponents.read_data)
            # An odd product is followed by one of y, which stays meanwhile.
            m.d.sync += value.eq(Mux(writing, exponential.as_signed(), Mux(product[0], y, total[1:])))
            with m.If(writing & vanishes):
                m.d.sync += value.eq(0)
            with m.If(writes):
                m.d.sync += address.eq(address + 1)
            with m.If(pop):
                m.d.sync += [column.eq(next_column), last.eq(next_column == most_column)]

        with m.FSM(name="passes") as passes:
            with m.State("IDLE"):
                m.d.sync += [row.eq(0), column.eq(0), target.eq(run.target.base), maximum.eq(-128)]
                m.d.sync += last.eq(run.out.width == 1)
                with m.If(self.start):
                    m.d.sync += [busy.eq(1), taking.eq(1)]
                    m.next = "MAXIMUM"
            with m.State("MAXIMUM"):
                with m.If(pop & last):
                    m.d.sync += taking.eq(0)
                    m.next = "MAXIMUM_END"
            with m.State("MAXIMUM_END"):  # the last candidate is compared
                m.d.sync += [total.eq(0), taking.eq(1)]
                m.next = "SUM"
            with m.State("SUM"):
                with m.If(pop & last):
                    m.d.sync += taking.eq(0)
                    m.next = "SUM_END"
            with m.State("SUM_END"):
                m.d.sync += [leading.eq(_SUM_SHIFT), product.eq(0), wait.eq(0), shift.eq(0)]
                with m.If(self.enable & ~looked_up & ~known):
                    m.next = "NORMALISE"
            with m.State("NORMALISE"):
                m.d.sync += factor.eq(_MINUS_32_OVER_17)
                with m.If(total[31] | (leading == 0)):
                    with m.If(self.enable):
                        m.d.sync += multiplies.eq(1)
                        m.next = "DIVIDE"
                with m.Else():
                    m.d.sync += [total.eq(total << 1), leading.eq(leading - 1)]
            with m.State("DIVIDE"):
                # Products 0: h · (-32/17); 1, 3, 5: h · y; 2, 4, 6: y · (1 - h · y).
                with m.If(self.enable):
                    m.d.sync += [wait.eq(wait + 1), arrived.eq(wait == RESULT_LATENCY), multiplies.eq(0)]
                    with m.If(arrived):
                        m.d.sync += [wait.eq(0), product.eq(product + 1), multiplies.eq(1)]
                        m.d.sync += factor.eq(quotient)
                        with m.If(~odd):
                            m.d.sync += y.eq(quotient)
                        with m.If(product == _NEWTON_PRODUCTS - 1):
                            m.d.sync += multiplies.eq(0)
                            m.next = "MANTISSA"
            with m.State("MANTISSA"):
                m.d.sync += factor.eq(Mux(y[30:] != 0, (1 << 31) - 1, y << 1))
                m.d.sync += [shift.eq(-23 - leading), vanishes.eq(leading > 8), address.eq(target)]
                m.d.sync += [row.eq(row + 1), target.eq(target + run.target.pitch)]
                m.d.sync += [taking.eq(1), writing.eq(1)]
                m.next = "OUTPUT"
            with m.State("OUTPUT"):
                with m.If(pop & last):
                    m.d.sync += taking.eq(0)
                    m.next = "OUTPUT_END"
            with m.State("OUTPUT_END"):
                m.d.sync += maximum.eq(-128)
                with m.If(self.enable & ~looked_up & ~known):  # the last output's operation is given
                    m.d.sync += [taking.eq(1), writing.eq(0)]
                    m.next = "MAXIMUM"
                    with m.If(last_row):
                        m.d.sync += [taking.eq(0), busy.eq(0)]
                        m.next = "IDLE"
        m.d.sync += [candidate.eq(element), compares.eq(pop & passes.ongoing("MAXIMUM"))]
        with m.If(compares & (candidate > maximum)):
            m.d.sync += maximum.eq(candidate)
        m.d.comb += exponents.read_enable.eq(pop & ~passes.ongoing("MAXIMUM"))

        summing = passes.ongoing("SUM") | passes.ongoing("SUM_END")
        with m.If(self.enable & known & summing):
            # Rounded: the topmost bit that is dropped rises into the sum by the same adder.
            rounding = exponential[_SUM_SHIFT - 1]
            m.d.sync += total.eq((Cat(rounding, total) + Cat(rounding, exponential[_SUM_SHIFT:]))[1:])

"""Four dot products at once: the one thing that the serial core does in hardware."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COLUMNS", "DotProducts"]

COLUMNS = 4
"""Sums, and bytes of a weight row."""


class DotProducts(wiring.Component):
    """Adds byte · weight[column] to each column's sum, for many bytes and as many rows of four weights.

    Members
    -------
    rewind : In(1), first : In(14)
        Weight rows are taken from this word of memory on; all sums become 0. Not while ``busy``.
    start : In(1), address : In(16), count : In(16), same : In(1), each : In(1)
        Go through ``count`` bytes of the scratchpad from ``address`` on, or with ``same`` take the lowest byte of
        ``address`` so many times. With ``each`` every column takes its own byte of the word at ``address``; ``count``
        must be 1. Not while ``busy``.
    busy : Out(1)
        What ``start`` began is not over.
    scratchpad_word : Out(14), memory_word : Out(14)
        What is read, whenever ``busy``.
    scratchpad_data : In(32), memory_data : In(32)
        It, in the next cycle.
    sums : Out(4 × 32)
        Two's complement, wrapping.

    Timing
    ------
    A byte a cycle. ``busy`` from the cycle after ``start`` on for ``count`` cycles and one more; the sums are right
    from the second cycle on in which it is not. Reset: not busy.
    """

    rewind: Signal
    first: Signal
    start: Signal
    address: Signal
    count: Signal
    same: Signal
    each: Signal
    busy: Signal
    scratchpad_word: Signal
    memory_word: Signal
    scratchpad_data: Signal
    memory_data: Signal
    sums: Any

    def __init__(self) -> None:
        super().__init__(
            {
                "rewind": In(1),
                "first": In(14),
                "start": In(1),
                "address": In(16),
                "count": In(16),
                "same": In(1),
                "each": In(1),
                "busy": Out(1),
                "scratchpad_word": Out(14),
                "memory_word": Out(14),
                "scratchpad_data": In(32),
                "memory_data": In(32),
                "sums": Out(data.ArrayLayout(32, COLUMNS)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        byte_address, row = Signal(16, reset_less=True), Signal(14, reset_less=True)
        left, going = Signal(16), Signal()
        same, each = Signal(reset_less=True), Signal(reset_less=True)
        lane = Signal(2, reset_less=True)
        read, multiplied = Signal(), Signal()
        m.d.comb += [
            self.busy.eq(going | read),
            self.scratchpad_word.eq(byte_address[2:]),
            self.memory_word.eq(row),
        ]
        issue = Signal()
        m.d.comb += issue.eq(going & (left != 0))
        m.d.sync += [read.eq(issue), multiplied.eq(read), lane.eq(byte_address[:2])]
        with m.If(issue):
            m.d.sync += [row.eq(row + 1), left.eq(left - 1)]
            with m.If(~same):
                m.d.sync += byte_address.eq(byte_address + 1)
        with m.Else():
            m.d.sync += going.eq(0)
        with m.If(self.start):
            m.d.sync += [byte_address.eq(self.address), left.eq(self.count), going.eq(1)]
            m.d.sync += [same.eq(self.same), each.eq(self.each)]
        with m.If(self.rewind):
            m.d.sync += row.eq(self.first)

        byte = Signal(8)
        m.d.comb += byte.eq(Mux(same, byte_address[:8], self.scratchpad_data.word_select(lane, 8)))
        for column in range(COLUMNS):
            product = Signal(16, reset_less=True, name=f"product_{column}")
            total = Signal(32, reset_less=True, name=f"total_{column}")
            weight = self.memory_data.word_select(column, 8)
            factor = Signal(8, name=f"factor_{column}")
            m.d.comb += factor.eq(Mux(each, self.scratchpad_data.word_select(column, 8), byte))
            m.d.sync += product.eq(factor.as_signed() * weight.as_signed())
            with m.If(self.rewind):
                m.d.sync += total.eq(0)
            with m.Elif(multiplied):
                m.d.sync += total.eq(total + product.as_signed())
            m.d.comb += self.sums[column].eq(total)
        return m

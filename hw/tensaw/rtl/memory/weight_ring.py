"""The weight buffer: a ring of weight rows between the weight DMA and the array."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.checks import check
from tensaw.rtl.memory.ram import Ram
from tensaw.spec.config import NpuConfig

__all__ = ["WeightRing"]


class WeightRing(wiring.Component):
    """Takes bus beats in order, gives weight rows counted from the oldest one.

    Parameters
    ----------
    config : NpuConfig
        ``weight_bytes``, ``weight_row_bytes``, ``bus_bytes``. The ring holds ``weight_rows`` rows, a number that need
        not be a power of two.

    Members
    -------
    write : In(stream of bus word)
        Appended behind what is there. Always ready: the writer must keep to ``space``.
    space : Out(16)
        Bus beats that can be written, at most 65535. Falls in the cycle after a beat was taken. What it rises by may be
        used from the next cycle on: in this one a row that has just been freed may still be read.
    available : Out(24)
        Whole rows in the ring.
    read_enable : In(1)
    read_row : In(24)
        Row to read, counted from the oldest (the tail as it is in this cycle): 0 to ``available - 1``.
    read_data : Out(weight_row_bytes * 8)
        The row, exactly two cycles after ``read_enable`` (requested in cycle t, valid in cycle t+2).
    release : In(24)
        Rows to free from the tail, 0 to ``available``; 0 when there is nothing to free. Rows whose read was requested
        in this cycle or before may be freed.

    Timing
    ------
    A beat a cycle in, a row a cycle out. A row may be read in the cycle in which ``available`` counts it, which is the
    one after its last beat was taken. Empty after reset.
    """

    write: Any
    space: Signal
    available: Signal
    read_enable: Signal
    read_row: Signal
    read_data: Signal
    release: Signal

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "write": In(stream.Signature(config.bus_bytes * 8)),
                "space": Out(16),
                "available": Out(24),
                "read_enable": In(1),
                "read_row": In(24),
                "read_data": Out(config.weight_row_bytes * 8),
                "release": In(24),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        row_bytes, beat_bytes, rows = config.weight_row_bytes, config.bus_bytes, config.weight_rows
        word_bytes = config.weight_word_bytes
        words = config.weight_bytes // word_bytes
        lane_bits = exact_log2(word_bytes // beat_bytes)  # beats of a word
        part_bits = exact_log2(word_bytes // row_bytes)  # rows of a word
        grain = min(row_bytes, beat_bytes)
        grains = config.weight_bytes // grain

        m.submodules.ram = ram = Ram(words, word_bytes * 8, beat_bytes * 8)

        # Write side.
        head = Signal(range(words))
        lane = Signal(lane_bits)
        take = Signal()
        whole = Signal()
        m.d.comb += [
            self.write.ready.eq(1),
            take.eq(self.write.valid),
            whole.eq(take & lane.all()),
            ram.write_enable.eq(Mux(take, 1, 0) << lane),
            ram.write_address.eq(head),
            ram.write_data.eq(self.write.payload.replicate(word_bytes // beat_bytes)),
        ]
        with m.If(take):
            m.d.sync += lane.eq(lane + 1)
        with m.If(whole):
            m.d.sync += head.eq(Mux(head == words - 1, 0, head + 1))

        # What is held: in whole rows for the reader, in the smaller of row and beat for the writer.
        count = Signal(range(rows + 1))
        free = Signal(range(grains + 1), init=grains)
        beats = free >> exact_log2(beat_bytes // grain)
        released = Signal(range(rows + 1))
        m.d.comb += [
            released.eq(self.release),
            self.available.eq(count),
            self.space.eq(Mux(beats > 0xFFFF, 0xFFFF, beats) if grains > 0xFFFF else beats),
        ]
        m.d.sync += [
            count.eq(count + Mux(whole, word_bytes // row_bytes, 0) - released),
            free.eq(free + (released << exact_log2(row_bytes // grain)) - Mux(take, beat_bytes // grain, 0)),
        ]

        # Read side.
        tail = Signal(range(rows))
        next_tail = Signal(range(2 * rows))
        row = Signal(range(2 * rows))
        wrapped = Signal(range(rows))
        reading = Signal()
        m.d.comb += [
            next_tail.eq(tail + released),
            row.eq(tail + self.read_row),
            ram.read_enable.eq(reading),
            ram.read_address.eq(wrapped >> part_bits),
        ]
        m.d.sync += [
            tail.eq(Mux(next_tail >= rows, next_tail - rows, next_tail)),
            wrapped.eq(Mux(row >= rows, row - rows, row)),
            reading.eq(self.read_enable),
        ]
        if part_bits:
            part = Signal(part_bits)
            with m.If(reading):
                m.d.sync += part.eq(wrapped[:part_bits])
            m.d.comb += self.read_data.eq(ram.read_data.word_select(part, row_bytes * 8))
        else:
            m.d.comb += self.read_data.eq(ram.read_data)

        check(m, platform, ~take | (beats != 0), "space", "a beat is written into a full ring")
        there = ~self.read_enable | (self.read_row < count)
        check(m, platform, there, "over_read", "a row is read that is not in the ring")
        check(m, platform, self.release <= count, "over_release", "more rows are freed than are in the ring")
        return m

"""A ring of bytes whose contents count only when a whole frame has been found good."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.memory.ram import Ram

__all__ = ["FrameBuffer"]


class FrameBuffer(wiring.Component):
    """Bytes written since the last ``commit`` can be taken back.

    Parameters
    ----------
    depth : int
        Bytes, a power of two.

    Members
    -------
    write : In(1), byte : In(8)
        Append a byte; only while ``room`` is not 0.
    commit : In(1)
        What has been written so far, a byte written in this cycle excluded, may be read.
    rollback : In(1)
        Forget what has been written since the last ``commit``.
    room : Out(range(depth + 1))
        Bytes that can still be written.
    o : Out(stream of 8 bits)
        The bytes that count, in order.

    Timing
    ------
    A byte is offered three cycles after its ``commit`` at the earliest; one byte in three cycles. Reset: empty.
    """

    write: Signal
    byte: Signal
    commit: Signal
    rollback: Signal
    room: Signal
    o: Any

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "write": In(1),
                "byte": In(8),
                "commit": In(1),
                "rollback": In(1),
                "room": Out(range(depth + 1)),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = ram = Ram(self._depth, 8)
        # One bit more than an address tells full from empty.
        written, committed, taken = (
            Signal(range(2 * self._depth)),
            Signal(range(2 * self._depth)),
            Signal(range(2 * self._depth)),
        )
        mask = self._depth - 1
        m.d.comb += [
            ram.write_enable.eq(self.write),
            ram.write_address.eq(written & mask),
            ram.write_data.eq(self.byte),
            ram.read_address.eq(taken & mask),
        ]
        level = Signal(range(2 * self._depth))
        m.d.comb += level.eq(written - taken)
        m.d.sync += self.room.eq(self._depth - level)
        with m.If(self.write):
            m.d.sync += [written.eq(written + 1), self.room.eq(self._depth - 1 - level)]
        with m.If(self.commit):
            m.d.sync += committed.eq(written)
        with m.Elif(self.rollback):
            m.d.sync += written.eq(committed)
        # Block RAM is slow to answer: its word goes to a register.
        fetched = Signal()
        with m.If(self.o.valid):
            with m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        with m.Elif(fetched):
            m.d.sync += [fetched.eq(0), self.o.payload.eq(ram.read_data), self.o.valid.eq(1)]
        with m.Elif(taken != committed):
            m.d.comb += ram.read_enable.eq(1)
            m.d.sync += [taken.eq(taken + 1), fetched.eq(1)]
        return m

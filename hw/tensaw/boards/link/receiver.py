"""Finds requests in the bytes that arrive and puts those that are whole into a buffer."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.boards.link.buffer import FrameBuffer
from tensaw.boards.link.crc import Crc32
from tensaw.rtl.shared import place
from tensaw.spec.link import HEADER_BYTES, SYNC_REQUEST, WITH_PAYLOAD

__all__ = ["FrameReceiver"]

_OP, _COUNT = 1, 8
"""Places in the header."""


class FrameReceiver(wiring.Component):
    """Requests from a stream of bytes with any errors; see docs/link.md.

    What is left of a request is its header and, where there is one, its payload, without synchronisation and CRCs.

    Parameters
    ----------
    depth : int
        Bytes of the buffer, a power of two.

    Members
    -------
    byte : In(8), valid : In(1)
        A byte that has arrived. At least 12 cycles between two of them.
    error : In(1)
        A byte was lost.
    tick : In(1)
        A frame in which no byte arrives from one tick to the next but one is dropped.
    o : Out(stream of 8 bits)
        Whole requests, one after another.
    damaged, dropped : Out(1)
        In one cycle: a frame was dropped because of an error (CRC, lost byte, silence), or for want of room.

    Timing
    ------
    A request is offered as soon as its last CRC has been checked. Reset: looks for a synchronisation, nothing buffered.
    """

    byte: Signal
    valid: Signal
    error: Signal
    tick: Signal
    o: Any
    damaged: Signal
    dropped: Signal

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "error": In(1),
                "tick": In(1),
                "o": Out(stream.Signature(8)),
                "damaged": Out(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        buffer = place(m, platform, "buffer", FrameBuffer, self._depth)
        crc = place(m, platform, "crc", Crc32)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))

        position = Signal(range(HEADER_BYTES))
        with_payload = Signal()
        count = Signal(16)
        silent = Signal()
        broken_off = Signal()
        # Of a header that has been read; they may be a cycle old, since its CRC takes longer.
        no_payload, no_room = Signal(), Signal()
        m.d.sync += [no_payload.eq(~with_payload | (count == 0)), no_room.eq(count > buffer.room)]
        m.d.comb += [
            buffer.byte.eq(self.byte),
            crc.byte.eq(self.byte),
            broken_off.eq(self.error | self.tick & silent),
        ]
        m.d.sync += [self.damaged.eq(0), self.dropped.eq(0)]

        with m.FSM(init="SYNC0"):
            with m.State("SYNC0"):
                m.d.comb += crc.clear.eq(1)
                m.d.sync += position.eq(0)
                with m.If(self.valid & (self.byte == SYNC_REQUEST[0])):
                    m.next = "SYNC1"
            with m.State("SYNC1"):
                m.d.comb += crc.clear.eq(1)
                with m.If(self.valid & (self.byte == SYNC_REQUEST[1])):
                    m.next = "HEADER"
                with m.Elif(self.valid & (self.byte != SYNC_REQUEST[0])):
                    m.next = "SYNC0"
            with m.State("HEADER"):
                with m.If(broken_off):
                    m.next = "BAD"
                with m.Elif(self.valid):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += position.eq(position + 1)
                    with m.If(buffer.room == 0):
                        m.next = "FULL"
                    with m.Else():
                        m.d.comb += buffer.write.eq(1)
                    with m.If(position == _OP):
                        known = (self.byte == int(op) for op in sorted(WITH_PAYLOAD))
                        m.d.sync += with_payload.eq(Cat(*known).any())
                    with m.If(position >= _COUNT):
                        m.d.sync += count.eq(Cat(count[8:], self.byte))
                    with m.If(position == HEADER_BYTES - 1):
                        m.d.sync += position.eq(0)
                        m.next = "HEADER_CRC"
            with m.State("HEADER_CRC"):
                with m.If(broken_off):
                    m.next = "BAD"
                with m.Elif(self.valid):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == 3):
                        m.d.sync += position.eq(0)
                        m.next = "HEADER_CHECK"
            with m.State("HEADER_CHECK"):
                with m.If(~crc.busy):
                    with m.If(~crc.good):
                        m.next = "BAD"
                    with m.Elif(no_payload):
                        m.next = "COMMIT"
                    with m.Elif(no_room):
                        m.next = "FULL"
                    with m.Else():
                        m.d.comb += crc.clear.eq(1)
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                with m.If(broken_off):
                    m.next = "BAD"
                with m.Elif(self.valid):
                    m.d.comb += [crc.start.eq(1), buffer.write.eq(1)]
                    m.d.sync += count.eq(count - 1)
                    with m.If(count == 1):
                        m.next = "PAYLOAD_CRC"
            with m.State("PAYLOAD_CRC"):
                with m.If(broken_off):
                    m.next = "BAD"
                with m.Elif(self.valid):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == 3):
                        m.next = "PAYLOAD_CHECK"
            with m.State("PAYLOAD_CHECK"):
                with m.If(~crc.busy):
                    with m.If(crc.good):
                        m.next = "COMMIT"
                    with m.Else():
                        m.next = "BAD"
            with m.State("COMMIT"):
                m.d.comb += buffer.commit.eq(1)
                m.next = "SYNC0"
            with m.State("BAD"):
                m.d.comb += buffer.rollback.eq(1)
                m.d.sync += self.damaged.eq(1)
                m.next = "SYNC0"
            with m.State("FULL"):
                m.d.comb += buffer.rollback.eq(1)
                m.d.sync += self.dropped.eq(1)
                m.next = "SYNC0"

        with m.If(self.valid):
            m.d.sync += silent.eq(0)
        with m.Elif(self.tick):
            m.d.sync += silent.eq(1)
        return m

"""Program fetch: command words from memory, in order, ahead of their use."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.checks import check
from tensaw.rtl.interfaces import ErrorSignature, ReadRequestSignature
from tensaw.spec.config import NpuConfig
from tensaw.spec.registers import ErrorCode

__all__ = ["Fetch"]

_LENGTH_BITS = 28
"""Bits of a request's length: a program has fewer than 256 MiB."""


class Fetch(wiring.Component):
    """Reads the program once from its first word to its last.

    Parameters
    ----------
    config : NpuConfig
        The buffer holds two bursts, at least 16 beats.

    Members
    -------
    start : In(1)
        Begin. Once after each reset.
    offset : In(32), bytes : In(32)
        Where the program lies in region 0. Stable from ``start`` on.
    read : Out(ReadRequestSignature(config))
        To the read manager.
    words : Out(stream of 64)
        The program.
    exhausted : Out(1)
        Every word has been handed on, in an earlier cycle than the one before.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE (offset or length no multiple of 16, 256 MiB or more), OUTSIDE_REGION or READ_*, for unit 0.

    Timing
    ------
    A word a cycle. Asked for two cycles after ``start``; words are fetched ahead as far as the buffer has room.
    """

    start: Signal
    offset: Signal
    bytes: Signal
    read: Any
    words: Any
    exhausted: Signal
    error: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "offset": In(32),
                "bytes": In(32),
                "read": Out(ReadRequestSignature(config)),
                "words": Out(stream.Signature(64)),
                "exhausted": Out(1),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read = self.read
        bus_bytes = self.config.bus_bytes
        lane_bits = exact_log2(bus_bytes)
        depth = max(16, 2 * self.config.burst_beats)
        # One place is outside of its memory, which so has as many rows as there is credit for: a power of two.
        m.submodules.buffer = buffer = fifo.SyncFIFOBuffered(width=bus_bytes * 8, depth=depth + 1)

        requesting = Signal()
        illegal = Signal()
        # Beats not yet handed on, counted a cycle later; 1 while the program has not been asked for, so that
        # ``exhausted`` is 0.
        left = Signal(_LENGTH_BITS - lane_bits + 1, init=1)
        handed = Signal()
        counted = Signal()
        # What depends on so many bits is known in the cycle after the start.
        starting, unsound, some = Signal(), Signal(), Signal()
        m.d.sync += [
            starting.eq(self.start),
            unsound.eq(self.offset[:4].any() | self.bytes[:4].any() | self.bytes[_LENGTH_BITS:].any()),
            some.eq(self.bytes != 0),
        ]
        with m.If(starting):
            with m.If(unsound):
                m.d.sync += illegal.eq(1)
            with m.Else():
                m.d.sync += [requesting.eq(some), left.eq(self.bytes >> lane_bits)]
        with m.If(requesting & read.request.ready):
            m.d.sync += requesting.eq(0)
        m.d.sync += counted.eq(handed)
        with m.If(counted):
            m.d.sync += left.eq(left - 1)

        m.d.comb += [
            read.request.valid.eq(requesting),
            read.request.payload.offset.eq(self.offset),
            read.request.payload.bytes.eq(self.bytes),
            read.credit.eq(depth - buffer.level),
            buffer.w_data.eq(read.data.payload),
            buffer.w_en.eq(read.data.valid),
            read.data.ready.eq(1),  # there is room: it was given credit for
            handed.eq(buffer.r_en & buffer.r_rdy),
            self.words.valid.eq(buffer.r_rdy),
            self.exhausted.eq(left == 0),
            self.error.valid.eq(illegal | read.error.valid),
            self.error.code.eq(ErrorCode.ILLEGAL_VALUE),
        ]
        with m.If(read.error.valid):
            m.d.comb += [self.error.code.eq(read.error.code), self.error.address.eq(read.error.address)]
        if bus_bytes == 8:
            m.d.comb += [self.words.payload.eq(buffer.r_data), buffer.r_en.eq(self.words.ready)]
        else:
            upper = Signal()
            m.d.comb += [
                self.words.payload.eq(buffer.r_data.word_select(upper, 64)),
                buffer.r_en.eq(self.words.ready & upper),
            ]
            with m.If(self.words.valid & self.words.ready):
                m.d.sync += upper.eq(~upper)
        check(m, platform, ~read.data.valid | buffer.w_rdy, "room", "a beat comes for which there was no credit")
        check(m, platform, ~counted | (left != 0), "left", "more words are handed on than the program has")
        return m

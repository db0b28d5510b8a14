"""The STORE unit: strided rows from the scratchpad to memory."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.bus.write_manager import WriteRequestSignature
from tensaw.rtl.checks import check
from tensaw.rtl.control.state import UnitState
from tensaw.rtl.control.tokens import TokenSignature
from tensaw.rtl.dma.transfer import Transfer
from tensaw.rtl.interfaces import READ_LATENCY, ErrorSignature, ReadPortSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Unit

__all__ = ["StoreDma"]

_BUFFER = 8
"""Bus beats between scratchpad and bus; covers the read latency, a register on both sides, and the buffer itself."""


class StoreDma(wiring.Component):
    """Carries out STORE.RUN. Any alignment on both sides.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    words : In(stream of 64)
        Command words.
    tokens : Out(TokenSignature())
    read : Out(ReadPortSignature(bus_bytes))
        To the scratchpad.
    write : Out(WriteRequestSignature(config))
        To the write manager.
    halt : In(1)
        Start nothing new.
    busy : Out(1), tag : Out(16), state : Out(UnitState)
        For the sequencer and STALL_STORE.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE (a count of 0, or beyond the scratchpad), ILLEGAL_COMMAND, OUTSIDE_REGION and WRITE_*.

    Timing
    ------
    A bus beat a cycle. A run ends, and gives its tokens, when all its writes have been acknowledged: a LOAD that waits
    for it reads what it wrote.
    """

    words: Any
    tokens: Any
    read: Any
    write: Any
    halt: Signal
    busy: Signal
    tag: Signal
    state: Any
    error: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "words": In(stream.Signature(64)),
                "tokens": Out(TokenSignature()),
                "read": Out(ReadPortSignature(config.bus_bytes)),
                "write": Out(WriteRequestSignature(config)),
                "halt": In(1),
                "busy": Out(1),
                "tag": Out(16),
                "state": Out(UnitState),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, read, write = self.config, self.read, self.write
        transfer = place(m, platform, "transfer", Transfer, config, Unit.STORE, module="tensaw_store_transfer")
        m.submodules.buffer = buffer = fifo.SyncFIFO(width=config.bus_bytes * 8, depth=_BUFFER)
        wiring.connect(m, wiring.flipped(self.words), transfer.words)
        wiring.connect(m, transfer.tokens, wiring.flipped(self.tokens))
        wiring.connect(m, transfer.request, wiring.flipped(write.request))
        wiring.connect(m, wiring.flipped(write.error), transfer.bus_error)

        # A step goes on to be read only if the buffer has a place for its beat: when it is read is known late.
        m.submodules.steps = steps = SkidBuffer(24)
        step = transfer.step
        reserved = Signal(range(_BUFFER + 1))
        full = Signal()  # all places are reserved
        goes = Signal()
        handed = Signal()
        ending = Signal()
        # What is read begins where the bus word does, so that every byte comes at its lane; what comes before the row's
        # bytes or behind them is nobody's.
        m.d.comb += [
            steps.i.valid.eq(step.valid & ~full),
            steps.i.payload.eq(step.payload.base),
            step.ready.eq(steps.i.ready & ~full),
            goes.eq(step.valid & step.ready),
        ]
        m.d.comb += [
            transfer.halt.eq(self.halt),
            read.valid.eq(steps.o.valid),
            read.address.eq(steps.o.payload),
            steps.o.ready.eq(read.ready),
            handed.eq(write.data.valid & write.data.ready),
            transfer.complete.eq(ending & (reserved == 0) & write.done),
            self.busy.eq(transfer.busy),
            self.tag.eq(transfer.tag),
        ]
        m.d.sync += reserved.eq(reserved + goes - handed)
        with m.If(goes != handed):
            m.d.sync += full.eq(goes & (reserved == _BUFFER - 1))
        with m.If(goes & step.payload.final):
            m.d.sync += ending.eq(1)
        with m.Elif(transfer.complete):
            m.d.sync += ending.eq(0)

        # The scratchpad's cycles and one register.
        valid = read.valid & read.ready
        for stage in range(READ_LATENCY + 1):
            next_valid = Signal(name=f"valid_{stage}")
            m.d.sync += next_valid.eq(valid)
            valid = next_valid
        beat = Signal(config.bus_bytes * 8)
        m.d.sync += beat.eq(read.data)
        m.d.comb += [
            buffer.w_data.eq(beat),
            buffer.w_en.eq(valid),
            write.data.payload.eq(buffer.r_data),
            write.data.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(write.data.ready),
        ]
        check(m, platform, ~valid | buffer.w_rdy, "room", "a beat was read for which the buffer has no room")

        wiring.connect(m, transfer.error, wiring.flipped(self.error))
        with m.If(transfer.active):
            m.d.comb += self.state.eq(UnitState.BUS)
            with m.If(read.valid):
                m.d.comb += self.state.eq(UnitState.RUNNING)
        with m.Elif(transfer.busy):
            m.d.comb += self.state.eq(UnitState.TOKENS)
        return m

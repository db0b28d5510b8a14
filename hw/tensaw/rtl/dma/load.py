"""The LOAD unit: strided rows from memory, or a fill, into the scratchpad."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.bus.skid_buffer import SkidBuffer
from tensaw.rtl.checks import check_held
from tensaw.rtl.control.state import UnitState
from tensaw.rtl.control.tokens import TokenSignature
from tensaw.rtl.dma.transfer import Transfer
from tensaw.rtl.interfaces import ErrorSignature, ProgressSignature, ReadRequestSignature, WritePortSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Unit

__all__ = ["LoadDma"]


class LoadDma(wiring.Component):
    """Carries out LOAD.RUN. Any alignment on both sides.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    words : In(stream of 64)
        Command words.
    tokens : Out(TokenSignature())
    read : Out(ReadRequestSignature(config))
        To the read manager.
    write : Out(WritePortSignature(config))
        To the scratchpad.
    progress : Out(ProgressSignature())
        Input rows written: ``lines`` with each plane.
    halt : In(1)
        Start nothing new.
    busy : Out(1), tag : Out(16), state : Out(UnitState)
        For the sequencer and STALL_LOAD.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE (a count of 0, or beyond the scratchpad), ILLEGAL_COMMAND, OUTSIDE_REGION and READ_*.

    Timing
    ------
    A bus beat becomes one write of its valid bytes in the next cycle; a fill writes ``word_bytes`` a cycle. Rows are
    asked for up to eight ahead, so that short rows do not each pay the memory's latency, also those of the next run.
    Tokens are given two cycles after the last write was taken, so that whoever takes one reads the new bytes.
    """

    words: Any
    tokens: Any
    read: Any
    write: Any
    progress: Any
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
                "read": Out(ReadRequestSignature(config)),
                "write": Out(WritePortSignature(config)),
                "progress": Out(ProgressSignature()),
                "halt": In(1),
                "busy": Out(1),
                "tag": Out(16),
                "state": Out(UnitState),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read, write = self.read, self.write
        transfer = place(m, platform, "transfer", Transfer, self.config, Unit.LOAD, module="tensaw_load_transfer")
        wiring.connect(m, wiring.flipped(self.words), transfer.words)
        wiring.connect(m, transfer.tokens, wiring.flipped(self.tokens))
        wiring.connect(m, transfer.request, wiring.flipped(read.request))
        wiring.connect(m, wiring.flipped(read.error), transfer.bus_error)

        step = transfer.step.payload
        size = self.config.word_bytes
        progress = self.progress
        # Writes pass through two places, so that whether the scratchpad takes one is known from registers upstream.
        layout = data.StructLayout(
            {
                "address": 24,
                "data": self.config.word_bytes * 8,
                "mask": write.mask.shape(),
                "across": 1,
                "end": 1,
                "final": 1,
            }
        )
        m.submodules.writes = writes = SkidBuffer(layout)
        entry = writes.o.payload
        # A cycle behind the write: whether it was taken is known late.
        ended = Signal()
        finished = Signal()
        written = writes.o.valid & write.ready
        m.d.sync += [ended.eq(written & entry.end), finished.eq(written & entry.final)]
        room = writes.i.ready
        # The bytes of a bus word stay at their lanes: it is written from where its first lane belongs.
        low, high = Signal(range(2 * size)), Signal(range(2 * size))  # the first and the last, in the first word
        place_in_word = step.base[: exact_log2(size)]
        m.d.comb += [low.eq(place_in_word + step.lane), high.eq(place_in_word + step.last_lane)]
        m.d.comb += [
            transfer.halt.eq(self.halt),
            transfer.step.ready.eq(room & (step.fill | read.data.valid)),
            transfer.complete.eq(finished),
            progress.last_tile.eq(1),
            read.data.ready.eq(room & transfer.step.valid & ~step.fill),
            read.credit.eq(0xFFFF),
            write.valid.eq(writes.o.valid),
            write.address.eq(entry.address),
            write.data.eq(entry.data),
            write.mask.eq(entry.mask),
            write.across.eq(entry.across),
            writes.o.ready.eq(write.ready),
            writes.i.valid.eq(transfer.step.valid & (step.fill | read.data.valid)),
            writes.i.payload.end.eq(step.end),
            writes.i.payload.final.eq(step.final),
            writes.i.payload.address.eq(step.base),
            writes.i.payload.mask.eq(
                Cat((low <= byte) & (high >= byte if byte else 1) for byte in range(2 * size - 1))
            ),
            writes.i.payload.across.eq(high >= size),
            writes.i.payload.data.eq(
                Mux(step.fill, transfer.value.replicate(self.config.word_bytes), read.data.payload)
            ),
            self.busy.eq(transfer.busy),
            self.tag.eq(transfer.tag),
        ]
        with m.If(ended):
            m.d.sync += progress.rows.eq(progress.rows + transfer.lines)
        with m.If(finished):
            m.d.sync += [progress.rows.eq(0), progress.completed.eq(progress.completed + 1)]
        held = Cat(entry.address, entry.mask, entry.across, entry.data)
        check_held(m, platform, "write", writes.o.valid, write.ready, held)
        wiring.connect(m, transfer.error, wiring.flipped(self.error))
        with m.If(transfer.active):
            m.d.comb += self.state.eq(UnitState.BUS)
            with m.If(writes.o.valid | read.data.valid | step.fill):
                m.d.comb += self.state.eq(UnitState.RUNNING)
        with m.Elif(transfer.busy):
            m.d.comb += self.state.eq(UnitState.TOKENS)
        return m

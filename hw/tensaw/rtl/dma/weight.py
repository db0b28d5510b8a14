"""The WEIGHT unit: a linear stream from memory into the weight ring."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.checks import check
from tensaw.rtl.control.command import CommandPort
from tensaw.rtl.control.state import UnitState
from tensaw.rtl.interfaces import ErrorSignature, ReadRequestSignature
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Turn, Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["WeightDma"]


class WeightDma(wiring.Component):
    """Carries out WEIGHT.RUN. The next run is asked of the bus while the data of this one still arrives.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    words : In(stream of 64)
        Command words.
    read : Out(ReadRequestSignature(config))
        To the read manager.
    ring : Out(stream of bus word)
        To ``WeightRing.write``.
    space : In(16)
        From ``WeightRing.space``.
    halt : In(1)
        Start nothing new.
    busy : Out(1)
        A run waits or is under way.
    tag : Out(16), state : Out(UnitState)
        For STALL_WEIGHT: ROOM when the ring has no room for a burst, BUS when data is awaited.
    error : Out(ErrorSignature)
        ILLEGAL_VALUE (``bytes`` 0 or no multiple of the bus width, ``offset`` no multiple of it, no such ``turn``),
        ILLEGAL_COMMAND, OUTSIDE_REGION and READ_*.

    Timing
    ------
    A beat a cycle, without a gap from run to run. A run is looked at in the cycle after it was offered; beats are
    counted in the cycle after they came, so that the unit is busy for a cycle longer.
    """

    words: Any
    read: Any
    ring: Any
    space: Signal
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
                "read": Out(ReadRequestSignature(config)),
                "ring": Out(stream.Signature(config.bus_bytes * 8)),
                "space": In(16),
                "halt": In(1),
                "busy": Out(1),
                "tag": Out(16),
                "state": Out(UnitState),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read = self.read
        lane_bits = exact_log2(self.config.bus_bytes)
        port = place(m, platform, "port", CommandPort, self.config, Unit.WEIGHT, module="tensaw_weight_command_port")
        wiring.connect(m, wiring.flipped(self.words), port.words)
        run = port.run.payload

        # The run whose data arrives, and the one asked for behind it.
        left = Signal(28 - lane_bits + 1)  # minus its beats: the sign says whether there are any
        some = left[-1]
        tag = Signal(16, reset_less=True)
        queued = Signal()
        queued_beats = Signal(28 - lane_bits, reset_less=True)
        queued_tag = Signal(16, reset_less=True)
        known = Signal()  # the run on offer was so in the cycle before, too: ``illegal`` is about it
        illegal = Signal(reset_less=True)
        failed = Signal()
        start = Signal()
        beat = Signal()
        counts = Signal()  # a beat came in the cycle before
        follows = Signal()  # the run asked for behind becomes the one whose data arrives
        m.d.sync += [
            known.eq(port.run.valid & ~port.run.ready),
            illegal.eq(
                (run.run.bytes == 0)
                | run.run.bytes[:lane_bits].any()
                | run.memory.offset[:lane_bits].any()
                | (run.run.turn > max(Turn))
            ),
            counts.eq(beat),
        ]
        m.d.comb += [
            start.eq(known & ~queued & ~self.halt & ~failed),
            read.request.valid.eq(start & ~illegal),
            read.request.payload.region.eq(run.memory.region),
            read.request.payload.offset.eq(run.memory.offset),
            read.request.payload.bytes.eq(run.run.bytes),
            read.request.payload.turn.eq(run.run.turn),
            port.run.ready.eq(read.request.valid & read.request.ready),
            read.credit.eq(self.space),
            self.ring.payload.eq(read.data.payload),
            self.ring.valid.eq(read.data.valid),
            read.data.ready.eq(self.ring.ready),
            beat.eq(read.data.valid & read.data.ready),
        ]
        with m.If(start & illegal):
            m.d.sync += failed.eq(1)
        m.d.comb += follows.eq(queued & ~some)
        # One adder: -queued_beats is ~queued_beats + 1, and the lowest bits carry if there is that 1.
        before = Mux(follows, ~Cat(queued_beats, Const(0, 1)), left)
        m.d.sync += left.eq((Cat(Const(1, 1), before) + Cat(follows, counts))[1:])
        with m.If(follows):
            m.d.sync += [queued.eq(0), tag.eq(queued_tag)]
        with m.If(port.run.ready):
            m.d.sync += [queued.eq(1), queued_beats.eq(run.run.bytes >> lane_bits), queued_tag.eq(run.run.tag)]

        check(m, platform, ~counts | queued | some, "left", "a beat comes that no run asked for")
        m.d.comb += [
            self.busy.eq(port.busy | queued | some),
            self.tag.eq(tag),
            self.error.valid.eq(failed | port.error.valid | read.error.valid),
        ]
        with m.If(~some & ~queued):
            m.d.comb += self.state.eq(UnitState.IDLE)
        with m.Elif(beat):
            m.d.comb += self.state.eq(UnitState.RUNNING)
        with m.Elif(self.space < self.config.burst_beats):
            m.d.comb += self.state.eq(UnitState.ROOM)
        with m.Else():
            m.d.comb += self.state.eq(UnitState.BUS)
        with m.If(read.error.valid):
            # Only a refusal can be about the run that was asked for last; a bad beat is told when it is counted.
            refused = read.error.code == ErrorCode.OUTSIDE_REGION
            m.d.comb += [
                self.error.code.eq(read.error.code),
                self.error.tag.eq(Mux(follows | (queued & refused), queued_tag, tag)),
                self.error.address.eq(read.error.address),
            ]
        with m.Elif(failed):
            m.d.comb += [self.error.code.eq(ErrorCode.ILLEGAL_VALUE), self.error.tag.eq(run.run.tag)]
        with m.Else():
            m.d.comb += [
                self.error.code.eq(port.error.code),
                self.error.tag.eq(port.error.tag),
                self.error.address.eq(port.error.address),
            ]
        return m

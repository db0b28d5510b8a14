"""What LOAD and STORE have in common: runs, tokens, errors, and rows on their way to bus and data path."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check
from tensaw.rtl.control.command import CommandPort
from tensaw.rtl.control.tokens import TokenSignature
from tensaw.rtl.dma.row_stepper import RowStepper, step_layout
from tensaw.rtl.dma.row_walker import RowWalker, span_layout
from tensaw.rtl.interfaces import BusErrorSignature, ErrorSignature, access_layout
from tensaw.rtl.shared import place
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Unit
from tensaw.spec.registers import ErrorCode

__all__ = ["Transfer"]

_ROWS_AHEAD = 8
"""Rows that have been asked of the bus and whose data path has not begun."""


class Transfer(wiring.Component):
    """Takes the runs of a LOAD or STORE unit and turns them into bus requests and data steps.

    Parameters
    ----------
    config : NpuConfig
    unit : Unit
        LOAD or STORE.

    Members
    -------
    words : In(stream of 64)
    tokens : Out(TokenSignature())
    halt : In(1)
        Start no run and no row.
    request : Out(stream of access_layout())
        One for each row (none in a fill).
    bus_error : In(BusErrorSignature())
    step : Out(stream of step_layout(config))
        The same rows, step by step, as soon as they have been asked for: three cycles later at the earliest.
    value : Out(8), lines : Out(12)
        LOAD: the byte of a fill; ``lines`` of the oldest run.
    complete : In(1)
        The oldest run's last step (``step.payload.final``) has its full effect at the end of this cycle.
    busy : Out(1), active : Out(1), tag : Out(16)
        ``active``: a run has its tokens and is under way; ``busy``: or one waits for them. ``tag`` of the oldest.
    error : Out(ErrorSignature)
        ILLEGAL_COMMAND, ILLEGAL_VALUE, OUTSIDE_REGION or the bus error, with the run's tag.

    Timing
    ------
    A run ends with ``complete`` and gives its tokens in the next cycle. Words of the next run are read while the last
    rows of this one are under way; a LOAD then begins with it and asks for its rows, so that the bus does not rest
    between runs (but a fill is alone). Up to eight rows are asked for ahead of their data.
    """

    words: Any
    tokens: Any
    halt: Signal
    request: Any
    bus_error: Any
    step: Any
    value: Signal
    lines: Signal
    complete: Signal
    busy: Signal
    active: Signal
    tag: Signal
    error: Any

    def __init__(self, config: NpuConfig, unit: Unit) -> None:
        self.config, self.unit = config, unit
        super().__init__(
            {
                "words": In(stream.Signature(64)),
                "tokens": Out(TokenSignature()),
                "halt": In(1),
                "request": Out(stream.Signature(access_layout())),
                "bus_error": In(BusErrorSignature()),
                "step": Out(stream.Signature(step_layout(config))),
                "value": Out(8),
                "lines": Out(12),
                "complete": In(1),
                "busy": Out(1),
                "active": Out(1),
                "tag": Out(16),
                "error": Out(ErrorSignature()),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, tokens = self.config, self.tokens
        name = f"tensaw_{self.unit.name.lower()}_command_port"
        port = place(m, platform, "port", CommandPort, config, self.unit, module=name)
        walker = place(m, platform, "walker", RowWalker, config)
        stepper = place(m, platform, "stepper", RowStepper, config)
        layout = span_layout(config)
        m.submodules.ahead = ahead = fifo.SyncFIFO(width=layout.size, depth=_ROWS_AHEAD)
        wiring.connect(m, wiring.flipped(self.words), port.words)
        wiring.connect(m, stepper.step, wiring.flipped(self.step))

        # Taking a run. The oldest one and, where two may be under way, the one behind it.
        run = port.run.payload
        most = 2 if self.unit is Unit.LOAD else 1
        fill = run.run.fill if self.unit is Unit.LOAD else 0
        count = Signal(range(most + 1))
        left = Signal(range(most + 1))
        asked = Signal()  # its run has been on offer for a cycle: what is told of tokens is about it
        walking = Signal()
        walked = Signal()  # its last row went on its way in the cycle before
        filling = Signal()
        room = Signal()
        kept = data.StructLayout({"signal": 4, "tag": 16, "lines": 12})
        taken = Signal(kept)
        oldest = Signal(kept, reset_less=True)
        behind = Signal(kept, reset_less=True)
        value = Signal(8)
        given = Signal(4)
        giving = Signal()
        m.d.comb += [
            taken.signal.eq(run.run.signal),
            taken.tag.eq(run.run.tag),
            taken.lines.eq(run.run.lines if self.unit is Unit.LOAD else 0),
            left.eq(count - self.complete),
            room.eq(Mux(fill | filling, count == 0, count != most)),
            tokens.take_mask.eq(run.run.wait),
            tokens.take.eq(asked & ~walking & room & tokens.take_ready & ~self.halt),
            tokens.give_mask.eq(given),
            tokens.give.eq(giving),
            walker.start.eq(tokens.take),
            walker.walk.fill.eq(fill),
            port.run.ready.eq(walked),
        ]
        for name in ("memory", "scratchpad", "rows", "row_pitch", "planes", "plane_pitch"):
            m.d.comb += walker.walk[name].eq(run[name])
        m.d.sync += [asked.eq(port.run.valid & ~port.run.ready), walked.eq(walker.finished)]
        m.d.sync += [count.eq(left + tokens.take), giving.eq(self.complete), given.eq(oldest.signal)]
        # Where there is no run it may be the one on offer, which is known late to be taken.
        with m.If(count == 0):
            m.d.sync += oldest.eq(taken)
        if self.unit is Unit.LOAD:
            with m.Elif(self.complete):
                m.d.sync += oldest.eq(Mux(count == most, behind, taken))
            with m.If(count != most):
                m.d.sync += behind.eq(taken)
            with m.If(tokens.take):
                m.d.sync += [filling.eq(fill), value.eq(run.run.value)]
        with m.If(tokens.take):
            m.d.sync += walking.eq(1)
        with m.Elif(walked):
            m.d.sync += walking.eq(0)

        # A row goes to the bus and, a cycle later, since it is known late that it does, to the data path.
        row = walker.row.payload
        accepted = Signal()
        moved = Signal()
        m.d.sync += moved.eq(walker.row.valid & accepted)
        m.d.comb += [
            self.request.valid.eq(walker.row.valid & ~row.span.fill & ahead.w_rdy & ~self.halt),
            self.request.payload.eq(row.access),
            accepted.eq((row.span.fill | self.request.ready) & ahead.w_rdy & ~self.halt),
            walker.row.ready.eq(accepted),
            ahead.w_data.eq(row.span),
            ahead.w_en.eq(moved),
            stepper.span.payload.eq(data.View(layout, ahead.r_data)),
            stepper.span.valid.eq(ahead.r_rdy),
            ahead.r_en.eq(stepper.span.ready),
        ]

        # Whose error it is. A refusal is about the access that was asked for last, bad data about the next step. A
        # STORE, which hears later about its writes, has only one run.
        asked_tag = Signal(16)
        latest_tag = Signal(16)
        step_tag = Signal(16)
        if most == 1:
            m.d.comb += [tag.eq(oldest.tag) for tag in (asked_tag, latest_tag, step_tag)]
        else:
            stepped = Signal(range(most + 1))
            final = self.step.valid & self.step.ready & self.step.payload.final
            m.d.sync += stepped.eq(stepped + final - self.complete)
            # Bad data is told a cycle after it came.
            m.d.sync += step_tag.eq(Mux(stepped == 0, oldest.tag, behind.tag))
            with m.If(tokens.take):
                m.d.sync += latest_tag.eq(taken.tag)
            with m.If(self.request.valid & self.request.ready):
                m.d.sync += asked_tag.eq(latest_tag)

        active = count != 0
        m.d.comb += [
            self.value.eq(value),
            self.lines.eq(oldest.lines),
            self.active.eq(active),
            self.busy.eq(port.busy | active | giving),
            self.tag.eq(Mux(~active & ~giving & port.busy, port.tag, oldest.tag)),
            self.error.tag.eq(latest_tag),
        ]
        check(m, platform, ~self.complete | active, "complete", "a run ends that has not begun")
        with m.If(self.bus_error.valid):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.code.eq(self.bus_error.code),
                self.error.tag.eq(Mux(self.bus_error.code == ErrorCode.OUTSIDE_REGION, asked_tag, step_tag)),
                self.error.address.eq(self.bus_error.address),
            ]
        with m.Elif(walker.illegal | walker.outside):
            m.d.comb += [self.error.valid.eq(1), self.error.code.eq(ErrorCode.ILLEGAL_VALUE)]
            with m.If(walker.outside):
                m.d.comb += self.error.code.eq(ErrorCode.OUTSIDE_REGION)
        with m.Elif(port.error.valid):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.code.eq(port.error.code),
                self.error.tag.eq(port.error.tag),
                self.error.address.eq(port.error.address),
            ]
        return m

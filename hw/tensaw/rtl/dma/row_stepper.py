"""From rows to the steps of the data path: a bus beat or a word of fill at a time."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.checks import check
from tensaw.rtl.dma.row_walker import span_layout
from tensaw.spec.config import NpuConfig

__all__ = ["RowStepper", "step_layout"]


def step_layout(config: NpuConfig) -> data.StructLayout:
    """``count`` bytes from byte ``lane`` of a bus word on belong to scratchpad bytes ``address`` and following.
    ``end``: the last step of a plane; ``final``: of the transfer."""
    return data.StructLayout(
        {
            "address": 24,
            "lane": exact_log2(config.bus_bytes),
            "count": range(config.word_bytes + 1),
            "fill": 1,
            "end": 1,
            "final": 1,
        }
    )


class RowStepper(wiring.Component):
    """Counts through the beats of rows.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    span : In(stream of span_layout(config))
    step : Out(stream of step_layout(config))
    Timing
    ------
    A step a cycle, without a gap from row to row; one cycle from row to first step.
    """

    span: Any
    step: Any

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "span": In(stream.Signature(span_layout(config))),
                "step": Out(stream.Signature(step_layout(config))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config = self.config
        span = Signal(span_layout(config))
        working = Signal()
        first = Signal()
        last = Signal()
        begin = Signal(range(config.word_bytes))
        end = Signal(range(config.word_bytes))
        m.d.comb += [
            begin.eq(Mux(first, span.first_lane, 0)),
            end.eq(Mux(last, span.last_lane, Mux(span.fill, config.word_bytes - 1, config.bus_bytes - 1))),
            self.step.valid.eq(working),
            self.step.payload.address.eq(span.address),
            self.step.payload.lane.eq(begin),
            self.step.payload.count.eq(end - begin + 1),
            self.step.payload.fill.eq(span.fill),
            self.step.payload.end.eq(last & span.end),
            self.step.payload.final.eq(last & span.final),
            self.span.ready.eq(~working | (self.step.ready & last)),
        ]
        with m.If(self.span.ready):
            m.d.sync += [working.eq(self.span.valid), span.eq(self.span.payload), first.eq(1)]
            m.d.sync += last.eq(self.span.payload.more == 0)
        with m.Elif(self.step.ready):
            m.d.sync += [
                span.address.eq(span.address + self.step.payload.count),
                span.more.eq(span.more - 1),
                last.eq(span.more == 1),
                first.eq(0),
            ]
        count = self.step.payload.count
        check(m, platform, ~working | ((count != 0) & (last == (span.more == 0))), "count", "a step has no bytes")
        inside = span.address + count <= config.scratchpad_bytes
        check(m, platform, ~working | inside, "inside", "a step leaves the scratchpad")
        return m

"""From rows to the steps of the data path: a bus beat or a word of fill at a time."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.checks import check
from tensaw.rtl.dma.row_walker import base_shape, span_layout
from tensaw.spec.config import NpuConfig

__all__ = ["RowStepper", "step_layout"]


def step_layout(config: NpuConfig) -> data.StructLayout:
    """Bytes ``lane`` to ``last_lane`` of a bus word (in a fill: of a scratchpad word) belong to scratchpad bytes ``base
    + lane`` and following. ``end``: the last step of a plane; ``final``: of the transfer."""
    return data.StructLayout(
        {
            "base": base_shape(config),
            "lane": exact_log2(config.bus_bytes),
            "last_lane": exact_log2(config.word_bytes),
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
        step = self.step.payload
        most = Mux(span.fill, config.word_bytes - 1, config.bus_bytes - 1)
        m.d.comb += [
            self.step.valid.eq(working),
            step.base.eq(span.base),
            step.lane.eq(Mux(first, span.first_lane, 0)),
            step.last_lane.eq(Mux(last, span.last_lane, most)),
            step.fill.eq(span.fill),
            step.end.eq(last & span.end),
            step.final.eq(last & span.final),
            self.span.ready.eq(~working | (self.step.ready & last)),
        ]
        with m.If(~working | self.step.ready):  # which is known late: what comes, if anything does, is chosen before
            with m.If(~working | last):
                m.d.sync += [working.eq(self.span.valid), span.eq(self.span.payload), first.eq(1)]
                m.d.sync += last.eq(self.span.payload.more == 0)
            with m.Else():
                m.d.sync += [
                    span.base.eq(span.base + most + 1),
                    span.more.eq(span.more - 1),
                    last.eq(span.more == 1),
                    first.eq(0),
                ]
        some = (step.lane <= step.last_lane) & (last == (span.more == 0))
        check(m, platform, ~working | some, "count", "a step has no bytes")
        inside = (span.base + step.lane >= 0) & (span.base + step.last_lane < config.scratchpad_bytes)
        check(m, platform, ~working | inside, "inside", "a step leaves the scratchpad")
        return m

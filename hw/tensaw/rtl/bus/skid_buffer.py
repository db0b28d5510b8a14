"""A two-entry buffer that cuts every path between the two sides of a stream."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.checks import check

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Registers payload, valid and ready of a stream.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    level : Out(range(3))
        Entries held.

    Timing
    ------
    Latency one cycle, one transfer a cycle. ``i.ready`` does not depend on ``o.ready`` in the same cycle, and no output
    depends on ``i``. Empty after reset, which leaves the payloads.
    """

    i: Any
    o: Any
    level: Signal

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "level": Out(range(3))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        spare = Signal(self.shape, reset_less=True)
        spare_valid = Signal()
        payload = Signal(self.shape, reset_less=True)
        valid = Signal()
        m.d.comb += [
            self.i.ready.eq(~spare_valid),
            self.o.valid.eq(valid),
            self.o.payload.eq(payload),
            self.level.eq(valid + spare_valid),
        ]
        with m.If(~valid | self.o.ready):
            m.d.sync += [valid.eq(spare_valid | self.i.valid), spare_valid.eq(0)]
            with m.If(spare_valid):
                m.d.sync += payload.eq(spare)
            with m.Else():
                m.d.sync += payload.eq(self.i.payload)
        with m.Elif(~spare_valid):
            m.d.sync += spare_valid.eq(self.i.valid)
        with m.If(~spare_valid):  # whether it will be needed or not: that is known late
            m.d.sync += spare.eq(self.i.payload)
        check(m, platform, valid | ~spare_valid, "spare_alone", "the spare place is filled and the first one is empty")
        return m

"""The loops of a strided transfer: planes of rows, each checked and described for the data path."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.control.command import word_layout
from tensaw.rtl.interfaces import access_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import word_named

__all__ = ["RowWalker", "row_layout", "span_layout", "walk_layout"]

_WORDS = ("MEMORY", "SCRATCHPAD", "ROWS", "ROW_PITCH", "PLANES", "PLANE_PITCH")


def walk_layout() -> data.StructLayout:
    """What LOAD and STORE have in common: their register words, and ``fill`` (LOAD only)."""
    return data.StructLayout(
        {
            **{name.lower(): word_layout(word_named(f"LOAD.{name}")) for name in _WORDS},
            "fill": 1,
        }
    )


def span_layout(config: NpuConfig) -> data.StructLayout:
    """A row in the scratchpad, from byte ``address`` on, in ``beats`` steps.

    The first step begins at byte ``first_lane`` of a bus word, the last one ends with byte ``last_lane``. In a fill, a
    step is a scratchpad word and ``first_lane`` is 0. ``end``: the last row of a plane; ``final``: of
    the transfer.
    """
    lane = exact_log2(config.word_bytes)
    return data.StructLayout(
        {"address": 24, "beats": 24, "first_lane": lane, "last_lane": lane, "fill": 1, "end": 1, "final": 1}
    )


def row_layout(config: NpuConfig) -> data.StructLayout:
    """One row of a transfer: where it lies in memory (meaningless in a fill) and in the scratchpad."""
    return data.StructLayout({"access": access_layout(), "span": span_layout(config)})


class RowWalker(wiring.Component):
    """Goes through the rows of a transfer, rows inner, planes outer.

    Parameters
    ----------
    config : NpuConfig
        ``bus_bytes``, ``word_bytes``, ``scratchpad_bytes``.

    Members
    -------
    start : In(1)
        Begin; not while a walk is under way.
    walk : In(walk_layout())
        Stable from ``start`` to ``finished``.
    row : Out(stream of row_layout(config))
    finished : Out(1)
        The last row is taken in this cycle.
    illegal : Out(1)
        Held until reset: a count of 0, or a row not wholly inside the scratchpad. No further row is offered.
    outside : Out(1)
        Held until reset: a row whose memory offset does not fit 32 bits.

    Timing
    ------
    First row two cycles after ``start``, then a row every other cycle.
    """

    start: Signal
    walk: Any
    row: Any
    finished: Signal
    illegal: Signal
    outside: Signal

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "walk": In(walk_layout()),
                "row": Out(stream.Signature(row_layout(config))),
                "finished": Out(1),
                "illegal": Out(1),
                "outside": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        config, walk, row = self.config, self.walk, self.row.payload
        lane_bits, word_bits = exact_log2(config.bus_bytes), exact_log2(config.word_bytes)

        # One bit more than the fields have: it stays set once a sum has outgrown them.
        offset = Signal(33)
        plane_offset = Signal(33)
        address = Signal(25)
        plane_address = Signal(25)
        rows_left = Signal(16)
        planes_left = Signal(16)
        last_row = Signal()
        last_plane = Signal()

        def advance(target: Signal, base: Signal, pitch: Any) -> list[Any]:
            top = len(target) - 1
            total = base[:top] + pitch
            return [target[:top].eq(total), target[top].eq(base[top] | total[top:].any())]

        span = Signal(25)
        end = Signal(26)
        lane = Signal(lane_bits)
        m.d.comb += [
            lane.eq(Mux(walk.fill, 0, offset[:lane_bits])),
            row.access.region.eq(walk.memory.region),
            row.access.offset.eq(offset),
            row.access.bytes.eq(walk.rows.bytes),
            row.span.address.eq(address),
            row.span.first_lane.eq(lane),
            row.span.fill.eq(walk.fill),
            row.span.end.eq(last_row),
            row.span.final.eq(last_row & last_plane),
        ]
        with m.If(walk.fill):
            m.d.comb += [row.span.beats.eq((span >> word_bits) + 1), row.span.last_lane.eq(span[:word_bits])]
        with m.Else():
            m.d.comb += [row.span.beats.eq((span >> lane_bits) + 1), row.span.last_lane.eq(span[:lane_bits])]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    offset.eq(walk.memory.offset),
                    plane_offset.eq(walk.memory.offset),
                    address.eq(walk.scratchpad.address),
                    plane_address.eq(walk.scratchpad.address),
                    rows_left.eq(walk.rows.count),
                    planes_left.eq(walk.planes.count),
                ]
                with m.If(self.start):
                    m.next = "MEASURE"
                    with m.If((walk.rows.bytes == 0) | (walk.rows.count == 0) | (walk.planes.count == 0)):
                        m.d.sync += self.illegal.eq(1)
                        m.next = "STOPPED"
            with m.State("MEASURE"):
                m.d.sync += [span.eq(walk.rows.bytes + lane - 1), end.eq(address + walk.rows.bytes)]
                m.d.sync += [last_row.eq(rows_left == 1), last_plane.eq(planes_left == 1)]
                m.next = "OFFER"
            with m.State("OFFER"):
                with m.If(end > config.scratchpad_bytes):
                    m.d.sync += self.illegal.eq(1)
                    m.next = "STOPPED"
                with m.Elif(offset[32] & ~walk.fill):
                    m.d.sync += self.outside.eq(1)
                    m.next = "STOPPED"
                with m.Else():
                    m.d.comb += self.row.valid.eq(1)
                    with m.If(self.row.ready):
                        m.d.comb += self.finished.eq(last_row & last_plane)
                        m.next = "MEASURE"
                        with m.If(last_row & last_plane):
                            m.next = "IDLE"
                        with m.If(last_row):
                            m.d.sync += [rows_left.eq(walk.rows.count), planes_left.eq(planes_left - 1)]
                            for target in (offset, plane_offset):
                                m.d.sync += advance(target, plane_offset, walk.plane_pitch.memory)
                            for target in (address, plane_address):
                                m.d.sync += advance(target, plane_address, walk.plane_pitch.scratchpad)
                        with m.Else():
                            m.d.sync += rows_left.eq(rows_left - 1)
                            m.d.sync += advance(offset, offset, walk.row_pitch.memory)
                            m.d.sync += advance(address, address, walk.row_pitch.scratchpad)
            with m.State("STOPPED"):
                pass
        return m

"""The loops of a strided transfer: planes of rows, each checked and described for the data path."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from tensaw.rtl.control.command import word_layout
from tensaw.rtl.interfaces import access_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import word_named

__all__ = ["RowWalker", "base_shape", "row_layout", "span_layout", "walk_layout"]

_WORDS = ("MEMORY", "SCRATCHPAD", "ROWS", "ROW_PITCH", "PLANES", "PLANE_PITCH")


def walk_layout() -> data.StructLayout:
    """What LOAD and STORE have in common: their register words, and ``fill`` (LOAD only)."""
    return data.StructLayout(
        {
            **{name.lower(): word_layout(word_named(f"LOAD.{name}")) for name in _WORDS},
            "fill": 1,
        }
    )


def _address_bits(config: NpuConfig) -> int:
    """Bits of a byte's place in the scratchpad."""
    return (config.scratchpad_bytes - 1).bit_length()


def base_shape(config: NpuConfig) -> Shape:
    """Of a byte's place in the scratchpad, or a few bytes before its beginning."""
    return signed(_address_bits(config) + 1)


def span_layout(config: NpuConfig) -> data.StructLayout:
    """A row in the scratchpad, in one step and ``more`` steps.

    The first step begins at byte ``first_lane`` of a bus word, the last one ends with byte ``last_lane``. In a fill, a
    step is a scratchpad word and ``first_lane`` is 0. ``base`` is where byte 0 of the first bus word would belong: up
    to a bus word before the row's first byte, and so less than 0 at the scratchpad's beginning. ``end``: the last row
    of a plane; ``final``: of the transfer.
    """
    lane = exact_log2(config.word_bytes)
    more = range(config.scratchpad_bytes // config.bus_bytes + 1)
    return data.StructLayout(
        {
            "base": base_shape(config),
            "more": more,
            "first_lane": lane,
            "last_lane": lane,
            "fill": 1,
            "end": 1,
            "final": 1,
        }
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
        Stable from the cycle before ``start`` to ``finished``.
    row : Out(stream of row_layout(config))
        ``span`` stays for a cycle after the row was taken.
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

        # Sums have one bit more than what is legal: it stays set once one has outgrown it.
        inside = _address_bits(config)
        offset = Signal(33, reset_less=True)
        plane_offset = Signal(33, reset_less=True)
        address = Signal(inside + 1, reset_less=True)
        plane_address = Signal(inside + 1, reset_less=True)
        first_row = Signal(reset_less=True)
        rows_left = Signal(16, reset_less=True)
        planes_left = Signal(16, reset_less=True)
        last_row = Signal(reset_less=True)
        last_plane = Signal(reset_less=True)
        # The row on offer: in the first cycle of its offer the others go on to the next one.
        shown_offset = Signal(32, reset_less=True)
        shown_base = Signal(base_shape(config), reset_less=True)
        fresh = Signal()
        # What is counted is set without a walk, and goes on with each row: so much that it hangs on a register.
        moves = Signal(init=1)
        nothing = Signal(reset_less=True)  # a count is 0
        m.d.sync += nothing.eq((walk.rows.bytes == 0) | (walk.rows.count == 0) | (walk.planes.count == 0))

        def advance(target: Signal, base: Signal, pitch: Any) -> list[Any]:
            top = len(target) - 1
            total = base[:top] + pitch[:top]
            return [target[:top].eq(total), target[top].eq(base[top] | total[top] | pitch[top:].any())]

        # What depends on the bytes of a row alone is made before the first row, what decides whether a row is offered
        # while it is measured.
        most = Signal(inside, reset_less=True)  # bytes behind a row's first one, of which none are `over`
        over = Signal(len(walk.rows.bytes) - inside, reset_less=True)
        span = Signal(inside + 1, reset_less=True)
        fits = Signal(reset_less=True)
        reached = Signal(reset_less=True)
        lane = Signal(lane_bits)
        last = address[:inside] + most
        grain = (config.scratchpad_bytes & -config.scratchpad_bytes).bit_length() - 1
        m.d.comb += [
            lane.eq(Mux(walk.fill, 0, offset[:lane_bits])),
            row.access.region.eq(walk.memory.region),
            row.access.offset.eq(shown_offset),
            row.access.bytes.eq(walk.rows.bytes),
            row.span.base.eq(shown_base),
            row.span.first_lane.eq(Mux(walk.fill, 0, shown_offset[:lane_bits])),
            row.span.fill.eq(walk.fill),
            row.span.end.eq(last_row),
            row.span.final.eq(last_row & last_plane),
        ]
        with m.If(walk.fill):
            m.d.comb += [row.span.more.eq(span >> word_bits), row.span.last_lane.eq(span[:word_bits])]
        with m.Else():
            m.d.comb += [row.span.more.eq(span >> lane_bits), row.span.last_lane.eq(span[:lane_bits])]

        m.d.sync += [Cat(most, over).eq(walk.rows.bytes - 1), moves.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += moves.eq(~self.start)
                with m.If(self.start):
                    m.next = "MEASURE"
                    with m.If(nothing):
                        m.d.sync += self.illegal.eq(1)
                        m.next = "STOPPED"
            with m.State("MEASURE"):
                m.d.sync += [
                    shown_offset.eq(offset),
                    shown_base.eq(address[:inside] - lane),
                    fresh.eq(1),
                    moves.eq(1),
                    span.eq(most + lane),
                    # The scratchpad's size is a multiple of 2 ** grain.
                    fits.eq(~(address[inside] | over.any()) & (last >> grain < config.scratchpad_bytes >> grain)),
                    reached.eq(walk.fill | ~offset[32]),
                ]
                with m.If(first_row):
                    m.d.sync += [plane_offset.eq(offset), plane_address.eq(address)]
                m.d.sync += [last_row.eq(rows_left == 1), last_plane.eq(planes_left == 1)]
                m.next = "OFFER"
            with m.State("OFFER"):
                with m.If(~fits):
                    m.d.sync += self.illegal.eq(1)
                    m.next = "STOPPED"
                with m.Elif(~reached):
                    m.d.sync += self.outside.eq(1)
                    m.next = "STOPPED"
                with m.Else():
                    m.d.comb += self.row.valid.eq(1)
                    with m.If(self.row.ready):
                        m.d.comb += self.finished.eq(last_row & last_plane)
                        m.next = "MEASURE"
                        with m.If(last_row & last_plane):
                            m.d.sync += moves.eq(1)
                            m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        with m.If(fresh):
            m.d.sync += fresh.eq(0)
        with m.If(moves):
            m.d.sync += first_row.eq(~fresh | last_row)
            with m.If(~fresh):
                m.d.sync += [
                    offset.eq(walk.memory.offset),
                    address[:inside].eq(walk.scratchpad.address),
                    address[inside].eq(walk.scratchpad.address[inside:].any()),
                    rows_left.eq(walk.rows.count),
                    planes_left.eq(walk.planes.count),
                ]
            with m.Elif(last_row):
                m.d.sync += [rows_left.eq(walk.rows.count), planes_left.eq(planes_left - 1)]
                m.d.sync += advance(offset, plane_offset, walk.plane_pitch.memory)
                m.d.sync += advance(address, plane_address, walk.plane_pitch.scratchpad)
            with m.Else():
                m.d.sync += rows_left.eq(rows_left - 1)
                m.d.sync += advance(offset, offset, walk.row_pitch.memory)
                m.d.sync += advance(address, address, walk.row_pitch.scratchpad)
        return m

"""The loops of a run: the address of each lane beat, in the order in which the array finishes positions."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.output.parameters import beats_of
from tensaw.spec.config import NpuConfig

__all__ = ["Walk", "beat_layout", "walk_layout"]


def walk_layout() -> data.StructLayout:
    """What to walk over: the fields of OUTPUT.CHANNELS, OUT, BLOCK and of one operand's address words."""
    return data.StructLayout(
        {
            "base": 24,
            "pitch": 24,
            "pixel_pitch": 16,
            "tile_step": 7,
            "tile": 7,
            "last": 7,
            "tiles": 12,
            "height": 16,
            "width": 16,
            "block_height": 16,
            "block_width": 16,
        }
    )


def beat_layout(config: NpuConfig) -> data.StructLayout:
    """One beat: ``count`` channels of one position. ``index`` numbers the beats of a vector; the flags say that this
    beat is the last one of its vector, of its output row (in the last tile only), of its tile, of the run, and that its
    tile is the last one."""
    return data.StructLayout(
        {
            "address": 24,
            "count": range(config.requant_lanes + 1),
            "index": range(max(2, beats_of(config))),
            "vector_done": 1,
            "row_done": 1,
            "tile_done": 1,
            "run_done": 1,
            "last_tile": 1,
        }
    )


class Walk(wiring.Component):
    """Tiles, then blocks (rows of blocks outer), then positions (rows outer), then beats of ``requant_lanes`` channels.

    Addresses grow by addition only: each kind of step knows where the next position starts, or remembers it from the
    first row of the block, the first block of the row of blocks, the first position of the tile.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    shape : In(walk_layout)
        Stable from ``start`` to the last beat; all counts at least 1. Addresses are modulo 2**24.
    start : In(1)
        The first beat is on offer in the next cycle. Not while ``valid``.
    valid : Out(1), next : In(1)
        A beat is on offer; go on to the next one.
    beat : Out(beat_layout)

    Timing
    ------
    One beat a cycle without gaps.
    """

    shape: Any
    start: Signal
    valid: Signal
    next: Signal
    beat: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "shape": In(walk_layout()),
                "start": In(1),
                "valid": Out(1),
                "next": In(1),
                "beat": Out(beat_layout(config)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        lanes = self._config.requant_lanes
        shape = self.shape

        # Where we are: counters, each with where it goes next.
        go = Signal()
        counters: dict[str, tuple[Signal, Signal]] = {}

        def counter(name: str, width: int) -> tuple[Signal, Signal]:
            now, then = Signal(width, name=name), Signal(width, name=f"next_{name}")
            counters[name] = now, then
            return now, then

        tile, next_tile_number = counter("tile", 12)
        (y, next_y), (x, next_x) = counter("y", 16), counter("x", 16)
        block_y, next_block_y = counter("block_y", 16)  # first row and column of the block
        block_x, next_block_x = counter("block_x", 16)
        (within_y, next_within_y), (within_x, next_within_x) = counter("within_y", 16), counter("within_x", 16)
        index, next_index = counter("index", len(self.beat.index))
        remaining, next_remaining = counter("remaining", 7)  # channels of the vector from this beat on
        for now, then in counters.values():
            m.d.comb += then.eq(now)
            with m.If(go):
                m.d.sync += now.eq(then)

        # What is last, known beside the counters.
        last_tile, last_y, last_x, vector_done, last_in_line, last_line = (
            Signal(name=name) for name in ("last_tile", "last_y", "last_x", "vector_done", "last_in_line", "last_line")
        )
        limits = {name: shape[name] for name in ("tiles", "height", "width", "block_height", "block_width")}
        most = {name: Signal.like(value, name=f"most_{name}") for name, value in limits.items()}
        m.d.sync += [most[name].eq(value - 1) for name, value in limits.items()]

        def last(name: str, number: Value) -> Value:
            return Mux(self.start, limits[name] == 1, number == most[name])

        with m.If(go):
            m.d.sync += [
                last_tile.eq(last("tiles", next_tile_number)),
                last_y.eq(last("height", next_y)),
                last_x.eq(last("width", next_x)),
                vector_done.eq(next_remaining <= lanes),
                last_in_line.eq(last("width", next_x) | last("block_width", next_within_x)),
                last_line.eq(last("height", next_y) | last("block_height", next_within_y)),
            ]
        line_done = Signal()  # last position of a row of the block
        block_done = Signal()
        blocks_done = Signal()  # last position of a row of blocks
        tile_done = Signal()
        m.d.comb += [
            line_done.eq(vector_done & last_in_line),
            block_done.eq(vector_done & last_in_line & last_line),
            blocks_done.eq(vector_done & last_x & last_line),
            tile_done.eq(vector_done & last_x & last_y),
        ]

        # Addresses: of the tile, the row of blocks, the block, the row in the block, the position, the beat.
        tile_base, blocks_base, block_base = Signal(24), Signal(24), Signal(24)
        line, pixel, address = Signal(24), Signal(24), Signal(24)
        next_pixel, next_line, next_tile = Signal(24), Signal(24), Signal(24)
        right_block, lower_blocks = Signal(24), Signal(24)
        m.d.comb += [
            next_pixel.eq(pixel + shape.pixel_pitch),
            next_line.eq(line + shape.pitch),
            next_tile.eq(tile_base + shape.tile_step),
            # Known at the end of the block's first row, and of the last row of the first block in the row of blocks.
            right_block.eq(Mux(within_y == 0, next_pixel, block_base)),
            lower_blocks.eq(Mux(block_x == 0, next_line, blocks_base)),
        ]

        def channels(next_last: Value) -> Value:
            return Mux(next_last, shape.last, shape.tile)

        def go_to(position: Value) -> None:
            m.d.sync += [pixel.eq(position), address.eq(position)]

        # The counters' next values do not wait for whether they are wanted: `go` holds the registers.
        m.d.comb += [
            go.eq(self.start | (self.next & self.valid)),
            next_index.eq(index + 1),
            next_remaining.eq(remaining - lanes),
        ]
        with m.If(vector_done):
            m.d.comb += [next_index.eq(0), next_x.eq(x + 1), next_within_x.eq(within_x + 1)]
            m.d.comb += next_remaining.eq(channels(last_tile))
        with m.If(line_done):
            m.d.comb += [next_x.eq(block_x), next_within_x.eq(0), next_y.eq(y + 1), next_within_y.eq(within_y + 1)]
        with m.If(block_done):
            m.d.comb += [next_block_x.eq(x + 1), next_x.eq(x + 1), next_y.eq(block_y), next_within_y.eq(0)]
        with m.If(blocks_done):
            m.d.comb += [next_block_x.eq(0), next_x.eq(0), next_block_y.eq(y + 1), next_y.eq(y + 1)]
        with m.If(tile_done):
            m.d.comb += [next_block_y.eq(0), next_y.eq(0), next_tile_number.eq(tile + 1)]
            m.d.comb += next_remaining.eq(channels(tile + 2 == shape.tiles))
        with m.If(self.start):
            m.d.comb += [then.eq(0) for _, then in counters.values()]
            m.d.comb += next_remaining.eq(channels(shape.tiles == 1))

        with m.If(self.next & self.valid):
            m.d.sync += address.eq(address + lanes)
            with m.If(vector_done):
                go_to(next_pixel)
            with m.If(line_done):
                m.d.sync += [line.eq(next_line), block_base.eq(right_block)]
                go_to(next_line)
            with m.If(block_done):
                m.d.sync += [line.eq(right_block), blocks_base.eq(lower_blocks)]
                go_to(right_block)
            with m.If(blocks_done):
                m.d.sync += line.eq(lower_blocks)
                go_to(lower_blocks)
            with m.If(tile_done):
                m.d.sync += [tile_base.eq(next_tile), line.eq(next_tile)]
                go_to(next_tile)
                with m.If(last_tile):
                    m.d.sync += self.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [self.valid.eq(1), tile_base.eq(shape.base), line.eq(shape.base)]
            go_to(shape.base)

        m.d.comb += [
            self.beat.address.eq(address),
            self.beat.index.eq(index),
            self.beat.count.eq(Mux(vector_done, remaining, lanes)),
            self.beat.vector_done.eq(vector_done),
            self.beat.row_done.eq(vector_done & last_x & last_tile),
            self.beat.tile_done.eq(tile_done),
            self.beat.run_done.eq(tile_done & last_tile),
            self.beat.last_tile.eq(last_tile),
        ]
        return m

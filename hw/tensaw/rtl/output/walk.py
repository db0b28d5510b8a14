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

        # Where we are: counters.
        tile = Signal(12)
        y, x = Signal(16), Signal(16)
        block_y, block_x = Signal(16), Signal(16)  # first row and column of the block
        within_y, within_x = Signal(16), Signal(16)
        index = Signal(self.beat.index.shape())
        remaining = Signal(7)  # channels of the vector from this beat on

        last_tile = Signal()
        last_y, last_x = y + 1 == shape.height, x + 1 == shape.width
        vector_done = Signal()
        line_done = Signal()  # last position of a row of the block
        block_done = Signal()
        blocks_done = Signal()  # last position of a row of blocks
        tile_done = Signal()
        m.d.comb += [
            last_tile.eq(tile + 1 == shape.tiles),
            vector_done.eq(remaining <= lanes),
            line_done.eq(vector_done & (last_x | (within_x + 1 == shape.block_width))),
            block_done.eq(line_done & (last_y | (within_y + 1 == shape.block_height))),
            blocks_done.eq(block_done & last_x),
            tile_done.eq(blocks_done & last_y),
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
            m.d.sync += [pixel.eq(position), address.eq(position), index.eq(0)]

        with m.If(self.next & self.valid):
            m.d.sync += [index.eq(index + 1), address.eq(address + lanes), remaining.eq(remaining - lanes)]
            with m.If(vector_done):
                m.d.sync += [remaining.eq(channels(last_tile)), x.eq(x + 1), within_x.eq(within_x + 1)]
                go_to(next_pixel)
            with m.If(line_done):
                m.d.sync += [x.eq(block_x), within_x.eq(0), y.eq(y + 1), within_y.eq(within_y + 1), line.eq(next_line)]
                m.d.sync += [block_base.eq(right_block)]
                go_to(next_line)
            with m.If(block_done):
                m.d.sync += [block_x.eq(x + 1), x.eq(x + 1), y.eq(block_y), within_y.eq(0)]
                m.d.sync += [line.eq(right_block), blocks_base.eq(lower_blocks)]
                go_to(right_block)
            with m.If(blocks_done):
                m.d.sync += [block_x.eq(0), x.eq(0), block_y.eq(y + 1), y.eq(y + 1), line.eq(lower_blocks)]
                go_to(lower_blocks)
            with m.If(tile_done):
                m.d.sync += [block_y.eq(0), y.eq(0), tile.eq(tile + 1), tile_base.eq(next_tile), line.eq(next_tile)]
                m.d.sync += remaining.eq(channels(tile + 2 == shape.tiles))
                go_to(next_tile)
                with m.If(last_tile):
                    m.d.sync += self.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                *(counter.eq(0) for counter in (tile, y, x, block_y, block_x, within_y, within_x)),
                remaining.eq(channels(shape.tiles == 1)),
                tile_base.eq(shape.base),
                line.eq(shape.base),
            ]
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

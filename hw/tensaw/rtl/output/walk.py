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
            "address": config.address_bits,
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

    Each counter holds its number and two more: equal to its limit it says that the number after this one is the last,
    so that flags need not wait for the counter's next value.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    shape : In(walk_layout)
        Stable from ``start`` to the last beat; all counts at least 1, ``tile`` and ``last`` at most ``columns``.
        Addresses are modulo 2**address_bits.
    start : In(1)
        The first beat is on offer in the next cycle. Not while ``valid``.
    valid : Out(1), next : In(1)
        A beat is on offer; go on to the next one.
    beat : Out(beat_layout)

    Timing
    ------
    One beat a cycle without gaps. Only ``valid`` is reset.
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
        shape = self.shape
        # Without a beat on offer everything stands at the first one, so that a start need only offer it.
        idle = Signal()
        go = Signal()  # to the next beat
        vector_done = Signal()
        last_tile, last_x, last_y = (Signal(name=name, reset_less=True) for name in ("last_tile", "last_x", "last_y"))
        end_x, end_y = Signal(reset_less=True), Signal(reset_less=True)  # last column, row of a whole block
        step = Signal()  # to another position
        m.d.comb += [idle.eq(~self.valid), go.eq(idle | self.next), step.eq(idle | (self.next & vector_done))]

        # Of a vector's last beat, or of any.
        line_done = Signal()  # last position of a row of the block
        block_done = Signal()
        blocks_done = Signal()  # last position of a row of blocks
        tile_done = Signal()
        m.d.comb += [
            line_done.eq(last_x | end_x),
            block_done.eq((last_x | end_x) & (last_y | end_y)),
            blocks_done.eq(last_x & (last_y | end_y)),
            tile_done.eq(last_x & last_y),
        ]

        def counter(name: str, limit: str) -> tuple[Signal, Value]:
            number = Signal(len(shape[limit]), name=name, init=2, reset_less=True)
            return number, number == shape[limit]

        # Columns and rows; of the block's first column and row the counters, and whether they are the last.
        (x, next_last_x), (y, next_last_y) = counter("x", "width"), counter("y", "height")
        (within_x, next_end_x), (within_y, next_end_y) = counter("within_x", "block_width"), counter(
            "within_y", "block_height"
        )  # fmt: skip
        block_x, block_y = (Signal.like(x, name=name, reset_less=True) for name in ("block_x", "block_y"))
        block_last_x, block_last_y = Signal(reset_less=True), Signal(reset_less=True)
        first_row, first_block = Signal(reset_less=True), Signal(reset_less=True)  # of the block, of the row of blocks
        one = {name: shape[name] == 1 for name in ("width", "height", "block_width", "block_height")}
        with m.If(step):
            m.d.sync += [
                x.eq(x + 1), last_x.eq(next_last_x),
                within_x.eq(within_x + 1), end_x.eq(next_end_x),
            ]  # fmt: skip
            with m.If(line_done):
                m.d.sync += [
                    within_x.eq(2), end_x.eq(one["block_width"]),
                    y.eq(y + 1), last_y.eq(next_last_y),
                    within_y.eq(within_y + 1), end_y.eq(next_end_y), first_row.eq(0),
                ]  # fmt: skip
                with m.If(~block_done):
                    m.d.sync += [x.eq(block_x), last_x.eq(block_last_x)]
            with m.If(block_done):
                m.d.sync += [
                    block_x.eq(x + 1), block_last_x.eq(next_last_x), first_block.eq(0),
                    y.eq(block_y), last_y.eq(block_last_y),
                    within_y.eq(2), end_y.eq(one["block_height"]), first_row.eq(1),
                ]  # fmt: skip
            with m.If(blocks_done):
                m.d.sync += [y.eq(y + 1), last_y.eq(next_last_y), block_y.eq(y + 1), block_last_y.eq(next_last_y)]
            with m.If(blocks_done | idle):
                m.d.sync += [
                    x.eq(2), last_x.eq(one["width"]),
                    block_x.eq(2), block_last_x.eq(one["width"]), first_block.eq(1),
                    within_x.eq(2), end_x.eq(one["block_width"]),
                    within_y.eq(2), end_y.eq(one["block_height"]), first_row.eq(1),
                ]  # fmt: skip
            with m.If(tile_done | idle):
                m.d.sync += [
                    y.eq(2), last_y.eq(one["height"]),
                    block_y.eq(2), block_last_y.eq(one["height"]),
                ]  # fmt: skip

        # Tiles: a number ahead, since they may be a single beat.
        tile = Signal(len(shape.tiles), init=3, reset_less=True)
        next_last_tile = Signal(reset_less=True)
        then_last_tile = Signal()  # the next beat is of the last tile
        m.d.comb += then_last_tile.eq(Mux(tile_done, next_last_tile, last_tile))
        with m.If(step & tile_done):
            m.d.sync += [tile.eq(tile + 1), last_tile.eq(next_last_tile), next_last_tile.eq(tile == shape.tiles)]
        with m.If(idle):
            m.d.sync += [tile.eq(3), last_tile.eq(shape.tiles == 1), next_last_tile.eq(shape.tiles == 2)]
            m.d.comb += then_last_tile.eq(shape.tiles == 1)

        self._elaborate_vector(m, idle, go, vector_done, last_tile, then_last_tile)

        # Addresses: of the tile, the row of blocks, the block, the row in the block, the position.
        bits = self._config.address_bits
        tile_base, blocks_base, block_base, line, pixel = (
            Signal(bits, name=name, reset_less=True)
            for name in ("tile_base", "blocks_base", "block_base", "line", "pixel")
        )
        next_pixel, next_line, next_position = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            next_pixel.eq(pixel + shape.pixel_pitch),
            next_line.eq(line + shape.pitch),
            next_position.eq(next_pixel),
        ]
        # Known at the end of the block's first row, and of the last row of the first block in the row of blocks.
        with m.If(line_done):
            m.d.comb += next_position.eq(next_line)
        with m.If(block_done & ~first_row):
            m.d.comb += next_position.eq(block_base)
        with m.If(block_done & first_row):
            m.d.comb += next_position.eq(next_pixel)
        with m.If(blocks_done):
            m.d.comb += next_position.eq(Mux(first_block, next_line, blocks_base))
        with m.If(tile_done):
            m.d.comb += next_position.eq(tile_base + shape.tile_step)
        with m.If(idle):
            m.d.comb += next_position.eq(shape.base)
        with m.If(step):
            m.d.sync += pixel.eq(next_position)
            with m.If(line_done | idle):
                m.d.sync += line.eq(next_position)
            with m.If(tile_done | idle):
                m.d.sync += tile_base.eq(next_position)
            with m.If(line_done & first_row):
                m.d.sync += block_base.eq(next_pixel)
            with m.If(block_done & first_block):
                m.d.sync += blocks_base.eq(next_line)
        m.d.sync += self.valid.eq(Mux(idle, self.start, ~(self.next & vector_done & tile_done & last_tile)))
        self._elaborate_address(m, idle, go, vector_done, pixel, next_position)

        m.d.comb += [
            self.beat.vector_done.eq(vector_done),
            self.beat.row_done.eq(vector_done & last_x & last_tile),
            self.beat.tile_done.eq(vector_done & tile_done),
            self.beat.run_done.eq(vector_done & tile_done & last_tile),
            self.beat.last_tile.eq(last_tile),
        ]
        return m

    def _elaborate_vector(
        self, m: Module, idle: Signal, go: Signal, vector_done: Signal, last_tile: Signal, then_last_tile: Signal
    ) -> None:
        """The beats of a vector: their number, how many channels, whether one is the last."""
        shape, lanes = self.shape, self._config.requant_lanes
        if beats_of(self._config) == 1:
            m.d.comb += [vector_done.eq(1), self.beat.count.eq(Mux(last_tile, shape.last, shape.tile))]
            return
        index = Signal.like(self.beat.index, reset_less=True)
        remaining = Signal(7, reset_less=True)  # channels from this beat on
        single = Signal(reset_less=True)  # the vector's last beat
        with m.If(go):
            with m.If(vector_done | idle):
                m.d.sync += [
                    index.eq(0),
                    remaining.eq(Mux(then_last_tile, shape.last, shape.tile)),
                    single.eq(Mux(then_last_tile, shape.last <= lanes, shape.tile <= lanes)),
                ]
            with m.Else():
                m.d.sync += [index.eq(index + 1), remaining.eq(remaining - lanes), single.eq(remaining <= 2 * lanes)]
        m.d.comb += [
            vector_done.eq(single),
            self.beat.index.eq(index),
            self.beat.count.eq(Mux(vector_done, remaining, lanes)),
        ]

    def _elaborate_address(
        self, m: Module, idle: Signal, go: Signal, vector_done: Signal, pixel: Signal, next_position: Signal
    ) -> None:
        """The address of a beat: that of its position, or further on in its vector."""
        if beats_of(self._config) == 1:
            m.d.comb += self.beat.address.eq(pixel)
            return
        address = Signal.like(pixel, name="address", reset_less=True)
        with m.If(go):
            with m.If(vector_done | idle):
                m.d.sync += address.eq(next_position)
            with m.Else():
                m.d.sync += address.eq(address + self._config.requant_lanes)
        m.d.comb += self.beat.address.eq(address)

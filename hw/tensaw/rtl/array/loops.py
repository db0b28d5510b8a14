"""The loops of an ARRAY run: which position comes next, and where in the scratchpad its bytes lie."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tensaw.rtl.control.command import run_layout
from tensaw.spec.config import NpuConfig
from tensaw.spec.isa import Mode, Unit

__all__ = ["Loops", "position_layout"]


def position_layout(config: NpuConfig) -> data.StructLayout:
    """One streamed position.

    ``row_address`` + ``x`` is its byte address, ``row_y`` its input row, ``x`` its byte in the row. ``keep``: its sums
    are wanted, as entry ``index`` of accumulator half ``half``; ``first`` and ``last``: in the first and last kernel
    step; ``final``: and it is the block's last. ``step_start``, ``block_start``, ``row_start``: it is the first of a
    kernel step, a block, a row. ``run_end``: nothing follows. ``overflow``: the block is larger than a half.
    """
    return data.StructLayout(
        {
            "row_address": 24,
            "x": signed(26),
            "row_y": signed(18),
            "keep": 1,
            "half": 1,
            "index": range(config.acc_half),
            "first": 1,
            "last": 1,
            "final": 1,
            "step_start": 1,
            "block_start": 1,
            "row_start": 1,
            "run_end": 1,
            "overflow": 1,
        }
    )


class Loops(wiring.Component):
    """Channel tiles, blocks of rows, blocks of columns, kernel y, kernel x, chunks, rows, columns; innermost last.

    Parameters
    ----------
    config : NpuConfig

    Members
    -------
    start : In(1), setup : In(run_layout(ARRAY))
        Takes a run; its first position is offered in the next cycle.
    row_pitch, kernel_pitch, origin : In(24)
        Products of AddressProducts for ``setup``.
    active : Out(1)
        ``position`` is one of a run.
    position : Out(position_layout)
    advance : In(1)
        Go on to the next position; the last one ends ``active``.
    held : Out(run_layout(ARRAY))
        The run that was taken.

    Timing
    ------
    A new position in each cycle with ``advance``.

    Corner cases
    ------------
    DEPTHWISE rows go on for max(taps, decimation) - 1 positions behind the last one kept, so that its sum is complete
    and the next block of columns knows where to begin.
    """

    start: Signal
    setup: Any
    row_pitch: Signal
    kernel_pitch: Signal
    origin: Signal
    active: Signal
    position: Any
    advance: Signal
    held: Any

    def __init__(self, config: NpuConfig) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "setup": In(run_layout(Unit.ARRAY)),
                "row_pitch": In(24),
                "kernel_pitch": In(24),
                "origin": In(24),
                "active": Out(1),
                "position": Out(position_layout(config)),
                "advance": In(1),
                "held": Out(run_layout(Unit.ARRAY)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        run = self.held
        y_shape, x_shape = signed(18), signed(26)

        row_pitch, kernel_pitch = Signal(24), Signal(24)
        half = Signal()
        # Where each loop level began, outermost first. An address is that of a row; x counts bytes within it.
        tiles_left, tile_row = Signal(12), Signal(24)
        rows_left, columns_left = Signal(16), Signal(16)
        block_row, block_y, block_x = Signal(24), Signal(y_shape), Signal(x_shape)
        y_left, x_left, chunks_left = Signal(8), Signal(8), Signal(16)
        kernel_x = Signal(x_shape)
        step_row, step_y, step_x = Signal(24), Signal(y_shape), Signal(x_shape)
        first_step = Signal()
        lines_left = Signal(16)
        row_address, row_y, x = Signal(24), Signal(y_shape), Signal(x_shape)
        positions_left, phase, tail, tail_length = Signal(16), Signal(6), Signal(6), Signal(6)
        index = Signal(range(config.acc_half + 1))
        step_start, block_start, row_start = Signal(), Signal(), Signal()

        def least(a: Value, b: Value) -> Value:
            return Mux(a < b, a, b)

        def enter_row(address: Value, y: Value, start_x: Value, width: Value) -> list[Any]:
            return [
                row_address.eq(address),
                row_y.eq(y),
                x.eq(start_x),
                positions_left.eq(width),
                phase.eq(0),
                row_start.eq(1),
            ]

        def enter_step(address: Value, y: Value, start_x: Value, height: Value, width: Value) -> list[Any]:
            return [
                step_row.eq(address),
                step_y.eq(y),
                step_x.eq(start_x),
                lines_left.eq(height),
                index.eq(0),
                step_start.eq(1),
                *enter_row(address, y, start_x, width),
            ]

        def enter_block(setup: Any, address: Value, y: Value, start_x: Value, height: Value, width: Value) -> list[Any]:
            return [
                block_row.eq(address),
                block_y.eq(y),
                block_x.eq(start_x),
                kernel_x.eq(start_x),
                first_step.eq(1),
                block_start.eq(1),
                y_left.eq(setup.kernel_y.steps),
                x_left.eq(setup.kernel_x.steps),
                chunks_left.eq(setup.kernel_x.chunks),
                *enter_step(address, y, start_x, height, width),
            ]

        block_height = least(rows_left, run.block.height)
        block_width = least(columns_left, run.block.width)
        full_height = least(run.out.height, run.block.height)
        full_width = least(run.out.width, run.block.width)
        last_phase = phase == run.step.decimation - 1
        keep, row_end, step_end, block_end, run_end = Signal(), Signal(), Signal(), Signal(), Signal()
        last_step = Signal()
        last_columns, last_rows = columns_left <= run.block.width, rows_left <= run.block.height
        m.d.comb += [
            keep.eq((phase == 0) & (positions_left != 0)),
            row_end.eq(Mux(positions_left == 0, tail == 1, keep & (positions_left == 1) & (tail_length == 0))),
            last_step.eq((y_left == 1) & (x_left == 1) & (chunks_left == 1)),
            step_end.eq(row_end & (lines_left == 1)),
            block_end.eq(step_end & last_step),
            run_end.eq(block_end & last_columns & last_rows & (tiles_left == 1)),
        ]

        # Beginnings of the next blocks, seen in passing during a block's first kernel step.
        next_x, next_row, next_y = Signal(x_shape), Signal(24), Signal(y_shape)
        seen_x, seen_row, seen_y = Signal(x_shape), Signal(24), Signal(y_shape)
        passing_x = first_step & last_phase & (positions_left == (run.step.decimation == 1))
        m.d.comb += [
            next_x.eq(Mux(passing_x, x + run.step.position, seen_x)),
            next_row.eq(Mux(first_step, row_address + row_pitch, seen_row)),
            next_y.eq(Mux(first_step, row_y + run.step.row, seen_y)),
        ]

        with m.If(self.advance):
            m.d.sync += [step_start.eq(0), block_start.eq(0), row_start.eq(0)]
            m.d.sync += [seen_x.eq(next_x), seen_row.eq(next_row), seen_y.eq(next_y)]
            m.d.sync += [x.eq(x + run.step.position), phase.eq(Mux(last_phase, 0, phase + 1))]
            with m.If(keep):
                m.d.sync += [positions_left.eq(positions_left - 1), index.eq(index + 1), tail.eq(tail_length)]
            with m.Else():
                m.d.sync += tail.eq(tail - 1)
            with m.If(row_end):
                m.d.sync += enter_row(row_address + row_pitch, row_y + run.step.row, step_x, block_width)
                m.d.sync += lines_left.eq(lines_left - 1)
            with m.If(step_end):
                m.d.sync += first_step.eq(0)
                with m.If(chunks_left != 1):
                    m.d.sync += chunks_left.eq(chunks_left - 1)
                    m.d.sync += enter_step(step_row, step_y, step_x + run.weights.rows, block_height, block_width)
                with m.Elif(x_left != 1):
                    after = kernel_x + run.kernel_x.bytes
                    m.d.sync += [chunks_left.eq(run.kernel_x.chunks), x_left.eq(x_left - 1), kernel_x.eq(after)]
                    m.d.sync += enter_step(step_row, step_y, after, block_height, block_width)
                with m.Else():
                    m.d.sync += [
                        chunks_left.eq(run.kernel_x.chunks),
                        x_left.eq(run.kernel_x.steps),
                        kernel_x.eq(block_x),
                        y_left.eq(y_left - 1),
                    ]
                    m.d.sync += enter_step(
                        step_row + kernel_pitch, step_y + run.kernel_y.rows, block_x, block_height, block_width
                    )
            with m.If(block_end):
                m.d.sync += half.eq(~half)
                with m.If(~last_columns):
                    left = columns_left - run.block.width
                    m.d.sync += columns_left.eq(left)
                    m.d.sync += enter_block(run, block_row, block_y, next_x, block_height, least(left, run.block.width))
                with m.Elif(~last_rows):
                    left = rows_left - run.block.height
                    m.d.sync += [rows_left.eq(left), columns_left.eq(run.out.width)]
                    m.d.sync += enter_block(
                        run, next_row, next_y, run.origin.x, least(left, run.block.height), full_width
                    )
                with m.Else():
                    after = tile_row + run.tiles.input_step
                    m.d.sync += [
                        tile_row.eq(after),
                        tiles_left.eq(tiles_left - 1),
                        rows_left.eq(run.out.height),
                        columns_left.eq(run.out.width),
                    ]
                    m.d.sync += enter_block(run, after, run.origin.y, run.origin.x, full_height, full_width)
            with m.If(run_end):
                m.d.sync += self.active.eq(0)

        with m.If(self.start):
            setup = self.setup
            base = setup.input.base + self.origin
            # In DEPTHWISE mode a sum that starts at a position is complete `taps` positions later.
            drain = Mux(setup.run.mode == Mode.DEPTHWISE, config.taps - 1, 0)
            skip = setup.step.decimation - 1
            m.d.sync += [
                self.active.eq(1),
                run.eq(setup),
                row_pitch.eq(self.row_pitch),
                kernel_pitch.eq(self.kernel_pitch),
                tail_length.eq(Mux(skip > drain, skip, drain)),
                tile_row.eq(base),
                tiles_left.eq(setup.tiles.count),
                rows_left.eq(setup.out.height),
                columns_left.eq(setup.out.width),
            ]
            m.d.sync += enter_block(
                setup,
                base,
                setup.origin.y,
                setup.origin.x,
                least(setup.out.height, setup.block.height),
                least(setup.out.width, setup.block.width),
            )

        position = self.position
        m.d.comb += [
            position.row_address.eq(row_address),
            position.x.eq(x),
            position.row_y.eq(row_y),
            position.keep.eq(keep),
            position.half.eq(half),
            position.index.eq(index),
            position.first.eq(first_step),
            position.last.eq(last_step),
            position.final.eq(keep & (positions_left == 1) & (lines_left == 1) & last_step),
            position.step_start.eq(step_start),
            position.block_start.eq(block_start),
            position.row_start.eq(row_start),
            position.run_end.eq(run_end),
            position.overflow.eq(keep & (index == config.acc_half)),
        ]
        return m
